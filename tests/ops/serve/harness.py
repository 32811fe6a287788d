"""Starts `godwit serve` for a test and talks HTTP to it. Standard library only."""
import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from ports import free_port, release  # noqa: E402

BINARY = os.environ["GODWIT_BIN"]
AUTH = "Basic " + base64.b64encode(b"ops:secret").decode()


class Server:
    """One data folder, any number of lives."""

    def __init__(self, *flags, settings=None):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-ops-")
        self.data = self.folder.name
        self.flags = list(flags)
        self.port = free_port()
        self.process = None
        self.ini = None
        if settings:
            self.ini = os.path.join(self.data, "kinto.ini")
            with open(self.ini, "w", encoding="utf-8") as f:
                f.write("[app:main]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))

    def start(self, **popen):
        command = [BINARY, "serve", "--port", str(self.port), "--data-dir", self.data, *self.flags]
        if self.ini:
            command += ["--ini", self.ini]
        self.log = open(os.path.join(self.data, "log"), "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **popen)
        limit = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/__lbheartbeat__", timeout=5) as r:
                    if r.status == 200:
                        return self
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}:\n{self.output()}")
            if time.monotonic() > limit:
                raise RuntimeError(f"server not ready:\n{self.output()}")
            time.sleep(0.005)  # between two attempts to connect: there is no event to wait for

    def output(self):
        with open(os.path.join(self.data, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def send(self, sig):
        self.process.send_signal(sig)

    def wait(self, timeout=40):
        return self.process.wait(timeout)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.kill()
        self.folder.cleanup()
        release(self.port)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def request(self, method, path, body=None, headers=None):
        """(status, parsed body or None, headers). Errors of HTTP are answers here."""
        data = None if body is None else json.dumps(body).encode()
        all_headers = {"Authorization": AUTH, "Content-Type": "application/json", **(headers or {})}
        req = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1{path}", data, all_headers, method=method)
        try:
            with urllib.request.urlopen(req, timeout=30) as r:
                raw, status, got = r.read(), r.status, r.headers
        except urllib.error.HTTPError as e:
            raw, status, got = e.read(), e.code, e.headers
        return status, json.loads(raw) if raw else None, got

    def make_collection(self, bucket="ops", collection="items"):
        for path in (f"/buckets/{bucket}", f"/buckets/{bucket}/collections/{collection}"):
            status, body, _ = self.request("PUT", path, {})
            assert status in (200, 201), (path, status, body)

    def all_ids(self, bucket="ops", collection="items"):
        path = f"/buckets/{bucket}/collections/{collection}/records?_fields=id&_limit=5000"
        ids = set()
        while path:
            status, body, headers = self.request("GET", path)
            assert status == 200, (status, body)
            ids.update(r["id"] for r in body["data"])
            following = headers.get("Next-Page")
            path = following.split("/v1", 1)[1] if following else None
        return ids


class Broken(Exception):
    """The connection ended. `started`: some of a response had come."""

    def __init__(self, started):
        super().__init__("connection ended " + ("inside a response" if started else "before a response"))
        self.started = started


class Connection:
    """A keep-alive connection that tells a complete answer from anything else."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, method, path, body=b""):
        head = (f"{method} /v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTH}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        started = False
        try:
            self.writer.write(head.encode() + body)
            await self.writer.drain()
            head = await self.reader.readuntil(b"\r\n\r\n")
            started = True
            status = int(head[9:12])
            length = int(re.search(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)", head).group(1))
            payload = await self.reader.readexactly(length)
        except asyncio.IncompleteReadError as e:
            raise Broken(started or bool(e.partial)) from e
        except (ConnectionError, OSError) as e:
            raise Broken(started) from e
        self.last = re.search(rb"\r\n[Cc]onnection: *close", head) is not None
        self.retry_after = re.search(rb"\r\n[Rr]etry-[Aa]fter: *\d", head) is not None
        return status, payload

    def close(self):
        if self.writer:
            self.writer.close()
            self.writer = None


def run_tests(scope):
    """Runs every function of the module whose name says a promise; prints one line each."""
    failed = 0
    for name, test in list(scope.items()):
        if not getattr(test, "promise", False):
            continue
        try:
            figures = test()
            print(f"ok   {name}{': ' + figures if figures else ''}", flush=True)
        except BaseException as e:  # noqa: BLE001 - the line must name the promise whatever broke it
            failed += 1
            print(f"FAIL {name}: {type(e).__name__}: {e}", flush=True)
            traceback.print_exc()
            if isinstance(e, KeyboardInterrupt):
                raise
    return 1 if failed else 0


def promise(function):
    function.promise = True
    return function


__all__ = ["AUTH", "Broken", "Connection", "Server", "free_port", "promise", "run_tests", "signal"]
