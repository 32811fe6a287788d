"""The store beside nginx and a bare SQLite loop: CPU per request, durable writes, memory, start time.

usage: serve_bench.py BUILD_FOLDER     (SECONDS and ROUNDS from the environment)
"""
import base64
import json
import os
import sqlite3
import sys
import tempfile
import time
import urllib.request

import load

SECONDS = int(os.environ.get("SECONDS", "3"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
AUTH = "Basic " + base64.b64encode(b"bench:secret").decode()
RECORD = {
    "title": "Limosa lapponica baueri", "author": "field station 4", "tags": ["wader", "migrant", "non-stop"],
    "published": True, "distance_km": 13560, "hours": 264.5,
    "summary": "Tagged juvenile flew from Alaska to Tasmania without a stop; mass at departure 485 g, at arrival 230 g.",
}
COLLECTION = "/v1/buckets/bench/collections/flights"


def call(port, method, path, body=None, anonymous=False):
    headers = {"Content-Type": "application/json"}
    if not anonymous:
        headers["Authorization"] = AUTH
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as r:
        return r.read().decode(), r.headers


class Godwit:
    def __init__(self, build, folder):
        self.port = load.free_port()
        started = time.perf_counter()
        self.process = load.pinned(["env", "GODWIT_ACCESS_LOG=false", f"{build}/bin/godwit", "serve", "--port",
                                    str(self.port), "--threads", "1", "--data-dir", folder])
        load.wait_for(f"http://127.0.0.1:{self.port}/v1/__lbheartbeat__")
        self.ready_ms = (time.perf_counter() - started) * 1000

    def close(self):
        self.process.terminate()
        self.process.wait()


def fill(port, total):
    call(port, "PUT", "/v1/buckets/bench", {})
    call(port, "PUT", COLLECTION, {})
    for start in range(0, total, 25):
        requests = [{"method": "PUT", "path": f"{COLLECTION}/records/r{i}", "body": {"data": {**RECORD, "n": i}}}
                    for i in range(start, min(start + 25, total))]
        call(port, "POST", "/v1/batch", {"requests": requests})


def bare_sqlite(seconds, rows_per_transaction):
    """Durable rows per second of one connection and nothing else."""
    with tempfile.TemporaryDirectory(prefix="godwit-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        db = sqlite3.connect(f"{folder}/bare.db", isolation_level=None)
        db.execute("pragma journal_mode=wal")
        db.execute("pragma synchronous=full")
        db.execute("create table r(resource, parent, id, last_modified integer, data text, primary key(resource, parent, id)) without rowid")
        db.execute("create unique index t on r(resource, parent, last_modified)")
        db.execute("create table ace(uri, permission, principal, primary key(uri, permission, principal)) without rowid")
        data, n, end = json.dumps(RECORD, separators=(",", ":")), 0, time.perf_counter() + seconds
        started = time.perf_counter()
        while time.perf_counter() < end:
            db.execute("begin immediate")
            ids = [(f"{(n + i) * 2654435761 % 2**32:08x}-0000-4000-8000-{n + i:012x}", n + i) for i in range(rows_per_transaction)]
            db.executemany("insert into r values('record','/buckets/bench/collections/flights',?,?,?)", [(i, t, data) for i, t in ids])
            db.executemany("insert into ace values('/buckets/bench/collections/flights/records/'||?,'write','basicauth:bench')", [(i,) for i, _ in ids])
            db.execute("commit")
            n += rows_per_transaction
        db.close()
        return n / (time.perf_counter() - started)


POST = f'''
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{json.dumps({"data": RECORD}, separators=(",", ":"))}]]
'''


def main(build):
    with tempfile.TemporaryDirectory(prefix="godwit-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        godwit = Godwit(build, folder)
        fill(godwit.port, 100)
        base = f"http://127.0.0.1:{godwit.port}"
        record_path = f"{COLLECTION}/records/r7"
        hello, hello_headers = call(godwit.port, "GET", "/v1/", anonymous=True)
        record, record_headers = call(godwit.port, "GET", record_path)
        skip = {"content-length", "connection", "date", "content-type", "server"}

        def kept(headers):
            return [(k, v) for k, v in headers.items() if k.lower() not in skip]

        peers = {"nginx, hello's bytes": load.Nginx(hello, kept(hello_headers)),
                 "nginx, record's bytes": load.Nginx(record, kept(record_headers))}
        auth = [f"Authorization: {AUTH}"]
        cases = [
            ("nginx, hello's bytes", peers["nginx, hello's bytes"].process, peers["nginx, hello's bytes"].url, None, []),
            ("hello", godwit.process, f"{base}/v1/", None, []),
            ("hello, signed in", godwit.process, f"{base}/v1/", None, auth),
            ("nginx, record's bytes", peers["nginx, record's bytes"].process, peers["nginx, record's bytes"].url, None, auth),
            ("GET record", godwit.process, f"{base}{record_path}", None, auth),
            ("list of 100", godwit.process, f"{base}{COLLECTION}/records?_limit=100", None, auth),
            ("POST record", godwit.process, f"{base}{COLLECTION}/records", POST, auth),
        ]
        cpu, rate, bad, bare = {}, {}, {}, []
        for _ in range(ROUNDS):
            for name, process, url, script, headers in cases:
                before = load.cpu_seconds(process.pid)
                count, per_second, failed, _, _ = load.wrk(url, SECONDS, 64, script, headers)
                cpu.setdefault(name, []).append((load.cpu_seconds(process.pid) - before) / max(count, 1) * 1e6)
                rate.setdefault(name, []).append(per_second)
                bad[name] = bad.get(name, 0) + failed
            bare.append(bare_sqlite(SECONDS, 64))
        print(f"\n64 connections, {ROUNDS} rounds of {SECONDS} s, one server core, one client core; medians\n")
        print("| | CPU µs/request | × nginx, same bytes | requests/s | failed |")
        print("|---|---|---|---|---|")
        for name, *_ in cases:
            peer = "nginx, hello's bytes" if "hello" in name else "nginx, record's bytes"
            print(f"| {name} | {load.median(cpu[name]):.1f} | {load.median(cpu[name]) / load.median(cpu[peer]):.2f} "
                  f"| {load.median(rate[name]):,.0f} | {bad[name]} |")
        posts, limit = load.median(rate["POST record"]), load.median(bare)
        print(f"\nDurable writes: {posts:,.0f}/s; bare SQLite loop with 64 rows (object and ACE) per transaction: "
              f"{limit:,.0f}/s; ratio {posts / limit:.2f}")
        for peer in peers.values():
            peer.close()
        godwit.close()
    with tempfile.TemporaryDirectory(prefix="godwit-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        godwit = Godwit(build, folder)
        fill(godwit.port, 100_000)
        for i in range(0, 100_000, 997):
            call(godwit.port, "GET", f"{COLLECTION}/records/r{i}")
        rss = load.rss_mib(godwit.process.pid)
        godwit.close()
        ready = []
        for _ in range(7):
            godwit = Godwit(build, folder)
            ready.append(godwit.ready_ms)
            godwit.close()
        print(f"RSS with 100,000 records: {rss:.1f} MiB. Start to ready on that file: {load.median(ready):.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1])
