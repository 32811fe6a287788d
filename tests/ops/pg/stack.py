"""Godwit nodes on one PostgreSQL, a load that remembers what it was told, and a network that misbehaves."""
import asyncio
import collections
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "serve"))
from harness import BINARY, Broken, Connection, Server, promise, run_tests  # noqa: E402

from cluster import Cluster, free_port, why_not  # noqa: E402

DEADLINE = 3  # seconds, of a request
SLACK = float(os.environ.get("GODWIT_TEST_SLACK", "6"))  # beyond it, for a machine that does other things too
RECORDS = "/buckets/ops/collections/items/records"


def node(url, **settings):
    """A server on that database, not yet started."""
    return Server(settings={
        "kinto.storage_backend": "kinto.core.storage.postgresql", "kinto.storage_url": url,
        "kinto.permission_backend": "kinto.core.permission.postgresql", "kinto.permission_url": url,
        "kinto.cache_backend": "kinto.core.cache.postgresql", "kinto.cache_url": url,
        "kinto.userid_hmac_secret": "ops", "multiauth.policies": "basicauth",
        "kinto.bucket_create_principals": "system.Authenticated",
        "kinto.heartbeat_timeout_seconds": "2", "godwit.request_timeout": str(DEADLINE), **settings})


def migrate(server):
    subprocess.run([BINARY, "migrate", "--ini", server.ini], check=True, stdout=subprocess.DEVNULL)


class Load:
    """Posts numbered records and reads one, over and over, on connections of its own."""

    def __init__(self, ports, clients=8, collection=RECORDS, numbers=None, updates=False):
        self.ports, self.clients, self.collection = ports, clients, collection
        self.numbers = numbers or itertools.count()
        self.updates = updates
        self.acknowledged = {}  # number -> last_modified
        self.statuses = collections.Counter()
        self.slowest = 0.0
        self.broken = 0
        self.no_retry_after = 0
        self.last_ok = 0.0
        self.progress = threading.Condition()
        self.stopping = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping = True
        self.thread.join()

    def wait_for(self, enough, what, seconds=60):
        """Blocks until `enough(self)`."""
        with self.progress:
            if not self.progress.wait_for(lambda: enough(self), seconds):
                raise AssertionError(f"{what}: {dict(self.statuses)}")

    async def run(self):
        await asyncio.gather(*(self.client(i) for i in range(self.clients)))

    async def client(self, index):
        connection, turn = None, index
        while not self.stopping:
            turn += 1
            number = None
            if turn % 3 == 0:
                request = ("GET", f"{self.collection}/before", b"")
            else:
                number = next(self.numbers)
                request = ("POST", self.collection, json.dumps({"data": {"n": number}}).encode())
            if self.updates and turn % 3 == 1:
                # Every client has a record of its own, so that each answer is about its own write.
                request = ("PUT", f"{self.collection}/own-{index}", json.dumps({"data": {"n": number}}).encode())
            started = time.monotonic()
            try:
                if connection is None:
                    connection = await Connection(self.ports[index % len(self.ports)]).open()
                status, payload = await connection.ask(*request)
            except (Broken, OSError):
                self.broken += 1
                if connection:
                    connection.close()
                connection = None
                await asyncio.sleep(0.02)  # the node is away: a moment until the next attempt
                continue
            took = time.monotonic() - started
            with self.progress:
                self.slowest = max(self.slowest, took)
                self.statuses[(request[0], status)] += 1
                if status < 300:
                    self.last_ok = time.monotonic()
                    if number is not None:
                        self.acknowledged[number] = json.loads(payload)["data"]["last_modified"]
                elif status == 503 and not connection.retry_after:
                    self.no_retry_after += 1
                self.progress.notify_all()
            if status >= 500:
                await asyncio.sleep(0.01)  # refused at once: no reason to spin
        if connection:
            connection.close()


class Gate:
    """A TCP forwarder to `port` that misbehaves on demand."""

    def __init__(self, port):
        self.target = port
        self.delay = 0.0
        self.mode = "open"
        self.port = None
        self.links = set()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)
        self.thread.start()
        self.ready.wait()

    async def run(self):
        self.loop, self.done = asyncio.get_running_loop(), asyncio.Event()
        self.loop.set_exception_handler(lambda *_: None)  # connections die here on purpose
        self.opened = asyncio.Event()
        self.opened.set()
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.done.wait()
        server.close()
        self.cut()

    def abort(self, writer):
        sock = writer.get_extra_info("socket")
        if sock and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def cut(self):
        for writer in list(self.links):
            self.abort(writer)
        self.links.clear()

    async def accept(self, reader, writer):
        if self.mode == "refuse":
            return self.abort(writer)
        try:
            await self.opened.wait()
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return self.abort(writer)
        self.links |= {writer, back_writer}
        await asyncio.gather(self.pipe(reader, back_writer), self.pipe(back_reader, writer), return_exceptions=True)
        for w in (writer, back_writer):
            self.links.discard(w)
            self.abort(w)

    async def pipe(self, reader, writer):
        while data := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)  # what is being tested: a slow network
            await self.opened.wait()
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    def set(self, mode):
        def change():
            self.mode = mode
            if mode == "refuse":
                self.cut()
            if mode == "stall":
                self.opened.clear()
            else:
                self.opened.set()
        self.loop.call_soon_threadsafe(change)

    def reset(self):
        self.loop.call_soon_threadsafe(self.cut)

    def close(self):
        self.loop.call_soon_threadsafe(self.done.set)
        self.thread.join()


def stored(cluster, database="postgres", parent="/buckets/ops/collections/items"):
    """[(n, last_modified in ms)] of the live records, in the order of their timestamps."""
    rows = cluster.sql(f"SELECT data->>'n', as_epoch(last_modified) FROM objects WHERE parent_id = '{parent}'"
                       " AND resource_name = 'record' AND NOT deleted AND data ? 'n' ORDER BY last_modified", database)
    return [(int(n), int(t)) for n, t in rows]


__all__ = ["DEADLINE", "RECORDS", "SLACK", "Cluster", "Gate", "Load", "free_port", "migrate", "node", "promise", "run_tests",
           "stored", "why_not"]
