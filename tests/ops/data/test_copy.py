"""`godwit copy` between SQLite and PostgreSQL, with kill -9 on the way."""
import json
import os
import sqlite3
import sys
import tempfile

from postgres import Cluster, binary
from test_export import contents, make_export
from tool import finish, godwit, kill_when, promise, run_tests, start

RECORDS = 4000



def fresh(cluster, name, folder):
    cluster.sql(f"CREATE DATABASE {name}")
    ini = os.path.join(folder, name + ".ini")
    with open(ini, "w", encoding="utf-8") as f:
        f.write("[app:main]\nkinto.storage_backend = kinto.core.storage.postgresql\n"
                "kinto.permission_backend = kinto.core.permission.postgresql\n"
                "kinto.cache_backend = kinto.core.cache.memory\n"
                f"kinto.storage_url = {cluster.url(name)}\nkinto.permission_url = {cluster.url(name)}\n")
    godwit("migrate", "--ini", ini)
    return ini


def lines(export):
    """Without what depends on the order of members, and the header."""
    found = []
    for line in open(export, encoding="ascii"):
        value = json.loads(line)
        value.get("end", {}).pop("crc32c", None)
        found.append(value)
    return found[1:]


def timestamps(database):
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    found = db.execute("SELECT parent, resource, last_modified FROM lists ORDER BY 1, 2").fetchall()
    db.close()
    return found


@promise
def a_copy_to_postgresql_and_back_is_equal_and_goes_on_after_kill_9():
    if not binary("postgres"):
        return "not checked: PostgreSQL is not installed"
    with Cluster() as cluster, tempfile.TemporaryDirectory(prefix="godwit-copy-") as folder:
        export, a = os.path.join(folder, "export"), os.path.join(folder, "a")
        make_export(export, RECORDS)
        godwit("import", export, "--data-dir", a)
        first = os.path.join(a, "godwit.db")
        db = sqlite3.connect(first)
        # What an API cannot show: an account with its hash, and an entry of the history.
        db.execute("INSERT INTO lists VALUES (NULL, 'alice', 'account', 1700000000999, 1, 0, 40)")
        db.execute("INSERT INTO objects VALUES (NULL, last_insert_rowid(), 'alice', 1700000000999, 0,"
                   " '{\"password\":\"$2b$12$hash\"}')")
        db.commit()
        db.close()

        ini = fresh(cluster, "one", folder)
        arguments = ["copy", "--from", "sqlite:" + first, "--to", cluster.url("one"), "--json"]
        would = godwit(*arguments[:-1], "--dry-run")
        assert "would copy" in would.out and cluster.sql("SELECT count(*) FROM objects", "one") == "0"
        process = start(*arguments)
        assert kill_when(process, lambda: int(cluster.sql("SELECT count(*) FROM objects", "one")) > RECORDS // 3), \
            "it ended before it could be killed"
        finish(process)
        there = godwit(*arguments).json()
        assert there["equal"] and there["skipped"] > RECORDS // 3, there
        assert int(cluster.sql("SELECT count(*) FROM objects", "one")) == there["objects"] + there["tombstones"]

        # Back, with the source named by a configuration.
        second = os.path.join(folder, "b.db")
        arguments = ["copy", "--ini", ini, "--to", "sqlite:" + second, "--json"]
        process = start(*arguments)
        assert kill_when(process, lambda: rows(second) > RECORDS // 3), "it ended before it could be killed"
        finish(process)
        back = godwit(*arguments).json()
        assert back["equal"] and back["skipped"] > 0, back
        assert contents(first) == contents(second)
        assert timestamps(first) == timestamps(second)

        # An export of one is the export of the other.
        x, y = os.path.join(folder, "x"), os.path.join(folder, "y")
        godwit("export", "--ini", ini, x)
        godwit("export", "--from", "sqlite:" + second, y)
        assert lines(x) == lines(y)

        # And it can be brought in.
        fresh(cluster, "two", folder)
        assert godwit("import", x, "--to", cluster.url("two"), "--json").json()["check"]["equal"]
        done = godwit("copy", "--from", cluster.url("one"), "--to", cluster.url("two"), "--json")
        assert done.json()["equal"], done.out

        # What does not fit is told.
        cluster.sql("UPDATE objects SET data = '{\"n\": 0}' WHERE id = 'r10'", "two")
        cluster.sql("CREATE DATABASE three")
        done = godwit("copy", "--from", cluster.url("one"), "--to", cluster.url("two"), code=5)
        assert "differ" in done.err, done.err
        done = godwit("copy", "--from", cluster.url("one"), "--to", cluster.url("three"), code=1)
        assert "migrate" in done.err, done.err
        done = godwit("backup", "--ini", ini, os.path.join(folder, "z"), code=1)
        assert "pg_dump" in done.err
    return f"{RECORDS} records there and back"


def rows(database):
    if not os.path.exists(database):
        return 0
    try:
        db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        n = db.execute("SELECT count(*) FROM objects").fetchone()[0]
        db.close()
        return n
    except sqlite3.OperationalError:
        return 0


@promise
def impossible_copies_are_usage_errors():
    godwit("copy", code=2)
    godwit("copy", "--from", "http://127.0.0.1:1/v1", "--to", "sqlite:/tmp/x", code=2)
    godwit("copy", "--from", "sqlite:/tmp/x", "--to", "sqlite:/tmp/x", code=2)
    assert "cannot read" in godwit("copy", "--from", "sqlite:/nonexistent", "--to", "sqlite:/nonexistent/x", code=1).err


if __name__ == "__main__":
    sys.exit(run_tests({k: v for k, v in globals().items() if getattr(v, "__module__", "") == "__main__"}))
