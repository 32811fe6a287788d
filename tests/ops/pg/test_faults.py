"""PostgreSQL does not do its part: what requests see, and that everything goes on by itself afterwards.

Each test keeps eight clients reading and writing through the fault. Then: every answer was a success or a 503 with
Retry-After, within the deadline; the heartbeat said which part was away; writes and reads succeed again without help;
each acknowledged write is there, and none is there twice.
"""
import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import time

from cluster import OWNER, binary
from stack import DEADLINE, RECORDS, SLACK, Cluster, Gate, Load, migrate, node, promise, run_tests, stored, why_not

TABLES = "ALTER TABLE objects SET TABLESPACE small; ALTER TABLE access_control_entries SET TABLESPACE small;"


class Trial:
    """One fault: a server, a node, a load, and what must hold in the end."""

    def __init__(self, cluster, url=None, server=None, **settings):
        self.cluster = cluster
        self.server = server or node(url or cluster.url(), **settings)
        migrate(self.server)
        self.server.start()
        self.server.make_collection()
        assert self.server.request("PUT", f"{RECORDS}/before", {"data": {}})[0] == 201
        self.load = Load([self.server.port])
        self.load.__enter__()
        self.load.wait_for(lambda l: len(l.acknowledged) > 20, "nothing is written before the fault")

    def refused(self, methods=("GET", "POST")):
        """Waits until each of these has been answered 503 since now."""
        before = {m: self.load.statuses[(m, 503)] for m in methods}
        self.load.wait_for(lambda l: all(l.statuses[(m, 503)] > n for m, n in before.items()), f"no 503 for {methods}")

    def heartbeat(self):
        status, body, headers = self.server.request("GET", "/__heartbeat__")
        return status, body, headers

    def expect_sick(self, *parts):
        """The heartbeat says 503 and that these parts are away."""
        started = time.monotonic()
        status, body, headers = self.heartbeat()
        assert status == 503, (status, body)
        assert [body[p] for p in parts] == [False] * len(parts), body
        assert time.monotonic() - started < DEADLINE + SLACK

    def recovers(self):
        """Seconds from now until reads and writes succeed, by themselves."""
        healed = time.monotonic()
        counts = {m: (self.load.statuses[(m, 200)], self.load.statuses[(m, 201)]) for m in ("GET", "POST")}
        self.load.wait_for(lambda l: l.statuses[("GET", 200)] > counts["GET"][0]
                           and l.statuses[("POST", 201)] > counts["POST"][1], "no success after the fault")
        took = time.monotonic() - healed
        assert took < 1 + SLACK, f"{took:.1f} s until it served again"
        limit = time.monotonic() + 1 + SLACK
        while (beat := self.heartbeat())[0] != 200:
            assert time.monotonic() < limit, beat
        return took

    def ends_well(self, took):
        self.load.stop()
        load = self.load
        unexpected = {k: n for k, n in load.statuses.items() if k[1] not in (200, 201, 503)}
        assert not unexpected, unexpected
        assert load.broken == 0, f"{load.broken} connections broke"
        assert load.no_retry_after == 0, f"{load.no_retry_after} answers of 503 without Retry-After"
        assert load.slowest < DEADLINE + SLACK, f"an answer took {load.slowest:.1f} s"
        rows = stored(self.cluster)
        numbers = [n for n, _ in rows]
        twice = len(numbers) - len(set(numbers))
        lost = set(load.acknowledged) - set(numbers)
        assert twice == 0, f"{twice} writes were applied twice"
        assert not lost, f"{len(lost)} acknowledged writes are gone"
        refused = sum(n for (_, status), n in load.statuses.items() if status == 503)
        return (f"{len(load.acknowledged)} writes acknowledged, 0 lost, 0 twice, {refused} answers of 503, slowest"
                f" {load.slowest:.1f} s, serves again after {took * 1000:.0f} ms")

    def close(self):
        self.load.stop()
        self.server.close()


@contextlib.contextmanager
def trial(gated=False, max_connections=100, **settings):
    cluster = Cluster(max_connections=max_connections).start()
    gate = Gate(cluster.port) if gated else None
    test = None
    try:
        test = Trial(cluster, cluster.tcp_url(port=gate.port) if gated else cluster.url(), **settings)
        test.gate = gate
        yield test
    finally:
        if test:
            test.close()
        if gate:
            gate.close()
        cluster.close()


@promise
def postgresql_restarted_is_ridden_through_or_told():
    with trial() as t:
        t.cluster.stop()
        t.cluster.start()
        return t.ends_well(t.recovers())


@promise
def postgresql_killed_gives_503_within_the_deadline():
    with trial() as t:
        t.cluster.kill()
        t.refused()
        t.expect_sick("storage", "permission", "cache")
        t.cluster.start()
        return t.ends_well(t.recovers())


@promise
def postgresql_paused_gives_503_within_the_deadline():
    with trial() as t:
        t.cluster.signal_all(signal.SIGSTOP)
        t.refused()
        t.expect_sick("storage", "permission", "cache")
        t.cluster.signal_all(signal.SIGCONT)
        return t.ends_well(t.recovers())


@promise
def postgresql_out_of_connections_gives_503_within_the_deadline():
    with trial(max_connections=40) as t:
        # Other sessions take every slot; one that was there before ends those of the node.
        psql = [binary("psql"), "-X", "-q", t.cluster.url()]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        control = subprocess.Popen(psql, stdin=subprocess.PIPE, text=True, **quiet)
        sleeper = []
        try:
            before = t.load.statuses[("GET", 503)]
            limit = time.monotonic() + 60
            while t.load.statuses[("GET", 503)] == before:
                assert time.monotonic() < limit, dict(t.load.statuses)
                sleeper = [s for s in sleeper if s.poll() is None]  # those that found no slot have ended
                sleeper += [subprocess.Popen([*psql, "-c", "SELECT pg_sleep(120)"], **quiet) for _ in range(45 - len(sleeper))]
                control.stdin.write("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'godwit%';\n")
                control.stdin.flush()
                time.sleep(0.1)  # the pace at which slots are fought for
            t.refused()
            t.expect_sick("storage")
        finally:
            # Their sessions would go on sleeping without them.
            control.communicate("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(120)%'"
                                " AND pid <> pg_backend_pid();\n", timeout=60)
            for s in sleeper:
                s.kill()
                s.wait()
        return t.ends_well(t.recovers())


@promise
def postgresql_read_only_gives_503_for_writes_and_serves_reads():
    with trial() as t:
        def set_read_only(on):
            t.cluster.sql(f"ALTER SYSTEM SET default_transaction_read_only = {on}")
            t.cluster.sql("SELECT pg_reload_conf()")
            t.cluster.sql("SET default_transaction_read_only = off; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE application_name LIKE 'godwit%'")

        set_read_only("on")
        t.refused(("POST",))
        before = t.load.statuses[("GET", 200)]
        t.load.wait_for(lambda l: l.statuses[("GET", 200)] > before, "reads fail")
        t.expect_sick("storage")
        set_read_only("off")
        return t.ends_well(t.recovers())


@promise
def postgresql_disk_full_gives_503_for_writes_and_serves_reads():
    with tempfile.TemporaryDirectory(prefix="godwit-full-") as mount:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=48m,mode=700,uid={pwd.getpwnam(OWNER).pw_uid}", "none", mount], capture_output=True, check=False).returncode != 0:
            return "SKIPPED: a small file system cannot be mounted here"
        try:
            with trial() as t:
                t.cluster.sql(f"CREATE TABLESPACE small LOCATION '{mount}'")
                t.cluster.sql(TABLES)
                filler = os.path.join(mount, "filler")
                with open(filler, "wb") as f, contextlib.suppress(OSError):
                    while f.write(b"x" * 65536):
                        f.flush()
                # Until the last free page of the tables is used up, small records still fit.
                big = {"data": {"pad": os.urandom(200_000).hex()}}
                limit = time.monotonic() + 60
                while True:
                    status, body, headers = t.server.request("PUT", f"{RECORDS}/big", big)
                    if status != 201 and status != 200:
                        break
                    assert time.monotonic() < limit
                assert status == 503 and headers.get("Retry-After"), (status, body)
                t.refused(("POST",))
                before = t.load.statuses[("GET", 200)]
                t.load.wait_for(lambda l: l.statuses[("GET", 200)] > before, "reads fail")
                os.unlink(filler)
                took = t.recovers()
                assert "disk is full" in t.server.output(), "the log does not say what is wrong"
                return t.ends_well(took)
        finally:
            subprocess.run(["umount", "-l", mount], check=False)


@promise
def network_cut_gives_503_within_the_deadline():
    with trial(gated=True) as t:
        t.gate.set("refuse")
        t.refused()
        t.expect_sick("storage", "permission", "cache")
        t.gate.set("open")
        return t.ends_well(t.recovers())


@promise
def network_stopped_gives_503_within_the_deadline():
    with trial(gated=True) as t:
        t.gate.set("stall")
        t.refused()
        t.expect_sick("storage", "permission", "cache")
        t.gate.set("open")
        return t.ends_well(t.recovers())


@promise
def network_delayed_only_slows():
    with trial(gated=True) as t:
        t.gate.delay = 0.02
        written = len(t.load.acknowledged)
        t.load.wait_for(lambda l: len(l.acknowledged) > written + 50, "nothing is written")
        refused = sum(n for (_, status), n in t.load.statuses.items() if status == 503)
        assert refused == 0, f"{refused} answers of 503"
        t.gate.delay = 0.0
        return t.ends_well(t.recovers())


@promise
def connections_reset_lose_nothing_and_apply_nothing_twice():
    with trial(gated=True) as t:
        for _ in range(20):
            written = len(t.load.acknowledged)
            t.gate.reset()
            t.load.wait_for(lambda l: len(l.acknowledged) > written + 5, "nothing is written")
        return t.ends_well(t.recovers())


if __name__ == "__main__":
    if why_not():
        print("SKIPPED:", why_not())
        sys.exit(77)
    only = sys.argv[1:]
    sys.exit(run_tests({k: v for k, v in globals().items() if not only or any(re.search(o, k) for o in only)}))
