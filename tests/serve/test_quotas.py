"""Quotas on a real PostgreSQL, with two servers on one database, and `godwit rebuild-quotas`."""
import json
import subprocess
import sys
import threading

from servers import BINARY, Postgres, Server, promise, run_tests

LIMIT = 60


def settings(postgres, **more):
    out = {**postgres.settings(), "kinto.multiauth.policies": "basicauth", "kinto.userid_hmac_secret": "s",
           "kinto.includes": "kinto.plugins.quotas"}
    out.update({"kinto.quotas." + k: v for k, v in more.items()})
    return out


def stored(postgres, uri):
    return json.loads(postgres.ask(
        f"SELECT data FROM objects WHERE resource_name = 'quota' AND parent_id = '{uri}'") or "null")


def command(server, *words):
    return subprocess.run([BINARY, *words, "--ini", server.ini], capture_output=True, text=True, check=False)


@promise
def two_servers_on_one_database_never_exceed_a_quota():
    with Postgres() as postgres:
        options = settings(postgres, bucket_max_items=LIMIT)
        first, second = Server(settings=options), Server(settings=options)
        assert command(first, "migrate").returncode == 0
        try:
            first.start()
            second.start()
            for name in ("a", "b"):
                first.make_collection(collection=name)
            answers = []

            def write(server, name):
                for _ in range(20):
                    answers.append(server.request("POST", f"/buckets/ops/collections/{name}/records", {"data": {"n": 1}})[0])

            threads = [threading.Thread(target=write, args=(server, name))
                       for server in (first, second) for name in ("a", "b") for _ in range(2)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert sorted(set(answers)) == [201, 507], sorted(set(answers))
            assert answers.count(201) == LIMIT, answers.count(201)
            there = sum(len(first.all_ids(collection=name)) for name in ("a", "b"))
            counted = stored(postgres, "/buckets/ops")
            assert there == LIMIT and counted["record_count"] == LIMIT, (there, counted)
            parts = [stored(postgres, f"/buckets/ops/collections/{name}") for name in ("a", "b")]
            assert sum(p["record_count"] for p in parts) == LIMIT, parts
            return f"{answers.count(201)} made, {answers.count(507)} refused, none failed otherwise"
        finally:
            first.close()
            second.close()


@promise
def rebuild_quotas_finds_what_the_plugin_would_have_counted():
    with Postgres() as postgres:
        server = Server(settings=settings(postgres))
        assert command(server, "migrate").returncode == 0
        try:
            server.start()
            server.make_collection()
            server.request("PUT", "/buckets/ops/groups/g", {"data": {"members": ["a", "b"]}})
            for n in range(1200):  # more than one page
                if n % 100 == 0:
                    requests = [{"method": "POST", "path": "/buckets/ops/collections/items/records",
                                 "body": {"data": {"n": i, "s": "é"}}} for i in range(25)]
                if n % 25 == 0:
                    assert server.request("POST", "/batch", {"requests": requests})[0] == 200
            uris = ("/buckets/ops", "/buckets/ops/collections/items")
            right = [stored(postgres, uri) for uri in uris]
            assert right[0]["record_count"] == 1200, right
            postgres.ask("UPDATE objects SET data = '{\"record_count\": 3, \"storage_size\": 1}' WHERE resource_name = 'quota'")
            told = command(server, "rebuild-quotas", "--dry-run")
            assert told.returncode == 0, told.stderr
            assert stored(postgres, uris[0])["record_count"] == 3
            done = command(server, "rebuild-quotas")
            assert done.returncode == 0, done.stderr
            assert done.stdout == told.stdout and "1200 records" in done.stdout, (told.stdout, done.stdout)
            assert [stored(postgres, uri) for uri in uris] == right, (right, [stored(postgres, u) for u in uris])
        finally:
            server.close()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
