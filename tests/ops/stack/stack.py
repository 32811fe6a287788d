"""Starts the whole stack by `godwit up` for a test, in a folder and on ports of its own."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
from harness import AUTH, BINARY, free_port  # noqa: E402


def fetch(url, timeout=20):
    with urllib.request.urlopen(url, timeout=timeout) as r:
        return r.status, dict(r.headers), r.read()


class Stack:
    def __init__(self, folder=None):
        self.temporary = None if folder else tempfile.TemporaryDirectory(prefix="godwit-up-")
        self.folder = folder or self.temporary.name
        self.port, self.admin, self.metrics = free_port(), free_port(), free_port()
        self.process = None
        self.said = ""

    @property
    def ports(self):
        return ["--port", str(self.port), "--admin-port", str(self.admin), "--metrics-port", str(self.metrics)]

    def godwit(self, command, *arguments, timeout=90, env=None):
        return subprocess.run([BINARY, command, "--state-dir", self.folder, *arguments], capture_output=True,
                              text=True, timeout=timeout, stdin=subprocess.DEVNULL, env=env)

    def up(self, *arguments):
        """Returns when the banner has been printed, which is when the stack is ready."""
        self.process = subprocess.Popen([BINARY, "up", "--state-dir", self.folder, *self.ports, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, errors="replace")
        ready = threading.Event()

        def read():
            for line in self.process.stdout:
                self.said = (self.said + line)[-1_000_000:]
                if line.startswith("  stop  "):
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        assert ready.wait(60), self.said
        assert self.process.poll() is None and "\n  stop " in self.said, self.said
        return self

    def status(self):
        done = self.godwit("status", "--json")
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def reload(self, *arguments):
        return self.godwit("reload", "--wait", *arguments)

    def request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1{path}", data, {
            "Authorization": AUTH, "Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as r:
            return r.status, json.loads(r.read() or b"null")

    def down(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.godwit("down")
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.down()
            # A detached one is nobody's child.
            self.godwit("down")
        finally:
            if self.temporary:
                shutil.rmtree(self.folder, ignore_errors=True)
