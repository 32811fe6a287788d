#!/usr/bin/python3
"""docs/godwit-run.md: its tables are what the program prints, its recipes work.

`docs_test.py --update` writes the tables into the page."""
import json, os, re, shutil, signal, subprocess, sys, time, unittest
from harness import *
from load import Load

PAGE = os.path.join(HERE, "..", "..", "..", "docs", "godwit-run.md")
WSGI = """
import os
def app(environ, start_response):
    body = ("gen %s pid %d\\n" % (os.environ.get("GENERATION"), os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
ASGI = """
import os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = ("gen %s pid %d\\n" % (os.environ.get("GENERATION"), os.getpid())).encode()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""
NODE = """
const http = require("http");
const server = http.createServer((q, r) => {
  const body = `gen ${process.env.GENERATION} pid ${process.pid}\\n`;
  r.writeHead(200, {"Content-Length": body.length, ...(stopping ? {Connection: "close"} : {})});
  r.end(body);
});
let stopping = false;
server.listen({fd: 3});
process.on("SIGTERM", () => { stopping = true; server.close(() => process.exit(0)); });
"""
NGINX = """
worker_processes 1;
pid %(dir)s/nginx.pid;
error_log stderr;
events { worker_connections 256; }
env GENERATION;
http {
  access_log off;
  client_body_temp_path %(dir)s/t1; proxy_temp_path %(dir)s/t2; fastcgi_temp_path %(dir)s/t3;
  uwsgi_temp_path %(dir)s/t4; scgi_temp_path %(dir)s/t5;
  server { listen 127.0.0.1:%(port)d; location / { return 200 "gen ${pid}\\n"; } }
}
"""


def read(path):
    with open(path) as f:
        return f.read()


def tables(text):
    run = lambda flag: subprocess.run([BINARY, flag], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name, flag in (("states", "--print-state-table"), ("options", "--print-options")):
        text = re.sub("(<!-- %s -->\n).*?(<!-- /%s -->)" % (name, name),
                      lambda m: m.group(1) + run(flag) + m.group(2), text, flags=re.S)
    return text


class Page(unittest.TestCase):
    def test_the_tables_are_what_the_program_prints(self):
        self.assertEqual(read(PAGE), tables(read(PAGE)), "run tests/ops/supervise/docs_test.py --update")

    def test_every_exit_code_and_verb_is_in_it(self):
        text = read(PAGE)
        for word in ("| 64 |", "| 69 |", "| 71 |", "| 73 |", "| 75 |", "| 124 |", "| 126, 127 |", "upgrade", "metrics",
                     "canary", "subscribe"):
            self.assertIn(word, text)


class Recipe(Case):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        for name, text in (("app.py", WSGI), ("asgi.py", ASGI), ("server.js", NODE),
                           ("nginx.conf", NGINX % {"dir": self.dir, "port": self.port})):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text)

    def recipe(self, name):
        block = re.search("<!-- recipe %s -->\n```\n(.*?)```" % name, read(PAGE), re.S).group(1)
        control = os.path.join(self.dir, "control.sock")
        self.control = control
        return (block.replace("8000", str(self.port)).replace("/srv/app", self.dir)
                .replace("godwit-run --", "%s --control %s --" % (BINARY, control))
                .replace("godwit-run -w", "%s --control %s -w" % (BINARY, control)))

    def client(self, *args):
        return subprocess.run([BINARY, args[0], "--control", self.control, *args[1:]], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)

    def run_recipe(self, name, needs, start=None, reload=None, stop=None):
        if not shutil.which(needs):
            self.skipTest(needs + " is not installed")
        text = self.recipe(name)
        self.log = os.path.join(self.dir, "log")
        log = open(os.path.join(self.dir, "log"), "wb")
        env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=self.dir)
        p = (start or (lambda t: subprocess.Popen(["/bin/sh", "-c", "exec " + t], stdout=log, stderr=log, env=env,
                                                  cwd=self.dir)))(text)
        try:
            wait_until(lambda: '"active":1' in self.client("status", "--json").stdout,
                       "the recipe to serve: " + read(os.path.join(self.dir, "log")))
            with Load(("127.0.0.1", self.port), new=3, keep=2) as l:
                wait_until(lambda: l.ok > 20, "answers")
                if reload:
                    reload()
                    wait_until(lambda: '"active":2' in self.client("status", "--json").stdout, "the reload")
                else:
                    r = self.client("reload", "--wait")
                    self.assertEqual(r.returncode, 0, r.stderr + read(os.path.join(self.dir, "log")))
                time.sleep(0.5)
            self.no_failures(l, 20)
            stop() if stop else p.send_signal(signal.SIGTERM)
            p.wait(PATIENCE)
        finally:
            below = descendants(p.pid)
            p.kill()
            p.wait()
            for pid in below:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            log.close()
        return l

    def test_gunicorn(self):
        self.run_recipe("gunicorn", "gunicorn")

    def test_uvicorn(self):
        self.run_recipe("uvicorn", "uvicorn")

    def test_node(self):
        self.run_recipe("node", "node")

    def test_nginx(self):
        self.run_recipe("nginx", "nginx")

    def test_uwsgi(self):
        self.run_recipe("uwsgi", "uwsgi")

    def service_folder(self, text, extra=()):
        """A folder as runsv(8) and s6-supervise(1) take it."""
        folder = os.path.join(self.dir, "web")
        os.mkdir(folder)
        for name, content in [("run", text)] + list(extra):
            with open(os.path.join(folder, name), "w") as f:
                f.write(content)
        os.chmod(os.path.join(folder, "run"), 0o755)
        return folder

    def supervise(self, *command, **more):
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self.dir,
                                env=dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=self.dir), **more)

    def test_runit(self):
        if not shutil.which("gunicorn"):
            self.skipTest("gunicorn is not installed")
        start = lambda text: self.supervise("runsv", self.service_folder(text))
        self.run_recipe("runit", "runsv", start,
                        lambda: subprocess.run(["sv", "hup", os.path.join(self.dir, "web")], check=True,
                                               stdout=subprocess.DEVNULL))

    def test_s6(self):
        if not shutil.which("gunicorn"):
            self.skipTest("gunicorn is not installed")

        def start(text):
            folder = self.service_folder(text, [("notification-fd", "3\n")])
            p = self.supervise("s6-supervise", folder)
            wait_until(lambda: os.path.exists(os.path.join(folder, "supervise", "control")), "s6-supervise")
            # It waits for the readiness that the newline tells.
            subprocess.run(["s6-svwait", "-U", "-t", "60000", folder], check=True)
            return p
        self.run_recipe("s6", "s6-supervise", start,
                        lambda: subprocess.run(["s6-svc", "-h", os.path.join(self.dir, "web")], check=True))

    def test_docker(self):
        if not shutil.which("gunicorn"):
            self.skipTest("gunicorn is not installed")
        if subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"],
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no pid namespaces here")

        def start(text):
            # What a container is of this: process 1 of a namespace, with the two lists as its command.
            lists = [json.loads(line.split(" ", 1)[1]) for line in text.strip().split("\n")]
            command = lists[0] + lists[1]
            command[:1] = [BINARY, "--control", self.control]
            self.child = self.supervise("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *command,
                                        stderr=open(self.log, "wb"))
            return self.child

        def reload():
            self.assertEqual(json.loads(self.client("status", "--json").stdout)["pid"], 1)
            os.kill(descendants(self.child.pid)[0], signal.SIGHUP)  # docker kill -s HUP

        self.run_recipe("docker", "unshare", start, reload,
                        stop=lambda: os.kill(descendants(self.child.pid)[0], signal.SIGTERM))

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_systemd(self):
        # systemd itself does not run everywhere; that it accepts the unit can be seen, and what happens
        # then is in manager_test.py with a manager that speaks its protocol.
        unit = self.recipe("systemd").replace("/usr/bin/" + BINARY, BINARY).replace("/usr/bin/godwit-run", BINARY)
        web = os.path.join(self.dir, "bin", "web")
        os.mkdir(os.path.dirname(web))
        os.symlink("/bin/true", web)
        path = os.path.join(self.dir, "web.service")
        with open(path, "w") as f:
            f.write(unit)
        r = subprocess.run(["systemd-analyze", "verify", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
        mine = [line for line in r.stdout.split("\n") if "web.service" in line]
        self.assertEqual(mine, [], r.stdout)
        for line in unit.split("\n"):
            if line.startswith("ExecStart="):
                r = subprocess.run(line[10:].replace(" --name", " --print-config --name", 1), shell=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.assertEqual(r.returncode, 0, r.stderr)

    @unittest.skipUnless(shutil.which("gunicorn"), "gunicorn is not installed")
    def test_hupwatch_options_mean_what_they_did(self):
        s = self.start(["-v", "-k", "-w", "0.2"], None, control=False)
        self.assertEqual(s.wait(), 64)
        # No `--`: the first word that is no option begins the command.
        control = os.path.join(self.dir, "c")
        # gunicorn says by itself when it is ready, which would be earlier than -w.
        app = ["env", "-u", "NOTIFY_SOCKET",
               "gunicorn", "--reuse-port", "--bind", "127.0.0.1:%d" % self.port, "--chdir", self.dir, "app:app"]
        s = self.start(["--control", control, "-k", "-v", "-w", "0.3", *app], None, control=False)
        s.control = control
        s.wait_active()
        self.assertIn("-k ends the command with SIGKILL", s.text())
        child = s.pid_of()
        s.send(signal.SIGHUP)
        s.wait_active(2)
        wait_until(lambda: not alive(child), "the old one to end")
        ready = [g["ready_ms"] for g in s.status()["generations"]]
        self.assertGreaterEqual(min(ready), 300)
        self.assertIn("debug", s.text(), "-v says more")
        child = s.pid_of()
        s.send(signal.SIGTERM)
        s.wait()
        end = s.text().split("killing everything")[1]
        self.assertIn("status=SIGKILL", end)
        self.assertNotIn("signal=TERM", end)

    def test_supervisord(self):
        if not shutil.which("gunicorn"):
            self.skipTest("gunicorn is not installed")
        conf = os.path.join(self.dir, "supervisord.conf")

        def start(text):
            with open(conf, "w") as f:
                f.write("[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
                        "pidfile=%(d)s/sv.pid\n[unix_http_server]\nfile=%(d)s/sv.sock\n"
                        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = "
                        "supervisor.rpcinterface:make_main_rpcinterface\n"
                        "[supervisorctl]\nserverurl=unix://%(d)s/sv.sock\n" % {"d": self.dir} + text)
            return subprocess.Popen(["supervisord", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    cwd=self.dir, env=dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=self.dir))

        self.run_recipe("supervisord", "supervisord", start,
                        lambda: subprocess.run(["supervisorctl", "-c", conf, "signal", "HUP", "web"], check=True,
                                               stdout=subprocess.DEVNULL))

    def test_hupwatch(self):
        if not shutil.which("gunicorn"):
            self.skipTest("gunicorn is not installed")
        if read("/proc/sys/net/ipv4/tcp_migrate_req").strip() != "1":
            # The page says so: without it, connections in the queue of the old one are lost.
            self.no_failures = lambda load, n: self.assertGreater(load.ok, n)
        self.run_recipe("hupwatch", "gunicorn")


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        new = tables(read(PAGE))
        with open(PAGE, "w") as f:
            f.write(new)
        sys.exit(0)
    main()
