"""What a row of the table of settings is, and how it is judged."""
import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops", "serve"))
from harness import BINARY, Server, free_port  # noqa: E402

PLAIN = {"storage_backend": "memory", "userid_hmac_secret": "for tests", "multiauth.policies": "basicauth"}
ROWS = []


class Instance(Server):
    """A server with one INI file, which may have other sections than [app:main]."""

    def __init__(self, settings, sections="", flags=(), env=None, threads="1"):
        super().__init__("--threads", threads, *flags, settings={"x": ""})
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("KINTO_", "GODWIT_"))} | (env or {})
        with open(self.ini, "w", encoding="utf-8") as f:
            f.write("[app:main]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()) + sections)

    def start(self, **popen):
        """Ready once it answers anything: some settings refuse everything."""
        command = [BINARY, "serve", "--port", str(self.port), "--data-dir", self.data, "--ini", self.ini, *self.flags]
        self.log = open(os.path.join(self.data, "log"), "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=self.env, cwd=self.data, **popen)
        limit = time.monotonic() + 30
        while True:
            try:
                self.ask("GET", "/v1/__lbheartbeat__", user="")
                return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"no answer, exit {self.process.poll()}: {self.output()[-2000:]}")
            time.sleep(0.005)  # between two attempts to connect: there is no event to wait for

    def __enter__(self):
        return self.start()

    def last_output(self):
        """Everything it logged, once it has stopped."""
        self.send(signal.SIGTERM)
        self.wait()
        return self.output()

    def ask(self, method, path, body=None, user="alice", headers=None, timeout=60):
        """(status, headers with lower-case names, body) of one request without following redirects."""
        send = dict(headers or {})
        if user:
            word = user if ":" in user else user + ":secret"
            send["Authorization"] = "Basic " + base64.b64encode(word.encode()).decode()
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            send["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, data, send)
            answer = connection.getresponse()
            raw = answer.read()
            got = {}
            for name, value in answer.getheaders():
                got[name.lower()] = got[name.lower()] + ", " + value if name.lower() in got else value
            try:
                parsed = json.loads(raw)
            except ValueError:
                parsed = raw.decode("utf-8", "replace")
            return answer.status, got, parsed
        finally:
            connection.close()

    def get(self, path, user="alice", **more):
        return self.ask("GET", path, user=user, **more)

    def put(self, path, body=None, user="alice"):
        answer = self.ask("PUT", path, body if body is not None else {}, user)
        return answer

    def hello(self, user=""):
        return self.get("/v1/", user)[2]

    def seed(self, records=0):
        """Bucket b that everyone may read, with collection c and so many records."""
        self.put("/v1/buckets/b", {"permissions": {"read": ["system.Everyone"]}})
        self.put("/v1/buckets/b/collections/c")
        for i in range(records):
            self.put(f"/v1/buckets/b/collections/c/records/r{i}", {"data": {"n": i}})


class Row:
    """`look(server)` with the setting must answer `want`, and something else without it."""

    def __init__(self, keys, settings, look, want, base=None, **more):
        self.keys = keys if isinstance(keys, tuple) else (keys,)
        self.settings, self.look, self.want = settings, look, want
        self.base = {**PLAIN, **(base or {})}
        self.more = more

    def judge(self):
        with Instance(self.base) as without:
            before = self.look(without)
        with Instance({**self.base, **self.settings}, **self.more) as server:
            after = self.look(server)
        assert after == self.want, f"{self.settings}: {after!r}, want {self.want!r}"
        assert before != after, f"{self.settings}: {before!r} with and without it"


def row(keys, settings, look, want, **more):
    ROWS.append(Row(keys, settings, look, want, **more))


class Check:
    """A behaviour that is not one request with and without: a function that asserts."""

    def __init__(self, keys, function):
        self.keys, self.judge, self.settings = keys, function, function.__name__


def check(*keys):
    def register(function):
        ROWS.append(Check(keys, function))
        return function
    return register


def start_error(settings, flags=(), sections=""):
    """What `godwit serve` says when it refuses to start."""
    instance = Instance(settings, sections, flags)
    try:
        command = [os.environ["GODWIT_BIN"], "serve", "--port", str(instance.port), "--ini", instance.ini, *flags]
        done = subprocess.run(command, env=instance.env, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode != 0, "it started"
        return done.stderr
    finally:
        instance.close()


__all__ = ["PLAIN", "ROWS", "Instance", "check", "free_port", "json", "os", "row", "socket", "start_error", "subprocess"]
