"""Reads from a streaming replica: used while it keeps up, left alone when it does not."""
import json
import os
import sys
import time
import urllib.request

from stack import RECORDS, SLACK, Cluster, migrate, node, promise, run_tests, why_not

SIGHTS = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables WHERE relname = 'objects'"
STALENESS = 2000  # ms


class Pair:
    """A primary, a replica that streams from it, and a node that knows both."""

    def __init__(self, **settings):
        self.primary = Cluster(settings=["wal_level=replica", "hot_standby=on"])
        self.primary.start()
        self.replica = Cluster(data_mount=os.path.join(self.primary.folder.name, "replica"), settings=["hot_standby=on"])
        self.primary.run("pg_basebackup", "-D", self.replica.data, "-h", self.primary.folder.name, "-p",
                         str(self.primary.port), "-X", "stream", "-R", "--checkpoint=fast")
        self.replica.start()
        self.server = node(self.primary.url(), **{"kinto.storage_read_url": self.replica.url(),
                                                  "kinto.storage_read_staleness_ms": str(STALENESS), **settings})
        migrate(self.server)
        self.server.start()
        self.server.make_collection()
        body = {"data": {"n": 1}, "permissions": {"read": ["system.Everyone"]}}
        assert self.server.request("PUT", f"{RECORDS}/open", body)[0] == 201

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()
        self.replica.close()
        self.primary.close()

    def get(self):
        """What somebody who is not signed in reads."""
        url = f"http://127.0.0.1:{self.server.port}/v1{RECORDS}/open"
        with urllib.request.urlopen(url, timeout=30) as r:
            return json.loads(r.read())["data"]["n"]

    def sights(self):
        """How often the replica has looked at objects. Sessions report their counts when idle for a while."""
        return int(self.replica.sql(SIGHTS)[0][0])

    def replica_is_read(self, seconds):
        before = self.sights()
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            for _ in range(20):
                self.get()
            if self.sights() > before:
                return True
            time.sleep(0.1)  # counts are published at this pace
        return False

    def pause_replay(self, on):
        self.replica.sql("SELECT pg_wal_replay_pause()" if on else "SELECT pg_wal_replay_resume()")


@promise
def a_replica_that_keeps_up_answers_those_who_are_not_signed_in():
    with Pair() as p:
        assert p.replica_is_read(10 + SLACK), "the replica is never read"


@promise
def what_is_read_is_never_older_than_the_bound():
    with Pair() as p:
        assert p.replica_is_read(10 + SLACK), "the replica is never read"
        p.pause_replay(True)
        assert p.server.request("PUT", f"{RECORDS}/open", {"data": {"n": 2}})[0] == 200
        written = time.monotonic()
        old, left = 0, STALENESS / 1000
        while (asked := time.monotonic()) < written + left:
            old += p.get() == 1
        assert asked >= written + left
        before = p.sights()
        for _ in range(50):
            assert p.get() == 2, "an answer older than the bound"
        time.sleep(1.5)  # counts are published once a second at most
        after = p.sights()
        assert after == before or old, "a replica that stands still is read"
        p.pause_replay(False)
        assert p.replica_is_read(10 + SLACK), "the replica is not read again once it has caught up"
        return f"{old} answers were old, all within {STALENESS} ms"


@promise
def a_replica_that_dies_costs_nobody_an_error():
    with Pair() as p:
        assert p.replica_is_read(10 + SLACK), "the replica is never read"
        p.replica.kill()
        for _ in range(50):
            assert p.get() == 1
        p.replica.start()
        assert p.replica_is_read(10 + SLACK), "the replica is not read again"


@promise
def whoever_is_signed_in_reads_from_the_primary_unless_told_otherwise():
    with Pair() as p:
        assert p.replica_is_read(10 + SLACK), "the replica is never read"
        p.pause_replay(True)
        for n in range(2, 12):
            assert p.server.request("PUT", f"{RECORDS}/open", {"data": {"n": n}})[0] == 200
            assert p.server.request("GET", f"{RECORDS}/open")[1]["data"]["n"] == n, "a user misses an own change"


if __name__ == "__main__":
    if why_not():
        print("SKIPPED:", why_not())
        sys.exit(77)
    sys.exit(run_tests(globals()))
