"""Backups: taken while the server writes, checked, put back."""
import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

from tool import Server, finish, godwit, kill_when, promise, run_tests, signal, start


def ids(database):
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    found = {row[0] for row in db.execute("SELECT id FROM objects WHERE deleted = 0 AND id LIKE 'w%'")}
    db.close()
    return found


class Writers:
    """Writes pairs, each in one batch, from some threads, until told to stop."""

    def __init__(self, server, count=4):
        self.server, self.serial, self.acknowledged = server, itertools.count(), []
        self.stop, self.some = threading.Event(), threading.Semaphore(0)
        self.threads = [threading.Thread(target=self.run) for _ in range(count)]
        self.failed = []

    def run(self):
        while not self.stop.is_set():
            n = next(self.serial)
            path = "/buckets/ops/collections/items/records/"
            requests = [{"method": "PUT", "path": f"{path}w{n}-{side}", "body": {"data": {"pad": "x" * 300}}}
                        for side in "ab"]
            status, body, _ = self.server.request("POST", "/batch", {"requests": requests})
            if status != 200 or any(r["status"] != 201 for r in body["responses"]):
                self.failed.append((status, body))
                return
            self.acknowledged.append(n)
            self.some.release()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def wait_for(self, more):
        for _ in range(more):
            assert self.some.acquire(timeout=60), self.failed

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()


def expect_pairs(found):
    assert found and all(i.endswith("-a") and i[:-1] + "b" in found or i[:-1] + "a" in found for i in found)
    assert len([i for i in found if i.endswith("a")]) == len([i for i in found if i.endswith("b")])


@promise
def a_backup_of_a_server_at_work_holds_all_that_was_acknowledged_before_and_no_half_of_anything():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
        server.make_collection()
        with Writers(server) as writers:
            writers.wait_for(300)
            before = set(writers.acknowledged)
            file = os.path.join(folder, "one")
            taken = godwit("backup", "--data-dir", server.data, file, "--json").json()
            writers.wait_for(100)  # nobody was stopped
        assert not writers.failed, writers.failed
        assert os.stat(file).st_mode & 0o777 == 0o600
        assert os.listdir(folder) == ["one"]
        assert taken["compressed"] < taken["bytes"] and taken["objects"] >= 2 * len(before)
        godwit("restore", "--verify", file)
        restored = os.path.join(folder, "restored")
        godwit("restore", "--data-dir", restored, file)
        found = ids(os.path.join(restored, "godwit.db"))
        expect_pairs(found)
        missing = [n for n in before if f"w{n}-a" not in found]
        assert not missing, f"{len(missing)} acknowledged writes are not in the backup"
        # The same file by another program.
        plain = subprocess.run(["zstd", "-dcq", file], capture_output=True, check=True).stdout
        assert len(plain) == taken["bytes"]
    return f"{len(before)} pairs before, {taken['objects']} objects in the backup"


@promise
def a_restored_store_is_served_and_the_former_one_is_kept():
    server = Server()
    try:
        server.start()
        server.make_collection()
        server.request("PUT", "/buckets/ops/collections/items/records/w1", {"data": {"n": 1}})
        with tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
            file = os.path.join(folder, "one")
            godwit("backup", "--data-dir", server.data, file)
            server.request("PUT", "/buckets/ops/collections/items/records/w2", {"data": {"n": 2}})
            # Crashed: what it wrote last is in the log alone.
            server.kill()
            assert "not confirmed" in godwit("restore", "--data-dir", server.data, file, code=7).err
            kept = godwit("restore", "--data-dir", server.data, file, "--yes", "--json").json()["kept"]
        assert ids(kept) == {"w1", "w2"}, "the former database lost something"
        server.start()
        assert server.request("GET", "/buckets/ops/collections/items/records/w1")[0] == 200
        assert server.request("GET", "/buckets/ops/collections/items/records/w2")[0] == 404
        assert server.request("PUT", "/buckets/ops/collections/items/records/w3", {"data": {"n": 3}})[0] == 201
    finally:
        server.close()


@promise
def a_database_in_use_is_not_overwritten():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
        server.make_collection()
        file = os.path.join(folder, "one")
        godwit("backup", "--data-dir", server.data, file)
        done = godwit("restore", "--data-dir", server.data, file, "--yes", code=1)
        assert f"process {server.process.pid}" in done.err, done.err
        done = godwit("restore", "--data-dir", server.data, file, "--dry-run")
        assert "in use" in done.out, done.out
        assert server.request("GET", "/buckets/ops")[0] == 200
        assert not [f for f in os.listdir(server.data) if "restoring" in f or "before" in f]


@promise
def a_damaged_backup_is_found_and_nothing_is_replaced():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
        server.make_collection()
        for n in range(200):
            server.request("PUT", f"/buckets/ops/collections/items/records/w{n}", {"data": {"pad": os.urandom(200).hex()}})
        file = os.path.join(folder, "one")
        godwit("backup", "--data-dir", server.data, file)
        good = open(file, "rb").read()
        target = os.path.join(folder, "target")
        godwit("restore", "--data-dir", target, file)
        before = ids(os.path.join(target, "godwit.db"))
        middle = len(good) // 2
        for name, bad in [("flipped", good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1:]),
                          ("cut", good[:middle]), ("no end", good[:-3]),
                          ("checksum", good.replace(b'"sha256":"', b'"sha256":"0', 1)),
                          ("empty", b""), ("other", b"x" * 5000)]:
            path = os.path.join(folder, "bad")
            with open(path, "wb") as f:
                f.write(bad)
            assert godwit("restore", "--verify", path, code=1).err, name
            assert godwit("restore", "--data-dir", target, path, "--yes", code=1).err, name
            assert ids(os.path.join(target, "godwit.db")) == before, name
            assert not [f for f in os.listdir(target) if "restoring" in f], name


@promise
def a_backup_that_is_killed_leaves_no_file_of_that_name_and_the_next_one_works():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
        server.make_collection()
        for n in range(40):
            requests = [{"method": "PUT", "path": f"/buckets/ops/collections/items/records/w{n}-{i}",
                         "body": {"data": {"pad": os.urandom(2000).hex()}}} for i in range(25)]
            server.request("POST", "/batch", {"requests": requests})
        file = os.path.join(folder, "one")
        process = start("backup", "--data-dir", server.data, file)
        assert kill_when(process, lambda: os.path.exists(file + ".snapshot"))
        finish(process)
        assert not os.path.exists(file)
        godwit("backup", "--data-dir", server.data, file)
        assert "exists" in godwit("backup", "--data-dir", server.data, file, code=1).err
        godwit("backup", "--data-dir", server.data, file, "--yes")
        assert os.listdir(folder) == ["one"]
        assert json.loads(godwit("restore", "--verify", file, "--json").out)["objects"] == 1002


@promise
def a_full_disk_is_told_and_leaves_nothing_behind():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-backup-") as folder:
        server.make_collection()
        if os.geteuid() != 0 or not shutil.which("mount"):
            return "not checked: needs root"
        for n in range(200):
            server.request("PUT", f"/buckets/ops/collections/items/records/w{n}", {"data": {"pad": os.urandom(2000).hex()}})
        small = os.path.join(folder, "small")
        os.mkdir(small)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True).returncode:
            return "not checked: cannot mount"
        try:
            done = godwit("backup", "--data-dir", server.data, os.path.join(small, "one"), code=1)
            assert "full" in done.err or "No space" in done.err, done.err
            assert os.listdir(small) == []
        finally:
            subprocess.run(["umount", small], check=True)
        assert server.request("GET", "/buckets/ops")[0] == 200


@promise
def other_stores_are_told_what_to_use():
    done = godwit("backup", "--set", "storage_backend=kinto.core.storage.postgresql",
                  "--set", "storage_url=postgresql://me:secret@127.0.0.1:1/db", "/nonexistent/x", code=1)
    assert "pg_dump" in done.err and "secret" not in done.err, done.err
    done = godwit("backup", "--set", "storage_backend=kinto.core.storage.memory", "/nonexistent/x", code=1)
    assert "memory" in done.err


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
