"""Export and import: what is killed goes on, what arrives is equal, memory stays flat."""
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import time
import urllib.error

from tool import CREDENTIALS, Server, finish, godwit, kill_when, promise, run_tests, signal, start

RECORDS = int(os.environ.get("RECORDS", "20000"))
MEMORY_MIB = 100
# Whoever moves a whole server must be allowed to see and write all of it.
ADMIN = tuple(word for what in ("bucket", "collection", "group", "record") for right in ("read", "write")
              for word in ("--set", f"{what}_{right}_principals=system.Authenticated"))
ANSWERS = []


class Lists:
    """Writes an export by hand, from docs/formats/export.md."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="ascii", buffering=1 << 20)
        self.rows = self.stamp = 0
        self.line({"godwit": "export", "version": 1, "from": "test", "permissions": True})

    def line(self, value):
        text = json.dumps(value, separators=(",", ":")) + "\n"
        self.file.write(text)
        return text

    def list(self, resource, parent, rows, timestamp=0):
        self.line({"list": {"resource": resource, "parent": parent}})
        count = crc = 0
        for row in rows:
            crc = crc32c(self.line(row).encode(), crc)
            count += 1
            timestamp = max(timestamp, row["last_modified"])
        self.line({"end": {"timestamp": timestamp, "rows": count, "crc32c": f"{crc:08x}"}})
        self.rows += count

    def close(self):
        self.line({"finish": {"rows": self.rows}})
        self.file.close()


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ 0x82F63B78 if n & 1 else n >> 1
        table.append(n)
    return table


TABLE = crc_table()


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


BASE = 1_700_000_000_000
# A server shows permissions to those whom the object itself lets write.
WRITE = {"write": ["basicauth:somebody", "system.Authenticated"]}


def record(n):
    stamp = BASE + n * 3
    if n % 50 == 7:
        return {"id": f"r{n}", "last_modified": stamp, "deleted": True}
    row = {"id": f"r{n}", "last_modified": stamp,
           "data": {"n": n, "title": f"record \u00fc {n}", "exact": n / 7, "nested": {"a": [1, None, True]}, "pad": "x" * 60},
           "permissions": WRITE}
    if n % 10 == 3:
        row["permissions"] = {"read": ["system.Everyone", "/buckets/main/groups/g1"], **WRITE}
    return row


def plain(ident, stamp, data=None):
    return {"id": ident, "last_modified": BASE + stamp, "data": data or {}, "permissions": WRITE}


def make_export(path, records):
    out = Lists(path)
    out.list("bucket", "", [plain("main", 1, {"kind": "test"}), plain("other", 2),
                            {"id": "gone", "last_modified": BASE + 5, "deleted": True}])
    out.list("collection", "/buckets/main", [plain("big", 1), plain("small", 2, {"sort": "-n"}), plain("empty", 3)])
    out.list("group", "/buckets/main", [plain("g1", 1, {"members": ["basicauth:a", "basicauth:b"]}),
                                        {"id": "g0", "last_modified": BASE + 9, "deleted": True}])
    small = records // 20
    out.list("record", "/buckets/main/collections/big", (record(n) for n in range(1, records - small + 1)))
    out.list("record", "/buckets/main/collections/empty", [], BASE + 77)
    out.list("record", "/buckets/main/collections/small", (record(n) for n in range(1, small + 1)))
    out.list("collection", "/buckets/other", [], BASE + 4)
    out.list("group", "/buckets/other", [], BASE + 4)
    out.close()


def contents(database, skip_writer=None):
    """A hash of everything a store holds, by another program than the one under test."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    sums = {}
    for parent, resource, ident, stamp, deleted, data in db.execute(
            "SELECT l.parent, l.resource, o.id, o.last_modified, o.deleted, o.data FROM objects o"
            " JOIN lists l ON l.id = o.list ORDER BY 1, 2, 4"):
        h = sums.setdefault((parent, resource), [0, hashlib.sha256()])
        h[0] += 1
        # PostgreSQL keeps members in an order of its own.
        data = json.dumps(json.loads(data), sort_keys=True)
        h[1].update(f"{ident} {stamp} {deleted} {data}\n".encode())
    aces = hashlib.sha256()
    count = 0
    for row in db.execute("SELECT scope || name, permission, principal FROM aces ORDER BY 1, 2, 3"):
        if row[2] == skip_writer:
            continue
        count += 1
        aces.update(repr(row).encode())
    groups = db.execute("SELECT user, principal FROM user_principals ORDER BY 1, 2").fetchall()
    db.close()
    return {k: (v[0], v[1].hexdigest()) for k, v in sums.items()}, count, aces.hexdigest(), groups


def database_of(server):
    return os.path.join(server.data, "godwit.db")


def user_of(server):
    return server.request("GET", "/")[1]["user"]["id"]


def total(server):
    try:
        status, _, headers = server.request("HEAD", "/buckets/main/collections/big/records")
    except (urllib.error.URLError, OSError):
        return 0
    return int(headers.get("Total-Objects", 0)) if status == 200 else 0


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def run_with_kills(arguments, moments, what):
    """Starts it, kills it at each moment, lets it end; the figures of the last run."""
    peak, killed, began = 0.0, 0, time.monotonic()
    for reached in moments:
        process = start(*arguments)
        if not kill_when(process, reached, 3600):
            done = finish(process)
            raise AssertionError(f"{what} ended before it could be killed: {done.code} {done.err}")
        killed += 1
        peak = max(peak, finish(process).peak_mib)
    done = finish(start(*arguments))
    assert done.code == 0, f"{what}: exit code {done.code}: {done.err}"
    peak = max(peak, done.peak_mib)
    assert peak <= MEMORY_MIB, f"{what} took {peak:.0f} MiB"
    ANSWERS.append(f"{what}: {killed} kills, peak {peak:.0f} MiB, {time.monotonic() - began:.0f} s")
    return done


@promise
def export_and_import_go_on_after_kill_9_and_what_arrives_is_equal_in_flat_memory():
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        first = os.path.join(folder, "first.jsonl")
        make_export(first, RECORDS)
        source, target = Server(*ADMIN), Server(*ADMIN)
        try:
            # Into a store, straight.
            database = database_of(source)
            wal = database + "-wal"
            done = run_with_kills(["import", first, "--data-dir", source.data, "--json"],
                                  [lambda: size(database) + size(wal) > RECORDS * 100], "import into a store")
            assert done.json()["check"]["equal"] and done.json()["present"] > 0, done.out

            # Out of a running server.
            source.start()
            url = f"http://127.0.0.1:{source.port}/v1"
            second = os.path.join(folder, "second.jsonl")
            part = second + ".part"
            done = run_with_kills(["export", "--from", url, "--auth", CREDENTIALS, "--json", second],
                                  [lambda: size(part) > size(first) // 3, lambda: size(part) > size(first) * 2 // 3],
                                  "export from a server")
            assert done.json()["check"]["equal"] and done.json()["present"] > RECORDS // 2, done.out
            assert not os.path.exists(part)
            assert os.stat(second).st_mode & 0o777 == 0o600

            # Into a running server.
            target.start()
            url = f"http://127.0.0.1:{target.port}/v1"
            done = run_with_kills(["import", second, "--to", url, "--auth", CREDENTIALS, "--json"],
                                  [lambda: total(target) > RECORDS // 3, lambda: total(target) > RECORDS * 2 // 3],
                                  "import into a server")
            assert done.json()["check"]["equal"] and done.json()["present"] > RECORDS // 2, done.out
            assert done.json()["check"]["extra"] == 0, done.out
            writer = user_of(target)
            a, b = contents(database), contents(database_of(target), writer)
            assert a == b, f"{a} is not {b}"
            assert sum(n for n, _ in a[0].values()) >= RECORDS
        finally:
            source.close()
            target.close()
    return f"{RECORDS} records; " + "; ".join(ANSWERS)


if __name__ == "__main__":
    if os.environ.get("ONLY_LARGE") != "1":
        sys.modules["test_export"] = sys.modules["__main__"]
        from more_export import *  # noqa: F401 F403 - the promises that need no large store
    sys.exit(run_tests(globals()))
