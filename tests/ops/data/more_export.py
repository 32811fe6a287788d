"""More promises of export and import, imported by test_export.py."""
import json
import os
import tempfile

from tool import CREDENTIALS, Server, finish, godwit, kill_when, promise, signal, start
from test_export import ADMIN, contents, database_of, make_export, size, total


@promise
def a_damaged_or_cut_export_is_refused_before_anything_is_written():
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        good = os.path.join(folder, "good.jsonl")
        make_export(good, 300)
        text = open(good, "rb").read()
        for name, bad, word in [
                ("cut", text[: len(text) // 2], "not complete"),
                ("flipped", text.replace(b'"n":100,', b'"n":101,', 1), "checksum"),
                ("foreign", b'{"hello":1}\n' + text, "line 1"),
                ("lost", b"\n".join(l for l in text.split(b"\n") if b'"r50"' not in l), "checksum"),
                ("twice", text + text.split(b"\n")[1] + b"\n", "follows the end")]:
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(bad)
            data = os.path.join(folder, "data-" + name)
            done = godwit("import", path, "--data-dir", data, code=1)
            assert word in done.err, (name, done.err)
            assert not os.path.exists(os.path.join(data, "godwit.db")), name


@promise
def a_pipe_carries_everything():
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        first = os.path.join(folder, "first.jsonl")
        make_export(first, 500)
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        godwit("import", first, "--data-dir", a)
        out = godwit("export", "--data-dir", a, "-")
        assert out.out.startswith('{"godwit":"export"') and "not checked" in out.err
        done = godwit("import", "-", "--data-dir", b, "--json", stdin=out.out)
        assert done.json()["check"]["equal"]
        assert contents(os.path.join(a, "godwit.db")) == contents(os.path.join(b, "godwit.db"))


@promise
def a_server_is_moved_straight_into_a_store_and_a_later_run_brings_what_came_since():
    with Server(*ADMIN) as source, tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        source.make_collection()
        for n in range(60):
            assert source.request("PUT", f"/buckets/ops/collections/items/records/r{n}", {"data": {"n": n}})[0] == 201
        url = f"http://127.0.0.1:{source.port}/v1"
        arguments = ("import", url, "--auth", CREDENTIALS, "--data-dir", folder, "--json")
        assert godwit(*arguments).json()["check"]["equal"]
        source.request("PUT", "/buckets/ops/collections/items/records/r3", {"data": {"n": "new"}})
        source.request("DELETE", "/buckets/ops/collections/items/records/r4")
        done = godwit(*arguments).json()
        assert done["check"]["equal"] and done["written"] == 2, done
        assert contents(database_of(source)) == contents(os.path.join(folder, "godwit.db"))


@promise
def an_export_outlives_a_restart_of_the_server():
    with Server(*ADMIN) as source, tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        source.kill()
        first = os.path.join(folder, "first.jsonl")
        make_export(first, 20000)
        godwit("import", first, "--data-dir", source.data)
        source.start()
        second = os.path.join(folder, "second.jsonl")
        process = start("export", "--from", f"http://127.0.0.1:{source.port}/v1", "--auth", CREDENTIALS, "--json", second)
        assert wait_for(process, lambda: size(second + ".part") > size(first) // 4), "it ended too early"
        source.send(signal.SIGTERM)
        assert source.wait() == 0
        source.start()
        done = finish(process)
        assert done.code == 0, done.err
        assert done.json()["check"]["equal"] and done.json()["notes"] == [], done.out


def wait_for(process, reached):
    """kill_when() without the kill: the signal that kills is not sent."""
    import time
    while not reached():
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.002)  # a file that grows tells nobody
    return True


@promise
def a_server_that_asks_for_a_pause_gets_it():
    # Every answer says Backoff: 1.
    with Server(*ADMIN, "--set", "backoff=1") as source, tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        import time
        began = time.monotonic()
        godwit("export", "--from", f"http://127.0.0.1:{source.port}/v1", "--auth", CREDENTIALS, os.path.join(folder, "x"))
        assert time.monotonic() - began > 2, "it did not wait"


@promise
def what_differs_is_told_and_not_repaired_silently():
    with Server(*ADMIN) as target, tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        first = os.path.join(folder, "first.jsonl")
        make_export(first, 200)
        to = ("--to", f"http://127.0.0.1:{target.port}/v1", "--auth", CREDENTIALS)
        assert godwit("import", first, *to, "--json").json()["check"]["equal"]
        target.request("PUT", "/buckets/main/collections/big/records/r5", {"data": {"n": "newer"}})
        done = godwit("import", first, *to, "--json", code=5)
        assert done.json()["check"]["different"] == 1 and "r5" in done.err, done.err
        assert target.request("GET", "/buckets/main/collections/big/records/r5")[1]["data"]["n"] == "newer"


@promise
def what_was_changed_while_it_was_exported_arrives_as_it_is_now():
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        source = Server(*ADMIN)
        try:
            first = os.path.join(folder, "first.jsonl")
            make_export(first, 5000)
            godwit("import", first, "--data-dir", source.data)
            source.start()
            second = os.path.join(folder, "second.jsonl")
            arguments = ["export", "--from", f"http://127.0.0.1:{source.port}/v1", "--auth", CREDENTIALS, second]
            process = start(*arguments)
            assert kill_when(process, lambda: size(second + ".part") > size(first) // 3)
            finish(process)
            # Among what was exported already.
            records = "/buckets/main/collections/big/records"
            source.request("PUT", f"{records}/r2", {"data": {"n": "changed"}})
            source.request("DELETE", f"{records}/r3")
            godwit(*arguments)
            data = os.path.join(folder, "data")
            done = godwit("import", second, "--data-dir", data, "--json").json()
            assert done["check"]["equal"] and done["check"]["replaced"] == 2, done
            a, b = contents(database_of(source)), contents(os.path.join(data, "godwit.db"))
            assert a == b
        finally:
            source.close()


@promise
def a_dry_run_writes_nothing_and_a_file_is_not_replaced_unasked():
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        first = os.path.join(folder, "first.jsonl")
        make_export(first, 100)
        data = os.path.join(folder, "data")
        done = godwit("import", first, "--data-dir", data, "--dry-run")
        assert "would bring 108 objects" in done.out, done.out
        assert not os.path.exists(data)
        godwit("import", first, "--data-dir", data)
        before = open(first, "rb").read()
        assert "exists" in godwit("export", "--data-dir", data, first, code=1).err
        assert open(first, "rb").read() == before
        godwit("export", "--data-dir", data, first, "--yes")
        rows = [json.loads(line) for line in open(first, encoding="ascii")]
        assert rows[0]["from"].startswith("sqlite:") and rows[-1] == {"finish": {"rows": 108}}


@promise
def wrong_credentials_and_addresses_are_told_plainly():
    with Server() as server, tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        out = os.path.join(folder, "x")
        done = godwit("export", "--from", f"http://127.0.0.1:{server.port}", out, code=1)
        assert "not the root of a Kinto API" in done.err, done.err
        done = godwit("export", "--from", "mysql://x", out, code=1)
        assert "neither" in done.err
        done = godwit("export", "--from", f"http://127.0.0.1:{server.port}/v1", out, code=1)
        assert "may not" in done.err or "401" in done.err, done.err
        assert total(server) == 0


@promise
def the_example_of_the_documentation_can_be_imported():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../../../docs/formats/export.md"), encoding="utf-8") as f:
        example = f.read().split("```")[1].strip() + "\n"
    with tempfile.TemporaryDirectory(prefix="godwit-export-") as folder:
        done = godwit("import", "-", "--data-dir", folder, "--json", stdin=example).json()
        assert done["check"]["equal"] and done["written"] == 3, done
        again = godwit("export", "--data-dir", folder, "-").out
        assert again.splitlines()[1:] == example.splitlines()[1:], again
