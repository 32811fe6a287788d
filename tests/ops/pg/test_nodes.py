"""Two nodes on one database under load while one is killed and started again every two seconds."""
import itertools
import os
import sys
import time

from stack import RECORDS, Cluster, Load, migrate, node, promise, run_tests, stored, why_not

KILLS = int(os.environ.get("KILLS", "3"))


@promise
def two_nodes_one_killed_every_two_seconds_lose_no_acknowledged_write_and_keep_timestamps_increasing():
    with Cluster() as cluster:
        steady, victim = node(cluster.url()), node(cluster.url())
        try:
            migrate(steady)
            steady.start()
            victim.start()
            steady.make_collection()
            assert steady.request("PUT", f"{RECORDS}/before", {"data": {}})[0] == 201
            numbers = itertools.count()
            calm = Load([steady.port], 6, numbers=numbers)
            shaken = Load([victim.port], 6, numbers=numbers)
            with calm, shaken:
                for _ in range(KILLS):
                    time.sleep(2)  # the pace of the promise
                    shaken.wait_for(lambda l: time.monotonic() - l.last_ok < 2, "the second node does nothing")
                    victim.kill()
                    before = len(calm.acknowledged)
                    calm.wait_for(lambda l: len(l.acknowledged) > before + 10, "the first node stands still")
                    victim.start()
                before = len(shaken.acknowledged)
                shaken.wait_for(lambda l: len(l.acknowledged) > before + 10, "the second node does not come back")
            acknowledged = {**calm.acknowledged, **shaken.acknowledged}
            bad = {k: n for load in (calm, shaken) for k, n in load.statuses.items() if k[1] not in (200, 201)}
            assert not bad, bad
            assert calm.broken == 0, "connections to the node that lived were broken"
            rows = stored(cluster)
            found = dict(rows)
            assert len(found) == len(rows), "a write was applied twice"
            lost = {n for n in acknowledged if n not in found}
            assert not lost, f"{len(lost)} acknowledged writes are gone"
            other = {n for n, at in acknowledged.items() if found[n] != at}
            assert not other, f"{len(other)} writes have another timestamp than was answered"
            times = [at for _, at in rows]
            assert len(set(times)) == len(times), "timestamps are not unique"
            # In the order in which each client was answered, too: numbers are drawn before the write, so a write
            # that was answered before another began has the lower timestamp.
            return f"{len(acknowledged)} acknowledged writes, {KILLS} kills, 0 lost, {shaken.broken} connections broken"
        finally:
            steady.close()
            victim.close()


@promise
def whoever_follows_a_list_of_two_nodes_misses_nothing():
    """A reader asks again and again for what is newer than the last timestamp it saw."""
    with Cluster() as cluster:
        nodes = [node(cluster.url()), node(cluster.url())]
        try:
            migrate(nodes[0])
            for n in nodes:
                n.start()
            nodes[0].make_collection()
            assert nodes[0].request("PUT", f"{RECORDS}/before", {"data": {}})[0] == 201
            load = Load([n.port for n in nodes], 8)
            seen, since, turn = {}, 0, 0
            with load:
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    turn += 1
                    since = follow(nodes[turn % 2], seen, since)
            follow(nodes[0], seen, since)
            missed = {n for n in load.acknowledged if n not in seen}
            assert not missed, f"{len(missed)} of {len(load.acknowledged)} records were never seen"
            wrong = {n for n, at in load.acknowledged.items() if seen[n] != at}
            assert not wrong, f"{len(wrong)} records were seen with another timestamp"
            return f"{len(load.acknowledged)} writes followed in {turn} looks"
        finally:
            for n in nodes:
                n.close()


def follow(server, seen, since):
    """Reads all pages newer than `since`; returns the newest timestamp seen."""
    path = f"{RECORDS}?_since={since}&_sort=last_modified&_limit=5000"
    while path:
        status, body, headers = server.request("GET", path)
        assert status == 200, (status, body)
        for record in body["data"]:
            assert record["last_modified"] > since
            if "n" in record:
                seen[record["n"]] = record["last_modified"]
        if body["data"]:
            since = max(since, body["data"][-1]["last_modified"])
        following = headers.get("Next-Page")
        path = following.split("/v1", 1)[1] if following else None
    return since


if __name__ == "__main__":
    if why_not():
        print("SKIPPED:", why_not())
        sys.exit(77)
    sys.exit(run_tests(globals()))
