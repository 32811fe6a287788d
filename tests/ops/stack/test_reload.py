"""The store under the supervisor: reloads while clients read and write."""
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
from harness import BINARY, AUTH, Broken, Connection, free_port, promise, run_tests  # noqa: E402

RUN = os.environ["GODWIT_RUN_BIN"]
RELOADS = int(os.environ.get("RELOADS", "8"))
LINGER = os.environ.get("LINGER", "1s")  # the default; to look at what less of it costs
WRITERS, READERS, NEWCOMERS = 6, 6, 6


class Stack:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-stack-")
        self.data = self.folder.name
        self.port = free_port()
        self.control = os.path.join(self.data, "run.sock")

    def __enter__(self):
        self.log = open(os.path.join(self.data, "log"), "wb")
        self.process = subprocess.Popen(
            [RUN, "--listen", f"127.0.0.1:{self.port}", "--ready", "probe:/v1/__lbheartbeat__",
             "--linger", LINGER, "--control", self.control, "--", BINARY, "serve", "--data-dir", self.data, "--access-log", "false"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        limit = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/__lbheartbeat__", timeout=5):
                    return self
            except OSError:
                assert self.process.poll() is None and time.monotonic() < limit, self.output()
                time.sleep(0.01)  # between two attempts to connect: there is no event to wait for

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.folder.cleanup()

    def output(self):
        with open(os.path.join(self.data, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def reload(self):
        done = subprocess.run([RUN, "reload", "--wait", "--control", self.control], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, (done.returncode, done.stderr, self.output())


async def load(stack, stop):
    tally = {"answered": 0, "stale": 0}
    failed, written = [], set()

    async def exchange(connection, method, path, body=b""):
        status, payload = await connection.ask(method, path, body)
        if status not in (200, 201):
            failed.append((method, status, payload[:120], pause(connection)))
        tally["answered"] += 1
        return status

    def pause(connection):
        # Between connect() and the first byte: what --linger has to be above, besides the round trip.
        return "pause %.0f ms" % ((time.monotonic() - connection.opened) * 1e3)

    async def client(number, fresh, writes):
        serial, connection = 0, None
        while not stop.is_set():
            reused = connection is not None
            try:
                if connection is None:
                    opened = time.monotonic()
                    connection = await Connection(stack.port).open()
                    connection.opened = opened
                serial += 1
                if writes:
                    ident = f"w{number}-{serial}"
                    body = json.dumps({"data": {"n": serial}}).encode()
                    path = f"/buckets/ops/collections/items/records/{ident}"
                    if await exchange(connection, "PUT", path, body) == 201:
                        written.add(ident)
                else:
                    await exchange(connection, "GET", "/buckets/ops/collections/items/records?_limit=5")
                if fresh or connection.last:
                    connection.close()
                    connection = None
            except Broken as e:
                # A kept connection that the old generation closed while it was idle is no failed
                # request: nothing had come back, and RFC 9110 lets the client send again.
                if e.started or not reused:
                    failed.append(("broken", str(e), pause(connection)))
                else:
                    tally["stale"] += 1
                connection = None
            except OSError as e:
                failed.append(("connect", str(e)))
                connection = None
        if connection:
            connection.close()

    clients = [client(i, False, True) for i in range(WRITERS)]
    clients += [client(i, False, False) for i in range(READERS)]
    clients += [client(100 + i, True, i % 2 == 0) for i in range(NEWCOMERS)]
    await asyncio.gather(*clients)
    return tally, failed, written


async def reload_under_load(stack):
    stop = asyncio.Event()
    running = asyncio.create_task(load(stack, stop))
    for _ in range(RELOADS):
        await asyncio.to_thread(stack.reload)
    stop.set()
    return await running


@promise
def a_reload_under_load_fails_no_request_and_loses_no_write():
    with Stack() as stack:
        for path in ("/buckets/ops", "/buckets/ops/collections/items"):
            request = urllib.request.Request(f"http://127.0.0.1:{stack.port}/v1{path}", b"{}", {
                "Authorization": AUTH, "Content-Type": "application/json"}, method="PUT")
            with urllib.request.urlopen(request, timeout=20) as r:
                assert r.status == 201
        tally, failed, written = asyncio.run(reload_under_load(stack))
        assert not failed, (len(failed), failed[:5], stack.output())
        assert len(written) > 50 and tally["answered"] > 200, tally
        database = sqlite3.connect(f"file:{stack.data}/godwit.db?mode=ro", uri=True)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        database.close()
        missing = []

        async def check():
            connection = await Connection(stack.port).open()
            for ident in written:
                if connection.last if hasattr(connection, "last") else False:
                    connection = await Connection(stack.port).open()
                status, _ = await connection.ask("GET", f"/buckets/ops/collections/items/records/{ident}")
                if status != 200:
                    missing.append(ident)

        asyncio.run(check())
        assert not missing, (len(missing), missing[:3])
    return (f"{RELOADS} reloads, {tally['answered']} answered, 0 failed, {tally['stale']} idle connections closed, "
            f"{len(written)} writes, 0 lost")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
