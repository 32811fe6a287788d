#!/usr/bin/python3
"""godwit-run beside what Debian packages for the same job: memory, idle wake-ups, failed requests in ten
restarts or reloads under load, and how long one takes. See METHOD.md, "supervise".

usage: supervise_bench.py BUILD_FOLDER [RELOADS]"""
import json, os, re, shutil, signal, socket, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests", "ops", "supervise")
os.environ["GODWIT_RUN"] = os.path.join(os.path.abspath(sys.argv[1]), "bin", "godwit-run")
sys.path.insert(0, TESTS)
from harness import APP, BINARY, PYTHON, descendants, free_port, wait_until  # noqa: E402
from load import Load  # noqa: E402

RELOADS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
WSGI = """
import os
def app(environ, start_response):
    body = ("gen %d pid\\n" % os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
NGINX = """
daemon off; worker_processes 1; pid %(dir)s/nginx.pid; error_log stderr;
events { worker_connections 256; }
http { access_log off;
  client_body_temp_path %(dir)s/1; proxy_temp_path %(dir)s/2; fastcgi_temp_path %(dir)s/3;
  uwsgi_temp_path %(dir)s/4; scgi_temp_path %(dir)s/5;
  server { listen 127.0.0.1:%(port)d; location / { return 200 "gen $pid\\n"; } } }
"""
# A child of Server::Starter reads its own variable; otherwise it is the tests' app.
STARTER = "import os\nos.environ['LISTEN_FDS']='1'\nos.dup2(int(os.environ['SERVER_STARTER_PORT'].split('=')[1]),3)\n" \
          "os.environ['GENERATION']=str(os.getpid())\nos.execv('%s',['python3','%s'])" % (PYTHON, APP)
SUPERVISORD = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%(dir)s/sv.pid
[unix_http_server]
file=%(dir)s/sv.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(dir)s/sv.sock
[program:web]
command=%(python)s %(dir)s/bind.py
startsecs=0
"""
BIND = "import os\nos.environ['APP_PORT']='%d'\nos.environ['GENERATION']=str(os.getpid())\nos.execv('%s',['python3','%s'])"


def field(pid, name):
    with open("/proc/%d/status" % pid) as f:
        m = re.search(name + r":\s+(\d+)", f.read())
    return int(m.group(1))


def wakeups(pid, seconds):
    before = field(pid, "voluntary_ctxt_switches")
    time.sleep(seconds)
    return (field(pid, "voluntary_ctxt_switches") - before) / seconds


class Contestant:
    needs = None

    def __init__(self, dir, port):
        self.dir, self.port = dir, port

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def start(self, *command):
        env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=self.dir, APP_START="0.1", APP_MODE="ok")
        self.process = subprocess.Popen(command, env=env, cwd=self.dir, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        return self.process.pid

    def reload(self):
        os.kill(self.process.pid, signal.SIGHUP)


class GodwitRun(Contestant):
    name = "godwit-run"
    needs = BINARY

    def run(self):
        return self.start(BINARY, "--control", self.path("c"), "--listen", "127.0.0.1:%d" % self.port, "--ready",
                          "probe:/", "--", PYTHON, APP)


class GodwitRunGunicorn(Contestant):
    name = "godwit-run, gunicorn"
    needs = "gunicorn"

    def run(self):
        self.write("app.py", WSGI)
        return self.start(BINARY, "--control", self.path("c"), "--listen", "127.0.0.1:%d" % self.port, "--ready",
                          "probe:/", "--", "gunicorn", "--workers", "2", "app:app")


class ServerStarter(Contestant):
    name = "Server::Starter"
    needs = "start_server"

    def run(self):
        self.write("child.py", STARTER)
        return self.start("start_server", "--port", "127.0.0.1:%d" % self.port, "--interval", "1", "--", PYTHON,
                          self.path("child.py"))


class GunicornHup(Contestant):
    name = "gunicorn HUP"
    needs = "gunicorn"

    def run(self):
        self.write("app.py", WSGI)
        return self.start("gunicorn", "--workers", "2", "--bind", "127.0.0.1:%d" % self.port, "app:app")


class NginxReload(Contestant):
    name = "nginx reload"
    needs = "nginx"

    def run(self):
        self.write("nginx.conf", NGINX % {"dir": self.dir, "port": self.port})
        return self.start("nginx", "-p", self.dir, "-c", self.path("nginx.conf"))


class SupervisordRestart(Contestant):
    name = "supervisord restart"
    needs = "supervisord"

    def run(self):
        self.write("sv.conf", SUPERVISORD % {"dir": self.dir, "python": PYTHON})
        self.write("bind.py", BIND % (self.port, PYTHON, APP))
        return self.start("supervisord", "-c", self.path("sv.conf"))

    def reload(self):
        subprocess.run(["supervisorctl", "-c", self.path("sv.conf"), "restart", "web"], stdout=subprocess.DEVNULL)


def measure(kind):
    dir = tempfile.mkdtemp(prefix="gw-bench-")
    c = kind(dir, free_port())
    pid = c.run()
    try:
        def serving():
            try:
                with Load(("127.0.0.1", c.port), new=1, keep=0) as l:
                    time.sleep(0.2)
                return l.ok > 0
            except OSError:
                return False
        wait_until(serving, "the first answer")
        time.sleep(2)
        rss, idle = field(pid, "VmRSS"), wakeups(pid, 5)
        took = []
        with Load(("127.0.0.1", c.port), new=8, keep=4) as l:
            wait_until(lambda: l.ok > 50, "answers")
            for _ in range(RELOADS):
                seen = set(l.generations)
                begin = time.monotonic()
                c.reload()
                try:
                    wait_until(lambda: set(l.generations) - seen, "the new generation", 20)
                except AssertionError:
                    pass
                took.append(time.monotonic() - begin)
                time.sleep(max(0, 1.2 - took[-1]))
        took.sort()
        return {"name": c.name, "rss_kib": rss, "idle_wakeups_s": idle, "ok": l.ok, "failed": l.failures,
                "kinds": dict(l.failed), "stale": l.stale, "p50_ms": took[len(took) // 2] * 1e3,
                "slowest_ms": l.slowest * 1e3}
    finally:
        below = descendants(pid)
        c.process.send_signal(signal.SIGTERM)
        try:
            c.process.wait(20)
        except subprocess.TimeoutExpired:
            c.process.kill()
            c.process.wait()
        for p in below:
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(dir, ignore_errors=True)


# Says when it could answer, on the clock that all processes share.
READY = r"""
import os, signal, socket, time
n = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
n.sendto(b"READY=1\nSTATUS=%d" % time.monotonic_ns(), os.environ["NOTIFY_SOCKET"])
signal.pause()
"""
LINGER = 0.2


def overhead(reloads=30):
    """What godwit-run's own steps take of a `reload --wait`, in ms: from the request to the started process,
    from the process's word that it is ready to promotion, and from there to the answer, less --linger."""
    dir = tempfile.mkdtemp(prefix="gw-bench-")
    c = GodwitRun(dir, free_port())
    c.write("ready.py", READY)
    c.start(BINARY, "--control", c.path("c"), "--listen", "127.0.0.1:%d" % c.port, "--ready", "notify", "--linger",
            "%gs" % LINGER, "--", PYTHON, c.path("ready.py"))
    try:
        wait_until(lambda: os.path.exists(c.path("c")), "the control socket")

        def connect():
            control = socket.socket(socket.AF_UNIX)
            control.connect(c.path("c"))
            return control.makefile("rw")

        # Straight through the control socket: running the client program is not the supervisor's time.
        lines, events = connect(), connect()

        def request(to, what):
            to.write(json.dumps(what) + "\n")
            to.flush()

        def ask(what):
            request(lines, what)
            return json.loads(lines.readline())

        wait_until(lambda: ask({"cmd": "status"})["services"][0]["active"] == 1, "the first generation")
        request(events, {"cmd": "subscribe"})
        events.readline()

        def event(gen, event, text=None):
            while True:
                e = json.loads(events.readline())
                if e.get("gen") == gen and e["event"] == event and text in (None, e.get("text")):
                    return time.monotonic()

        parts = []
        for i in range(reloads):
            gen, begin = i + 2, time.monotonic()
            request(lines, {"cmd": "reload", "wait": True})
            started = event(gen, "state", "starting")
            promoted = event(gen, "promoted")
            lines.readline()
            end = time.monotonic()
            status = ask({"cmd": "status"})["services"][0]["generations"]
            ready = [int(g["status"]) / 1e9 for g in status if g["gen"] == gen][0]
            parts.append([1e3 * (started - begin), 1e3 * (promoted - ready), 1e3 * (end - promoted - LINGER)])
            wait_until(lambda: len(ask({"cmd": "status"})["services"][0]["generations"]) == 1, "the old one's end")
        parts.sort(key=sum)
        return parts[len(parts) // 2], sum(parts[-1])
    finally:
        c.process.terminate()
        c.process.wait(60)
        shutil.rmtree(dir, ignore_errors=True)


def main():
    print("binary %d bytes" % os.path.getsize(BINARY))
    (spawn, promote, rest), worst = overhead()
    print("reload overhead, of godwit-run's own steps beyond --linger: median %.1f ms (start %.1f, promotion %.1f, "
          "end of the linger %.1f), worst of 30 %.1f ms\n" % (spawn + promote + rest, spawn, promote, rest, worst))
    print("| | RSS KiB | idle wake-ups/s | ok | **failed** | stale | new generation answers, p50 ms | slowest answer ms |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in (GodwitRun, GodwitRunGunicorn, ServerStarter, GunicornHup, NginxReload, SupervisordRestart):
        if not shutil.which(kind.needs):
            print("| %s | not installed |" % kind.name)
            continue
        r = measure(kind)
        print("| %(name)s | %(rss_kib)d | %(idle_wakeups_s).1f | %(ok)d | **%(failed)d** | %(stale)d | %(p50_ms).0f | "
              "%(slowest_ms).0f |" % r, r["kinds"] or "", flush=True)


main()
