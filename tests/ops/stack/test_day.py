"""A day in production, compressed: the whole stack with real neighbours, and everything that goes wrong in one.

nginx in front, PostgreSQL and Redis behind, InfluxDB at the end of the metrics. DAY_SECONDS says how long.
"""
import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../pg")]
from cluster import Cluster  # noqa: E402
from stack import BINARY, Stack  # noqa: E402
from harness import Broken, Connection, free_port, promise, run_tests  # noqa: E402

# InfluxDB and Redis are started as the agent's tests start them.
os.environ.setdefault("GODWIT_AGENT_PROGRAM", os.path.join(os.path.dirname(BINARY), "godwit-agent"))
_spec = importlib.util.spec_from_file_location("agent_harness", os.path.join(HERE, "../../agent/harness.py"))
agent_harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(agent_harness)
Influx, Redis, eventually = agent_harness.Influx, agent_harness.Redis, agent_harness.eventually

SECONDS = float(os.environ.get("DAY_SECONDS", "60"))
CLIENTS, RELOADS = 8, 10
# Every loop finds out by itself that PostgreSQL is back.
SETTLED = 3
PAUSE = 0.02  # of each client between two requests: a steady load that two cores can bear
# Others come together now and then, so that nginx keeps connections that are idle when a generation ends.
BURSTING, BURST = 8, 0.7
RECORDS = "/buckets/day/collections/log/records"


class Nginx:
    def __init__(self, folder, upstream):
        self.dir = os.path.join(folder, "nginx")
        os.mkdir(self.dir)
        self.port = free_port()
        temporary = "\n".join(f"  {kind}_temp_path {self.dir}/{kind};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(self.dir, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
{temporary}
  access_log off;
  upstream godwit {{ server 127.0.0.1:{upstream}; keepalive 32; }}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{
      proxy_pass http://godwit;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }}
  }}
}}
""")
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", self.dir, "-c", f"{self.dir}/nginx.conf", "-e",
                                         f"{self.dir}/error.log"], stdin=subprocess.DEVNULL)

    def errors(self):
        with open(os.path.join(self.dir, "error.log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Load:
    """Clients that write a record, read it and list, and remember every answer."""

    def __init__(self, port):
        self.port = port
        self.answers = {}        # (endpoint, method) -> how many
        self.accepted = set()    # ids of writes that were acknowledged
        self.refused = []        # (when, status, body) of 503
        self.failed = []         # what must not happen
        self.stop = asyncio.Event()

    async def ask(self, connection, endpoint, method, path, body=b""):
        status, payload = await connection.ask(method, path, body)
        key = (endpoint, method)
        self.answers[key] = self.answers.get(key, 0) + 1
        if status == 503:
            clear = b'"errno":201' in payload and b"retry" in payload.lower()
            (self.refused if clear else self.failed).append((time.monotonic(), status, payload[:200]))
        elif status not in (200, 201):
            self.failed.append((time.monotonic(), method, status, payload[:200]))
        return status

    async def client(self, number):
        connection, serial = None, 0
        while not self.stop.is_set():
            try:
                if connection is None:
                    connection = await Connection(self.port).open()
                turn = serial % 4
                ident = f"c{number}-{serial // 4}"
                if turn == 0:
                    body = json.dumps({"data": {"n": serial, "text": "x" * 100}}).encode()
                    status = await self.ask(connection, "record-object", "PUT", f"{RECORDS}/{ident}", body)
                    if status in (200, 201):
                        self.accepted.add(ident)
                elif turn in (1, 2):
                    if ident in self.accepted:
                        await self.ask(connection, "record-object", "GET", f"{RECORDS}/{ident}")
                else:
                    await self.ask(connection, "record-plural", "GET", f"{RECORDS}?_limit=5")
                serial += 1
                if connection.last:
                    connection.close()
                    connection = None
            except (Broken, OSError) as e:
                # nginx is never reloaded here: no connection to it may break.
                self.failed.append((time.monotonic(), "connection", str(e)))
                connection = None
                serial += 1
            # The pace of the load.
            now = time.monotonic()
            await asyncio.sleep(PAUSE if number < CLIENTS else BURST - now % BURST)
        if connection:
            connection.close()

    async def run(self):
        await asyncio.gather(*(self.client(i) for i in range(CLIENTS + BURSTING)))


class Day:
    def __init__(self, folder):
        self.folder = folder
        self.pg = Cluster().start()
        self.pg.sql("CREATE DATABASE kinto")
        self.pg.sql("CREATE DATABASE restored")
        self.redis = Redis(folder)
        self.influx = Influx(folder)
        self.stack = Stack(os.path.join(folder, "state"))
        self.nginx = None
        self.story = []
        self.backup = os.path.join(self.pg.folder.name, "backup")

    def ids(self, database="kinto"):
        rows = self.pg.sql("SELECT id FROM objects WHERE resource_name = 'record' AND NOT deleted", database)
        return {row[0] for row in rows}

    def configure(self):
        s = self.stack
        written = s.godwit("up", "--dry-run", *s.ports)
        assert written.returncode == 0, written
        self.ini = os.path.join(s.folder, "godwit.ini")
        with open(self.ini, encoding="utf-8") as f:
            text = f.read()
        changed = {"kinto.storage_backend": "postgresql", "kinto.storage_url": self.pg.tcp_url("kinto"),
                   "kinto.permission_backend": "postgresql", "kinto.permission_url": self.pg.tcp_url("kinto"),
                   "kinto.cache_backend": "redis", "kinto.cache_url": f"redis://127.0.0.1:{self.redis.port}/0",
                   "godwit.access_log": "false"}
        for key, value in changed.items():
            text, n = re.subn(rf"(?m)^(# )?{re.escape(key)} =.*$", f"{key} = {value}", text, count=1)
            assert n == 1, key
        self.good = text
        self.write(text)
        migrated = subprocess.run([BINARY, "migrate", "--ini", self.ini], capture_output=True, text=True, timeout=60)
        assert migrated.returncode == 0, migrated
        with open(os.path.join(s.folder, "godwit-agent.ini"), "a", encoding="utf-8") as f:
            f.write(f"[publisher:influx]\ntype = influxdb\nurl = http://127.0.0.1:{self.influx.port}\n"
                    "database = test\ncreate_database = on\nretry_max = 2s\nlinger = 100ms\n")

    def write(self, text):
        with open(self.ini, "w", encoding="utf-8") as f:
            f.write(text)

    def start(self):
        self.influx.create()
        self.stack.up()
        self.nginx = Nginx(self.folder, self.stack.port)
        eventually("nginx answers", lambda: agent_harness.request(self.nginx.port, "GET", "/v1/")[0] == 200)
        for path in ("/buckets/day", "/buckets/day/collections/log"):
            assert self.stack.request("PUT", path)[0] == 201

    def stop(self):
        for part in (self.nginx, self.stack):
            if part:
                part.down() if isinstance(part, Stack) else part.stop()
        self.influx.stop()
        self.redis.kill()
        self.pg.close()

    def tell(self, what):
        self.story.append(f"{time.monotonic() - self.began:5.1f} {what}")

    # ---- what happens during the day

    def reload(self):
        done = self.stack.reload()
        assert done.returncode == 0, (done.stdout, done.stderr, self.stack.said[-3000:])

    def bad_release(self):
        generation = self.active()
        self.write(self.good.replace("/kinto\n", "/nowhere\n"))
        done = self.stack.reload("server")
        assert done.returncode == 1, done
        assert self.active() == generation, "a bad release took over"
        self.write(self.good)

    def kill_agent(self):
        [agent] = [v for v in self.stack.status()["supervisor"]["services"] if v["service"] == "agent"]
        os.kill([g["pid"] for g in agent["generations"] if g["state"] == "active"][0], 9)

    def active(self):
        return self.stack.status()["server"]["generation"]

    def dump(self):
        self.dumped = set(self.load.accepted)
        # The store is PostgreSQL: godwit names PostgreSQL's own command, and that is what is run.
        told = subprocess.run([BINARY, "backup", "--ini", self.ini, self.backup], capture_output=True, text=True,
                              timeout=60)
        [(dump, url)] = re.findall(r"hint: pg_dump (.*) '(.*)'\)", told.stderr)
        self.pg.run("pg_dump", *dump.split(), url)

    def restart_pg(self):
        self.away = [time.monotonic(), None]
        self.pg.stop()
        self.pg.start()
        # Back when a write is accepted again.
        eventually("writes are accepted", lambda: self.stack.request("PUT", "/buckets/day")[0] == 200)
        self.away[1] = time.monotonic()

    async def live(self):
        self.began = time.monotonic()
        self.load = Load(self.nginx.port)
        running = asyncio.create_task(self.load.run())
        events = {2: self.bad_release, 3: self.kill_agent, 4: self.influx.stop, 5: self.dump, 6: self.influx.start,
                  8: self.restart_pg}
        for hour in range(RELOADS):
            at = self.began + SECONDS * (hour + 0.5) / RELOADS
            await asyncio.sleep(max(0, at - time.monotonic()))  # the clock of the day
            if hour in events:
                await asyncio.to_thread(events[hour])
                self.tell(events[hour].__name__)
            await asyncio.to_thread(self.reload)
            self.tell("reload")
        await asyncio.sleep(max(0, self.began + SECONDS - time.monotonic()))
        self.load.stop.set()
        await running

    # ---- what must be true in the evening

    def published(self):
        out = {}
        for series in self.influx.query('SELECT count("value") FROM "RequestTime" GROUP BY "endpoint", "method"'):
            tags = series["tags"]
            out[(tags["endpoint"], tags["method"].upper())] = int(series["values"][0][1])
        return out

    def counted(self):
        got = self.published()
        return {k: got.get(k, 0) for k in self.load.answers}


@promise
def a_day_in_production_fails_no_request_loses_no_write_and_counts_everything_once():
    folder = tempfile.mkdtemp(prefix="godwit-day-")
    day = None
    try:
        day = Day(folder)
        day.configure()
        day.start()
        asyncio.run(day.live())
        load = day.load
        outside = [r for r in load.refused if not day.away[0] <= r[0] <= day.away[1] + SETTLED]
        context = (day.story, day.nginx.errors(), day.stack.said[-3000:])
        assert not load.failed, (len(load.failed), load.failed[:5], context)
        assert not outside, (len(outside), [(round(r[0] - day.began, 2), *r[1:]) for r in outside[:5]],
                             [round(a - day.began, 2) for a in day.away], context)
        assert len(load.accepted) > CLIENTS * SECONDS / 4, len(load.accepted)

        lost = load.accepted - day.ids()
        assert not lost, (len(lost), sorted(lost)[:5])
        day.pg.run("pg_restore", "-d", day.pg.tcp_url("restored"), day.backup)
        missing = day.dumped - day.ids("restored")
        assert day.dumped and not missing, (len(day.dumped), len(missing))

        # The last second is still in the process; afterwards nothing may come on top.
        eventually(f"InfluxDB has every request {load.answers} {day.published()}",
                   lambda: day.counted() == load.answers or sum(day.counted().values()) > sum(load.answers.values()))
        day.stack.down()
        assert day.counted() == load.answers, (day.counted(), load.answers, context)
        return (f"{SECONDS:.0f} s, {sum(load.answers.values())} requests, {len(load.accepted)} writes, "
                f"{len(load.refused)} refused while PostgreSQL restarted; {RELOADS} reloads")
    finally:
        if day:
            day.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
