"""The server on PostgreSQL beside pgbench running bare statements on the same PostgreSQL, in turns.

usage: pg_bench.py BUILD_FOLDER     (SECONDS and ROUNDS from the environment)
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

import load
from serve_bench import AUTH, COLLECTION, RECORD, call

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "ops", "pg"))
from cluster import Cluster, binary, family  # noqa: E402

SECONDS = int(os.environ.get("SECONDS", "3"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
CLIENTS = 32
PARENT = COLLECTION.removeprefix("/v1")
DATA = json.dumps(RECORD)  # its spaces keep pgbench from taking ":true" for a variable

SELECT = f"""
SELECT data, last_modified FROM objects WHERE id = 'r7' AND parent_id = '{PARENT}' AND resource_name = 'record' AND NOT deleted;
"""
# As a reader of many records would: few of those asked for at one moment are the same.
SPREAD = f"""
\\set n random(0, 99)
SELECT data, last_modified FROM objects WHERE id = 'r' || :n AND parent_id = '{PARENT}' AND resource_name = 'record' AND NOT deleted;
"""
# Every client has a list of its own: on one list they would fail on its unique timestamps.
INSERT = f"""
\\set a random(1, 1000000000)
\\set b random(1, 1000000000)
BEGIN;
INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted)
 VALUES ('p' || :a || '-0000-4000-8000-' || :b, '{PARENT}' || :client_id, 'record', '{DATA}', NULL, FALSE);
INSERT INTO access_control_entries (object_id, permission, principal)
 VALUES ('{PARENT}' || :client_id || '/records/p' || :a || '-0000-4000-8000-' || :b, 'write', 'bench');
COMMIT;
"""


def lua(method, body, path=None, put_in=None):
    """Lua expressions, with n counting requests: `path`, and `put_in` for what the body has at a %s."""
    text = f'wrk.method = "{method}"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[{body}]==]\n'
    if path:
        text += f"local n = 0\nrequest = function() n = n + 1; return wrk.format(nil, {path}) end\n"
    if put_in:
        text += f"local n = 0\nrequest = function() n = n + 1; return wrk.format(nil, nil, nil, string.format(wrk.body, {put_in})) end\n"
    return text


class Godwit:
    def __init__(self, build, url):
        self.port = load.free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-bench-")
        ini = os.path.join(self.folder.name, "kinto.ini")
        with open(ini, "w", encoding="utf-8") as f:
            f.write(f"[app:main]\nkinto.storage_backend = kinto.core.storage.postgresql\nkinto.storage_url = {url}\n"
                    f"kinto.permission_backend = kinto.core.permission.postgresql\nkinto.permission_url = {url}\n"
                    f"kinto.cache_backend = kinto.core.cache.postgresql\nkinto.cache_url = {url}\n"
                    "multiauth.policies = basicauth\nkinto.userid_hmac_secret = bench\nkinto.bucket_create_principals = system.Authenticated\n")
        subprocess.run([f"{build}/bin/godwit", "migrate", "--ini", ini], check=True, stdout=subprocess.DEVNULL)
        env = {**os.environ, "GODWIT_ACCESS_LOG": "false"}
        threads = os.environ.get("THREADS", "1")
        self.process = subprocess.Popen([f"{build}/bin/godwit", "serve", "--ini", ini, "--port", str(self.port), "--threads", threads],
                                        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        load.wait_for(f"http://127.0.0.1:{self.port}/v1/__lbheartbeat__")

    def stop(self):
        started = time.perf_counter()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()
        return time.perf_counter() - started


def pgbench(cluster, script):
    """(transactions per second, failed)"""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as f:
        f.write(script)
        f.flush()
        done = subprocess.run([binary("pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-T", str(SECONDS), "-f", f.name,
                              cluster.url()], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pgbench: {done.stderr[-500:]}")
    out = done.stdout
    failed = re.search(r"number of failed transactions: (\d+)", out)
    return float(re.search(r"tps = ([\d.]+)", out).group(1)), int(failed.group(1)) if failed else 0


def cpu_seconds(pid):
    """Of the process, its children, and those of them that have ended."""
    total = 0
    for p in family(pid):
        try:
            with open(f"/proc/{p}/stat", encoding="ascii", errors="replace") as f:
                total += sum(int(n) for n in f.read().rpartition(")")[2].split()[11:15])
        except OSError:
            pass  # ended meanwhile: its parent has the sum
    return total / load.TICK


def main(build):
    with Cluster(durable=True) as cluster:
        godwit = Godwit(build, cluster.url())
        base = f"http://127.0.0.1:{godwit.port}"
        call(godwit.port, "PUT", "/v1/buckets/bench", {})
        for suffix in ["", *range(CLIENTS)]:
            call(godwit.port, "PUT", f"{COLLECTION}{suffix}", {})
        for i in range(0, 100, 25):
            requests = [{"method": "PUT", "path": f"{COLLECTION}/records/r{n}", "body": {"data": {**RECORD, "n": n}}} for n in range(i, i + 25)]
            call(godwit.port, "POST", "/v1/batch", {"requests": requests})
        call(godwit.port, "PUT", f"{COLLECTION}-posts", {})
        call(godwit.port, "PUT", f"{COLLECTION}-batches", {})
        post = json.dumps({"data": RECORD}, separators=(",", ":"))
        batch = json.dumps({"defaults": {"method": "POST", "path": f"{COLLECTION}-batches/records"},
                            "requests": [{"body": {"data": RECORD}}] * 25}, separators=(",", ":"))
        spread_batch = batch.replace(f"{COLLECTION}-batches", f"{COLLECTION}%s")
        auth = [f"Authorization: {AUTH}"]

        def wrk(path, script=None, connections=CLIENTS, units=1):
            def run():
                _, per_second, failed, _, _ = load.wrk(base + path, SECONDS, connections, script, auth, pin=False)
                return per_second * units, failed
            return run

        spread = lua("POST", post, f'"{COLLECTION}" .. (n % {CLIENTS}) .. "/records"')
        cases = {
            "pgbench: prepared select of that row": lambda: pgbench(cluster, SELECT),
            "GET record": wrk(f"{COLLECTION}/records/r7"),
            "pgbench: prepared select, one of 100 rows": lambda: pgbench(cluster, SPREAD),
            "GET record, 100 in turn": wrk(f"{COLLECTION}/records/r7", lua("GET", "", f'"{COLLECTION}/records/r" .. (n % 100)')),
            "pgbench: BEGIN, insert object and ACE, COMMIT": lambda: pgbench(cluster, INSERT),
            "POST record, one collection": wrk(f"{COLLECTION}-posts/records", lua("POST", post)),
            f"POST record, {CLIENTS} collections": wrk(f"{COLLECTION}0/records", spread),
            "records in batches of 25 POST": wrk("/v1/batch", lua("POST", batch), units=25),
            f"records in batches of 25 POST, {CLIENTS} collections": wrk("/v1/batch", lua("POST", spread_batch, put_in=f"n % {CLIENTS}"), units=25),
            "POST record, 1 connection": wrk(f"{COLLECTION}-posts/records", lua("POST", post), 1),
            "records in batches of 25 POST, 1 connection": wrk("/v1/batch", lua("POST", batch), 1, 25),
            "list of 100": wrk(f"{COLLECTION}/records?_limit=100"),
        }
        rate, bad, cpu = {}, {}, {}
        for _ in range(ROUNDS):
            for name, run in cases.items():
                before = [cpu_seconds(p.pid) for p in (godwit.process, cluster.process)]
                per_second, failed = run()
                after = [cpu_seconds(p.pid) for p in (godwit.process, cluster.process)]
                rate.setdefault(name, []).append(per_second)
                bad[name] = bad.get(name, 0) + failed
                spent = [(a - b) / max(per_second * SECONDS, 1) * 1e6 for a, b in zip(after, before)]
                cpu.setdefault(name, []).append(spent)
        rss = load.rss_mib(godwit.process.pid)
        print(f"\n{CLIENTS} connections, {ROUNDS} rounds of {SECONDS} s in turns, fsync on, medians; nobody is pinned\n")
        print("| | per second | × its peer | CPU µs each: godwit | PostgreSQL | failed |")
        print("|---|---|---|---|---|---|")
        peers = {"GET record": "pgbench: prepared select of that row",
                 "GET record, 100 in turn": "pgbench: prepared select, one of 100 rows",
                 "POST record, one collection": "pgbench: BEGIN, insert object and ACE, COMMIT",
                 f"POST record, {CLIENTS} collections": "pgbench: BEGIN, insert object and ACE, COMMIT",
                 "records in batches of 25 POST": "POST record, one collection",
                 f"records in batches of 25 POST, {CLIENTS} collections": f"POST record, {CLIENTS} collections",
                 "records in batches of 25 POST, 1 connection": "POST record, 1 connection"}
        for name in cases:
            ratio = f"{load.median([a / b for a, b in zip(rate[name], rate[peers[name]])]):.2f}" if name in peers else ""
            ours, theirs = ("" if name.startswith("pgbench") else f"{load.median([c[0] for c in cpu[name]]):.0f}",
                            "" if name.startswith("pgbench") else f"{load.median([c[1] for c in cpu[name]]):.0f}")
            print(f"| {name} | {load.median(rate[name]):,.0f} | {ratio} | {ours} | {theirs} | {bad[name]} |")
        connections = cluster.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'godwit'")[0][0]
        print(f"\nRSS of godwit: {rss:.1f} MiB; its connections: {connections}; stopped in {godwit.stop() * 1000:.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1])
