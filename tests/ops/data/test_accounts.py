"""Accounts, purging and the doctor."""
import base64
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

from tool import BINARY, ENVIRONMENT, Server, godwit, promise, run_tests

ACCOUNTS = {"kinto.includes": "kinto.plugins.accounts kinto.plugins.history",
            "kinto.multiauth.policies": "account",
            "kinto.multiauth.policy.account.use": "kinto.plugins.accounts.authentication.AccountsPolicy",
            "kinto.userid_hmac_secret": "for tests",
            "kinto.account_create_principals": "system.Everyone",
            "kinto.account_write_principals": "system.Everyone",
            "kinto.bucket_create_principals": "system.Authenticated",
            "kinto.storage_backend": "sqlite", "kinto.cache_backend": "sqlite", "kinto.permission_backend": "sqlite"}


def place(server):
    return ("--ini", server.ini, "--data-dir", server.data)


def who(server, name, password):
    auth = {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
    return (server.request("GET", "/", headers=auth)[1].get("user") or {}).get("id")


@promise
def an_account_is_made_changed_and_removed_while_the_server_runs():
    with Server(settings=ACCOUNTS) as server:
        godwit("user", "add", "alice", *place(server), stdin="first pass\n")
        assert who(server, "alice", "first pass") == "account:alice"
        assert "already" in godwit("user", "add", "alice", *place(server), stdin="x\n", code=1).err
        godwit("user", "passwd", "alice", *place(server), stdin="second pass\n")
        # At once, though the server remembers whom it has let in.
        assert who(server, "alice", "first pass") is None
        assert who(server, "alice", "second pass") == "account:alice"
        godwit("user", "add", "bob", *place(server), stdin="b\n")
        assert godwit("user", "list", *place(server)).out == "alice\nbob\n"
        listed = godwit("user", "list", *place(server), "--json").json()
        assert [a["name"] for a in listed] == ["alice", "bob"]
        assert "would remove" in godwit("user", "rm", "bob", *place(server), "--dry-run").out
        assert "--yes" in godwit("user", "rm", "bob", *place(server), code=7).err
        godwit("user", "rm", "bob", *place(server), "--yes")
        assert who(server, "bob", "b") is None
        assert godwit("user", "list", *place(server)).out == "alice\n"
        assert "no such" in godwit("user", "rm", "bob", *place(server), "--yes", code=1).err
        assert "no such" in godwit("user", "passwd", "bob", *place(server), stdin="x\n", code=1).err


@promise
def impossible_accounts_have_the_documented_exit_codes():
    server = Server(settings=ACCOUNTS)
    try:
        godwit("user", "add", "carol", *place(server), stdin="", code=53)
        godwit("user", "add", "not a name", *place(server), stdin="x\n", code=2)
        godwit("user", "add", "carol", "--data-dir", server.data, stdin="x\n", code=52)
        godwit("user", "add", "carol", *place(server), "--set", "readonly=true", stdin="x\n", code=51)
        assert godwit("user", "ad", code=2).err.strip().endswith("(did you mean user add?)")
        assert "--password" not in godwit("user", "add", "--help").out
    finally:
        server.close()


@promise
def a_password_typed_on_a_terminal_is_not_shown():
    server = Server(settings=ACCOUNTS)
    try:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BINARY, [BINARY, "user", "add", "dave", *place(server)], ENVIRONMENT)
        shown = b""

        def until(word):
            nonlocal shown
            end = time.monotonic() + 30
            while word not in shown:
                assert time.monotonic() < end, shown
                if select.select([terminal], [], [], 1)[0]:
                    try:
                        shown += os.read(terminal, 4096)
                    except OSError:
                        break

        until(b"enter a password")
        os.write(terminal, b"s3cret word\n")
        until(b"confirm")
        os.write(terminal, b"s3cret word\n")
        until(b"Created account")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, shown
        assert b"s3cret" not in shown, shown
        os.close(terminal)
        server.start()
        assert who(server, "dave", "s3cret word") == "account:dave"
    finally:
        server.close()


def tombstones(server):
    status, body, _ = server.request("GET", "/buckets/b/collections/c/records?_since=0", headers=AS_EVE)
    assert status == 200, body
    return len([r for r in body["data"] if r.get("deleted")])


AS_EVE = {"Authorization": "Basic " + base64.b64encode(b"eve:pass").decode()}


@promise
def old_tombstones_and_history_are_forgotten_and_nothing_else():
    with Server(settings=ACCOUNTS) as server:
        godwit("user", "add", "eve", *place(server), stdin="pass\n")
        for path in ("/buckets/b", "/buckets/b/collections/c"):
            assert server.request("PUT", path, {}, headers=AS_EVE)[0] == 201
        stamps = []
        for n in range(10):
            path = f"/buckets/b/collections/c/records/r{n}"
            assert server.request("PUT", path, {"data": {"n": n}}, headers=AS_EVE)[0] == 201
            if n % 2:
                stamps.append(server.request("DELETE", path, headers=AS_EVE)[1]["data"]["last_modified"])
        assert tombstones(server) == 5
        before = str(stamps[3])
        what = ("purge", "tombstones", *place(server))
        assert "would forget 3 tombstones" in godwit(*what, "--before", before, "--dry-run").out
        assert tombstones(server) == 5, "a dry run changed something"
        assert "--yes" in godwit(*what, code=7).err
        assert godwit(*what, "--before", before, "--yes", "--json").json() == {"purged": 3}
        assert tombstones(server) == 2
        assert godwit(*what, "--before", "1d", "--yes", "--json").json() == {"purged": 0}
        godwit(*what, "--yes")
        assert tombstones(server) == 0
        assert server.request("GET", "/buckets/b/collections/c/records", headers=AS_EVE)[0] == 200
        assert len(server.request("GET", "/buckets/b/collections/c/records", headers=AS_EVE)[1]["data"]) == 5

        history = "/buckets/b/history"
        entries = len(server.request("GET", history, headers=AS_EVE)[1]["data"])
        assert entries >= 17
        what = ("purge", "history", *place(server))
        count = godwit(*what, "--dry-run", "--json").json()["would_purge"]
        assert count == entries
        assert len(server.request("GET", history, headers=AS_EVE)[1]["data"]) == entries
        assert godwit(*what, "--before", "1999-12-31", "--yes", "--json").json() == {"purged": 0}
        assert godwit(*what, "--yes", "--json").json() == {"purged": entries}
        assert server.request("GET", history, headers=AS_EVE)[1]["data"] == []
        godwit(*what, "--before", "someday", "--yes", code=2)


def findings(*arguments, code=0):
    done = godwit("doctor", "--json", *arguments, code=code).json()
    assert done["ok"] == (code == 0)
    return done["findings"]


def about(found, check, level):
    return [f for f in found if f["check"] == check and f["level"] == level]


@promise
def the_doctor_finds_nothing_wrong_with_a_healthy_server():
    with Server(settings=ACCOUNTS) as server:
        os.chmod(server.ini, 0o600)
        found = findings(*place(server))
        assert not about(found, "configuration", "problem")
        for check in ("database", "storage", "cache", "disk", "SQLite", "permissions", "open files"):
            assert about(found, check, "ok") or check == "open files", (check, found)
        assert str(server.process.pid) in about(found, "server", "ok")[0]["text"]
        text = godwit("doctor", *place(server)).out
        assert re.search(r"^ok +database: ", text, re.M) and "\033" not in text


@promise
def the_doctor_names_what_is_wrong_and_a_fix():
    server = Server(settings=ACCOUNTS)
    try:
        server.start()
        server.kill()
        database = os.path.join(server.data, "godwit.db")
        os.chmod(server.ini, 0o644)
        os.chmod(database, 0o644)
        found = findings(*place(server), code=6)
        fixes = [f["fix"] for f in found if f["level"] == "problem"]
        assert f"chmod o= {server.ini}" in fixes and f"chmod 600 {database}" in fixes, fixes
        os.chmod(server.ini, 0o600)
        os.chmod(database, 0o600)
        assert findings(*place(server))

        found = findings("--data-dir", server.data, "--set", "godwit.host=0.0.0.0", code=6)
        assert "openssl rand" in about(found, "secrets", "problem")[0]["fix"]
        found = findings("--data-dir", server.data, "--set", "godwit.port=many", code=6)
        assert about(found, "configuration", "problem")[0]["fix"]

        with open(database, "r+b") as f:
            f.seek(4096 * 2)
            f.write(os.urandom(4096 * 3))
        for suffix in ("-wal", "-shm"):
            if os.path.exists(database + suffix):
                os.remove(database + suffix)
        found = findings(*place(server), code=6)
        assert "restore" in about(found, "database", "problem")[0]["fix"], found
        with open(database, "wb") as f:
            f.write(b"no database" * 1000)
        found = findings(*place(server), code=6)
        assert about(found, "database", "problem"), found
    finally:
        server.close()


@promise
def the_doctor_changes_nothing_where_nothing_is():
    with tempfile.TemporaryDirectory(prefix="godwit-doctor-") as folder:
        data = os.path.join(folder, "none")
        found = findings("--data-dir", data)
        assert about(found, "database", "note") and not os.path.exists(data)
        found = findings("--set", "storage_backend=kinto.core.storage.postgresql", "--set",
                         "storage_url=postgresql://me:secret@127.0.0.1:1/db", code=6)
        assert about(found, "database", "problem") and "me:secret" not in json.dumps(found)


def completed(*words):
    """What bash offers for the last word."""
    script = ('source /dev/stdin <<< "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _godwit; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True,
                          env={**ENVIRONMENT, "SCRIPT": godwit("completion", "bash").out})
    return done.stdout.split()


@promise
def bash_completes_commands_and_the_flags_of_each():
    assert {"backup", "restore", "export", "import", "copy", "user", "purge", "doctor"} <= set(completed("godwit", ""))
    assert completed("godwit", "user", "") == ["add", "list", "passwd", "rm"]
    assert {"--verify", "--yes", "--dry-run"} <= set(completed("godwit", "restore", "--"))
    assert "--verify" not in completed("godwit", "backup", "--")
    assert "--before" in completed("godwit", "purge", "history", "--b")


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
