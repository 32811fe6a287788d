"""Kinto's own statements write into the database that a node serves: both see what the other writes.

The statements do what Kinto 1.23 does on PostgreSQL (INSERT ... ON CONFLICT on objects, tombstones by UPDATE, entries
by DELETE and INSERT, timestamps from its trigger); they were written from those facts.
"""
import itertools
import json
import subprocess
import sys
import threading


from cluster import binary
from stack import RECORDS, Cluster, Load, migrate, node, promise, run_tests, stored, why_not

PARENT = "/buckets/ops/collections/items"


def kinto_create(ident, data, principal="basicauth:kinto", at="NULL"):
    return f"""
BEGIN;
INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted)
  VALUES ('{ident}', '{PARENT}', 'record', '{json.dumps(data)}'::JSONB, from_epoch({at}), FALSE)
  ON CONFLICT (id, parent_id, resource_name) DO UPDATE
  SET last_modified = from_epoch({at}), data = '{json.dumps(data)}'::JSONB, deleted = FALSE
  WHERE objects.deleted = TRUE;
DELETE FROM access_control_entries WHERE object_id = '{PARENT}/records/{ident}' AND permission = 'write';
INSERT INTO access_control_entries (object_id, permission, principal)
  VALUES ('{PARENT}/records/{ident}', 'write', '{principal}');
COMMIT;
"""


def kinto_update(ident, data):
    return f"""
INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted)
  VALUES ('{ident}', '{PARENT}', 'record', '{json.dumps(data)}'::JSONB, NULL, FALSE)
  ON CONFLICT (id, parent_id, resource_name) DO UPDATE
  SET data = '{json.dumps(data)}'::JSONB, deleted = FALSE, last_modified = EXCLUDED.last_modified;
"""


def kinto_delete(ident):
    return f"""
UPDATE objects SET deleted = TRUE, data = '{{"deleted": true}}'::JSONB, last_modified = NULL
  WHERE id = '{ident}' AND parent_id = '{PARENT}' AND resource_name = 'record' AND deleted = FALSE;
DELETE FROM access_control_entries WHERE object_id = '{PARENT}/records/{ident}';
"""


KINTO_READ = f"""
SELECT as_epoch(last_modified), data FROM objects
 WHERE id = '%s' AND parent_id = '{PARENT}' AND resource_name = 'record' AND NOT deleted;
"""
KINTO_LIST_TIMESTAMP = f"""
SELECT as_epoch(max(last_modified)) FROM objects WHERE parent_id = '{PARENT}' AND resource_name = 'record';
"""


@promise
def each_sees_at_once_what_the_other_writes():
    with Cluster() as cluster:
        server = node(cluster.url())
        try:
            migrate(server)
            server.start()
            server.make_collection()
            # Kinto writes, the node reads.
            me = server.request("GET", "/")[1]["user"]["id"]
            cluster.sql(kinto_create("k1", {"title": "from Kinto", "n": 1}, me))
            status, body, headers = server.request("GET", f"{RECORDS}/k1")
            assert status == 200 and body["data"]["title"] == "from Kinto", body
            assert body["permissions"] == {"write": [me]}, body
            at = int(cluster.sql(KINTO_READ % "k1")[0][0])
            assert body["data"]["last_modified"] == at and headers["ETag"] == f'"{at}"'
            # The node changes it on condition of what Kinto wrote; Kinto reads the change.
            status, body, _ = server.request("PATCH", f"{RECORDS}/k1", {"data": {"title": "both"}}, {"If-Match": f'"{at}"'})
            assert status == 200, body
            row = cluster.sql(KINTO_READ % "k1")[0]
            assert int(row[0]) == body["data"]["last_modified"] > at
            data = json.loads(row[1])
            assert data["title"] == "both" and "id" not in data and "last_modified" not in data, data
            # Kinto deletes it; the node serves the tombstone and the new timestamp.
            cluster.sql(kinto_delete("k1"))
            status, body, _ = server.request("GET", f"{RECORDS}/k1")
            assert status == 404, body
            newest = int(cluster.sql(KINTO_LIST_TIMESTAMP)[0][0])
            status, body, headers = server.request("GET", f"{RECORDS}?_since={at}")
            assert body["data"] == [{"id": "k1", "last_modified": newest, "deleted": True}], body
            assert headers["ETag"] == f'"{newest}"'
            # Both replace a tombstone.
            status, body, _ = server.request("PUT", f"{RECORDS}/k1", {"data": {"n": 2}})
            assert status == 201 and body["data"]["last_modified"] > newest, body
            assert server.request("DELETE", f"{RECORDS}/k1")[0] == 200
            cluster.sql(kinto_create("k1", {"n": 3}))
            assert server.request("GET", f"{RECORDS}/k1")[1]["data"]["n"] == 3
            # Of what the node deleted, Kinto finds a tombstone as its own.
            server.request("DELETE", f"{RECORDS}/k1")
            assert cluster.sql("SELECT data, deleted FROM objects WHERE id = 'k1'") == [['{"deleted": true}', "t"]]
            assert cluster.sql("SELECT count(*) FROM access_control_entries WHERE object_id LIKE '%/records/k1'") == [["0"]]
        finally:
            server.close()


@promise
def writing_the_same_list_at_once_loses_nothing_and_gives_no_timestamp_twice():
    with Cluster() as cluster:
        server = node(cluster.url())
        try:
            migrate(server)
            server.start()
            server.make_collection()
            assert server.request("PUT", f"{RECORDS}/before", {"data": {}})[0] == 201
            numbers, stop, written, clashes = itertools.count(), threading.Event(), set(), [0]

            def kinto():
                """One of Kinto's workers: a session that creates, and tries again when a timestamp is taken."""
                session = subprocess.Popen([binary("psql"), "-X", "-q", "-At", cluster.url()], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                while not stop.is_set():
                    n = next(numbers)
                    while True:
                        session.stdin.write(kinto_create(f"kinto-{n}", {"n": n}) + "ROLLBACK;\n\\echo done\n")
                        session.stdin.flush()
                        said = ""
                        while not said.endswith("done\n"):
                            said += session.stdout.readline()
                        if "ERROR" not in said:
                            break
                        assert "idx_objects_parent_id_resource_name_last_modified" in said, said
                        clashes[0] += 1
                    written.add(n)
                session.communicate()

            workers = [threading.Thread(target=kinto) for _ in range(2)]
            load = Load([server.port], 6, numbers=numbers, updates=False)
            with load:
                for w in workers:
                    w.start()
                load.wait_for(lambda l: len(l.acknowledged) > 200 and len(written) > 50, "too little is written", 120)
                stop.set()
                for w in workers:
                    w.join()
            bad = {k: n for k, n in load.statuses.items() if k[1] not in (200, 201)}
            assert not bad, f"the node did not settle a clash by itself: {bad}"
            rows = stored(cluster)
            found = dict(rows)
            lost = (set(load.acknowledged) | written) - set(found)
            assert not lost, f"{len(lost)} writes are gone"
            times = [t for _, t in rows]
            assert len(set(times)) == len(times), "timestamps are not unique"
            return f"{len(load.acknowledged)} writes of the node, {len(written)} of Kinto, which met {clashes[0]} clashes of its own"
        finally:
            server.close()


if __name__ == "__main__":
    if why_not():
        print("SKIPPED:", why_not())
        sys.exit(77)
    sys.exit(run_tests(globals()))
