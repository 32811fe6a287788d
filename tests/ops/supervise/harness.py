"""Starts godwit-run in a directory of its own, talks to it, and cleans up after it."""
import json, os, shutil, signal, socket, subprocess, sys, tempfile, time, unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", ".."))
from ports import free_port  # noqa: E402

APP = os.path.join(HERE, "app.py")
BINARY = os.environ.get("GODWIT_RUN", "godwit-run")
PYTHON = "/usr/bin/python3"
LONG = os.environ.get("GODWIT_LONG") == "1"
# Everything is awaited, nothing is timed: this is for machines that are very slow.
PATIENCE = int(os.environ.get("GODWIT_PATIENCE", "60"))


GUNICORN_APP = """
import os
def app(environ, start_response):
    body = ("gen %s pid %d\\n" % (os.environ.get("GENERATION"), os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def gunicorn(folder):
    """The command of Debian's gunicorn with an application that names its generation."""
    if not shutil.which("gunicorn"):
        raise unittest.SkipTest("gunicorn is not installed")
    with open(os.path.join(folder, "app.py"), "w") as f:
        f.write(GUNICORN_APP)
    return ["/usr/bin/gunicorn", "--workers", "2", "--chdir", folder, "app:app"]


def example(name):
    """One of our own example servers."""
    path = os.path.join(os.environ.get("GODWIT_EXAMPLES", "/nonexistent"), name)
    if not os.path.exists(path):
        raise unittest.SkipTest("the examples are not built")
    return path


def wait_until(condition, what, timeout=PATIENCE):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.02)


def get(port, path="/", host="127.0.0.1", timeout=20):
    s = socket.create_connection((host, port), timeout=timeout)
    s.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
    data = b""
    while True:
        chunk = s.recv(65536)
        if not chunk:
            break
        data += chunk
    s.close()
    return data.decode(errors="replace")


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def descendants(pid):
    """Every process below pid."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                children.setdefault(int(fields[1]), []).append(int(name))
            except OSError:
                pass
    out, todo = [], [pid]
    while todo:
        for c in children.get(todo.pop(), []):
            out.append(c)
            todo.append(c)
    return out


class Supervisor:
    def __init__(self, args, command=None, env=None, cwd=None, dir=None, wrapper=(), control=True,
                 **popen):
        self.dir = dir or tempfile.mkdtemp(prefix="gr-")
        self.owns_dir = dir is None
        self.control = os.path.join(self.dir, "control.sock")
        self.log_path = os.path.join(self.dir, "log")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=cwd or self.dir, **(env or {}))
        self.env.pop("RUNTIME_DIRECTORY", None)
        self.env.pop("NOTIFY_SOCKET", None) if "NOTIFY_SOCKET" not in (env or {}) else None
        self.log = open(self.log_path, "ab")
        line = list(wrapper) + [BINARY]
        if control:
            line += ["--control", self.control]
        line += list(args)
        if command is not None:
            line += ["--"] + list(command)
        self.process = subprocess.Popen(line, env=self.env, cwd=cwd or self.dir, stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, **popen)
        self.pid = self.process.pid

    def client(self, *args, timeout=PATIENCE):
        return subprocess.run([BINARY, args[0], "--control", self.control, *args[1:]], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout + 30)

    def reload(self, *args):
        return self.client("reload", "--wait", "--timeout", str(PATIENCE), *args)

    def status(self, service=0):
        r = self.client("status", "--json")
        if r.returncode != 0:
            return None
        whole = json.loads(r.stdout)
        return whole if service is None else whole["services"][service]

    def active(self, service=0):
        s = self.status(service)
        return s["active"] if s else 0

    def wait_active(self, gen=1, service=0):
        def reached():
            if self.process.poll() is not None:
                raise AssertionError("godwit-run ended:\n" + self.text())
            return self.active(service) >= gen
        return wait_until(reached, "generation %d\n%s" % (gen, ""))

    def wait_idle(self, service=0):
        def idle():
            s = self.status(service)
            return s and s["state"] == "running" and len(s["generations"]) == 1
        return wait_until(idle, "one generation to be left")

    def pid_of(self, gen=None, service=0):
        s = self.status(service)
        for g in s["generations"]:
            if g["gen"] == (gen or s["active"]):
                return g["pid"]

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=PATIENCE):
        return self.process.wait(timeout)

    def text(self):
        if not os.path.exists(self.log_path):
            return ""  # closed already, by a supervisor that used the same folder
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.send(number)
        return self.wait()

    def close(self):
        below = descendants(self.pid) if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.log.close()
        if self.owns_dir:
            shutil.rmtree(self.dir, ignore_errors=True)


class Case(unittest.TestCase):
    """Supervisors started with self.run_service() are ended, and shown when a test fails."""

    def setUp(self):
        self.supervisors = []
        self.dir = tempfile.mkdtemp(prefix="gr-")
        self.mode_file = os.path.join(self.dir, "mode")
        self.mode("ok")

    def tearDown(self):
        failed = any(e for _, e in getattr(self._outcome, "errors", [])) or \
            getattr(getattr(self._outcome, "result", None), "failures", None) and \
            any(t is self for t, _ in self._outcome.result.failures)
        for s in self.supervisors:
            if failed:
                sys.stderr.write("--- log of %s\n%s\n" % (self.id(), s.text()[-6000:]))
            s.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def mode(self, text):
        with open(self.mode_file + ".new", "w") as f:
            f.write(text)
        os.rename(self.mode_file + ".new", self.mode_file)

    def start(self, args, command=(PYTHON, APP), env=None, **more):
        s = Supervisor(args, command, env=dict({"APP_MODE_FILE": self.mode_file}, **(env or {})), **more)
        self.supervisors.append(s)
        return s

    def no_failures(self, load, at_least=100):
        self.assertEqual(load.failures, 0, load.report())
        self.assertGreaterEqual(load.ok, at_least, load.report())


def main():
    unittest.main(verbosity=2, testRunner=unittest.TextTestRunner)
