"""The servers that plugins talk to, started for one test on free loopback ports."""
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops", "serve"))
from harness import BINARY, Server, free_port, promise, run_tests, signal  # noqa: E402


def wait_until(what, check, seconds=30):
    """For what shows itself only when asked. The value that is true in the end."""
    limit = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.01)


class Postgres:
    """A private cluster with one database."""

    def __init__(self):
        self.bin = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = tempfile.mkdtemp(prefix="godwit-serve-pg-")
        self.port = free_port()
        if self.user:
            shutil.chown(self.folder, self.user)
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self._run("initdb", "-D", self.folder + "/data", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
                  "--no-sync", "--username=godwit")
        self.process = subprocess.Popen(
            [self.bin + "/postgres", "-D", self.folder + "/data", "-k", self.folder, "-p", str(self.port), "-c",
             "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "timezone=UTC"],
            stdout=self.log, stderr=self.log, user=self.user, cwd="/")
        ready = [self.bin + "/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until("PostgreSQL", lambda: subprocess.run(ready, check=False).returncode == 0)
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "godwit", "kinto")
        self.url = f"postgresql://godwit@127.0.0.1:{self.port}/kinto"

    def _run(self, program, *arguments):
        subprocess.run([f"{self.bin}/{program}", *arguments], check=True, stdout=self.log, stderr=self.log,
                       user=self.user, cwd="/")

    def ask(self, sql):
        return subprocess.run([self.bin + "/psql", "-At", self.url, "-c", sql], check=True, capture_output=True,
                              text=True).stdout.strip()

    def settings(self):
        out = {"kinto.cache_backend": "kinto.core.cache.memory"}
        for part in ("storage", "permission"):
            out[f"kinto.{part}_backend"] = f"kinto.core.{part}.postgresql"
            out[f"kinto.{part}_url"] = self.url
        return out

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A private redis-server, spoken to in RESP."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-serve-redis-")
        self.port = free_port()
        self.process = None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", self.folder.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("Redis", self._answers)
        return self

    def _answers(self):
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def ask(self, *words):
        """One command. Answers: a status or number as text, a bulk string, a list of them."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s, s.makefile("rb") as f:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w.encode()), w.encode()) for w in words))
            return self._reply(f)

    def _reply(self, f):
        line = f.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:].decode()
        if kind == b"$":
            return None if rest == "-1" else f.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self._reply(f) for _ in range(int(rest))]
        if kind == b"-":
            raise RuntimeError(rest)
        return rest

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()


__all__ = ["BINARY", "Postgres", "Redis", "Server", "free_port", "promise", "run_tests", "signal", "wait_until"]
