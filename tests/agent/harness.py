"""Starts the real things on free loopback ports in a temporary folder, and stops them again.

Everything waits for conditions with generous deadlines; nothing measures time.
"""
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
import zlib

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
from ports import free_port  # noqa: E402

AGENT = os.environ.get("GODWIT_AGENT_PROGRAM") or sys.argv[1]
PATIENCE = 60


def eventually(what, condition, patience=PATIENCE):
    """Waits until condition() is true; its last value is returned."""
    end = time.monotonic() + patience
    last = None
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return last
        except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
            last = e
        time.sleep(0.03)
    raise AssertionError(f"never happened: {what}; last: {last!r}")


def request(port, method, path, body=None, headers=None, timeout=20):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, r.read()
    finally:
        c.close()


class Process:
    def __init__(self, args, log, env=None, pass_fds=()):
        self.log = open(log, "ab")
        self.p = subprocess.Popen(args, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                  env=env, pass_fds=pass_fds)

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()
        self.log.close()

    def terminate(self, patience=PATIENCE):
        if self.p.poll() is None:
            self.p.terminate()
        try:
            return self.p.wait(patience)
        finally:
            self.log.close()

    def running(self):
        return self.p.poll() is None


class Influx:
    """Debian's influxd 1.6."""

    def __init__(self, folder, port=None):
        self.dir = pathlib.Path(folder) / "influx"
        self.dir.mkdir(exist_ok=True)
        self.port = port or free_port()
        self.rpc = free_port()
        (self.dir / "influx.conf").write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{self.rpc}"
[meta]
  dir = "{self.dir}/meta"
[data]
  dir = "{self.dir}/data"
  wal-dir = "{self.dir}/wal"
  query-log-enabled = false
  max-series-per-database = 0
  max-values-per-tag = 0
[http]
  bind-address = "127.0.0.1:{self.port}"
  log-enabled = false
[monitor]
  store-enabled = false
[retention]
  enabled = false
[continuous_queries]
  enabled = false
""")
        self.process = None
        self.start()

    def start(self):
        self.process = Process(["influxd", "-config", str(self.dir / "influx.conf")],
                               self.dir / "log")
        eventually("influxd answers", lambda: request(self.port, "GET", "/ping")[0] == 204)

    def stop(self):
        self.process.kill()

    def query(self, q, db="test"):
        status, body = request(self.port, "POST", "/query",
                               urllib.parse.urlencode({"q": q, "db": db, "epoch": "ns"}),
                               {"Content-Type": "application/x-www-form-urlencoded"}, timeout=300)
        assert status == 200, (status, body)
        r = json.loads(body)["results"][0]
        assert "error" not in r, r
        return r.get("series", [])

    def create(self, db="test"):
        self.query(f'CREATE DATABASE "{db}"')

    def count(self, measurement, field="value", db="test"):
        s = self.query(f'SELECT count("{field}") FROM "{measurement}"', db)
        return s[0]["values"][0][1] if s else 0

    def sum(self, measurement, field="value", db="test"):
        s = self.query(f'SELECT sum("{field}") FROM "{measurement}"', db)
        return s[0]["values"][0][1] if s else 0

    def numbered(self, measurement, by, field="value", db="test"):
        """{tag: how many} of points whose values are 0, 1, 2 ...; fails when one is missing or twice."""
        q = 'SELECT count("{0}"), sum("{0}"), max("{0}"), min("{0}") FROM "{1}" GROUP BY "{2}"'
        out = {}
        for s in self.query(q.format(field, measurement, by), db):
            _, count, total, last, first = s["values"][0]
            assert first == 0 and last + 1 == count, (s, "a point is missing")
            assert total == count * (count - 1) // 2, (s, "a point is missing, another is there twice")
            out[s["tags"][by]] = count
        if sum(out.values()) > 1_000_000:
            return out  # too many for InfluxDB to hold them all at once
        q = 'SELECT count(distinct("{0}")) FROM "{1}" GROUP BY "{2}"'
        for s in self.query(q.format(field, measurement, by), db):
            assert s["values"][0][1] == out[s["tags"][by]], (s, out, "a point is there twice")
        return out

    def rows(self, measurement, db="test"):
        s = self.query(f'SELECT * FROM "{measurement}"', db)
        return [dict(zip(s[0]["columns"], v)) for v in s[0]["values"]] if s else []


class Redis:
    def __init__(self, folder, port=None, args=()):
        self.dir = pathlib.Path(folder) / f"redis-{port or 0}"
        self.dir.mkdir(exist_ok=True)
        self.port = port or free_port()
        self.args = list(args)
        self.start()

    def start(self):
        import redis
        self.process = Process(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                                "--save", "", "--appendonly", "no", "--dir", str(self.dir),
                                "--daemonize", "no"] + self.args, self.dir / "log")
        self.client = redis.Redis(port=self.port)
        def up():
            try:
                return self.client.ping()
            except redis.exceptions.RedisError:
                return False
        eventually("redis answers", up)

    def kill(self):
        self.process.kill()


class Agent:
    def __init__(self, folder, config, env=None):
        self.dir = pathlib.Path(folder)
        self.spool = self.dir / "spool"
        self.http = free_port()
        self.statsd = free_port(socket.SOCK_DGRAM)
        self.resp = free_port()
        self.ini = self.dir / "agent.ini"
        self.env = dict(os.environ, **(env or {}))
        for name in ("GODWIT_AGENT_PROGRAM", "LISTEN_FDS", "LISTEN_PID"):
            self.env.pop(name, None)
        self.configure(config)
        self.process = None

    def configure(self, config, spool="", statsd="", agent="", http=""):
        self.ini.write_text(f"""
[agent]
self_metrics = 0
add_host = off
log_format = text
{agent}
[spool]
path = {self.spool}
min_free = 0
{spool}
[statsd]
udp = 127.0.0.1:{self.statsd}
flush_interval = 1s
{statsd}
[http]
listen = 127.0.0.1:{self.http}
{http}
[resp]
listen = 127.0.0.1:{self.resp}
{config}
""")

    def start(self, wait=True, pass_fds=()):
        self.process = Process([AGENT, "--config", str(self.ini)], self.dir / "agent.log",
                               env=self.env, pass_fds=pass_fds)
        if wait:
            def up():
                assert self.process.running(), self.log()
                return request(self.http, "GET", "/readyz")[0] == 200
            eventually("the agent is ready", up)
        return self

    def kill(self):
        self.process.kill()

    def stop(self, patience=PATIENCE):
        return self.process.terminate(patience)

    def stats(self):
        status, body = request(self.http, "GET", "/stats")
        assert status == 200, body
        return json.loads(body)

    def publisher(self, name):
        return self.stats()["publishers"][name]

    def log(self):
        return (self.dir / "agent.log").read_text(errors="replace")

    def cli(self, *args, check=True):
        r = subprocess.run([AGENT, *args, "--spool", str(self.spool)], capture_output=True,
                           text=True, env=self.env, timeout=60)
        if check:
            assert r.returncode == 0, (args, r.returncode, r.stdout, r.stderr)
        return r

    def conserved(self, name, produced=None):
        """received = published + dead + dropped + spooled, exactly; returns the publisher."""
        p = self.publisher(name)
        dropped = sum(p["dropped"].values())
        assert p["balance"] == 0, p
        assert p["received"] == p["published"] + p["dead"] + dropped + p["spooled"], p
        if produced is not None:
            assert p["received"] == produced, (produced, p)
        return p

    def drained(self, name, produced=None):
        """Waits until everything is decided, then checks the account."""
        def done():
            p = self.publisher(name)
            return p["spooled"] == 0 and (produced is None or p["received"] >= produced)
        eventually(f"{name} has caught up", done)
        return self.conserved(name, produced)

    def rss_kib(self, what="VmRSS:"):
        for line in open(f"/proc/{self.process.p.pid}/status"):
            if line.startswith(what):
                return int(line.split()[1])
        return 0

    def peak_rss_kib(self):
        return self.rss_kib("VmHWM:")

    def write(self, lines, path="/write"):
        status, body = request(self.http, "POST", path, lines)
        assert status == 204, (status, body)

    def send_statsd(self, text):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(text.encode(), ("127.0.0.1", self.statsd))


class Gate:
    """A TCP gate: passes bytes on, or refuses, or forgets the answer after the request arrived."""

    def __init__(self, target):
        self.target = target
        self.mode = "pass"
        self.swallowed = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.closed = False
        self.pairs = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                a.close()
                continue
            try:
                b = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                a.close()
                continue
            self.pairs.add((a, b))
            threading.Thread(target=self._pump, args=(a, b, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(b, a, True), daemon=True).start()

    def _pump(self, a, b, answer):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if answer and self.mode == "swallow":
                    self.swallowed += 1
                    break
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, mode):
        self.mode = mode
        for a, b in list(self.pairs):
            for s in (a, b):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()

    def close(self):
        self.closed = True
        self.listener.close()
        self.cut("refuse")


class Target(http.server.ThreadingHTTPServer):
    """A test server that checks the protocol; answer(path, headers, body) -> (status, headers, body)."""
    daemon_threads = True

    def __init__(self, answer):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                n = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(n)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = zlib.decompress(body, 31)
                status, headers, out = outer.answer(self.path, self.headers, body)
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *a):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.handle_error = lambda *a: None  # an agent that is killed breaks its connections
        self.answer = answer
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


INFLUX = """
[publisher:influx]
type = influxdb
url = http://127.0.0.1:{port}
database = test
linger = 100ms
retry_max = 1s
{more}
"""


def influx_publisher(port, more=""):
    return INFLUX.format(port=port, more=more)


def message(name, us, value=1.0, dims=(), timers=()):
    """A message as Kadabra's client serialises it."""
    def stamp(t):
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t // 1000000)) + ".%06dZ" % (t % 1000000)
    return json.dumps({
        "dimensions": [{"name": k, "value": v} for k, v in dims],
        "counters": [{"name": name, "metadata": {}, "timestamp": stamp(us), "value": value}],
        "timers": [{"name": n, "unit": {"name": "milliseconds", "seconds_offset": 1000.0},
                    "metadata": {}, "timestamp": stamp(us), "value": v} for n, v in timers],
        "timestamp_format": "%Y-%m-%dT%H:%M:%S.%fZ",
        "serialized_at": stamp(us)})


class Case:
    """Runs functions named as promises, each in a folder of its own, and cleans up behind them."""

    def __init__(self):
        self.things = []

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def close(self):
        for t in reversed(self.things):
            try:
                if isinstance(t, Agent):
                    if t.process and t.process.running():
                        t.kill()
                elif isinstance(t, Influx):
                    t.stop()
                elif isinstance(t, Redis):
                    t.kill()
                elif isinstance(t, Target):
                    t.shutdown()
                    t.server_close()
                else:
                    t.close()
            except Exception:
                pass


def main(tests):
    wanted = [a for a in sys.argv[2:]] or list(tests)
    failed = 0
    for name in wanted:
        folder = tempfile.mkdtemp(prefix="godwit-agent-")
        case = Case()
        begin = time.monotonic()
        try:
            tests[name](case, folder)
            print(f"ok      {name}  ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {name}", flush=True)
            traceback.print_exc()
            for log in pathlib.Path(folder).glob("agent*.log"):
                print("--- " + log.name, log.read_text(errors="replace")[-4000:], sep="\n")
        finally:
            case.close()
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


def promises(scope):
    """The functions of a module that promise something: everything public taking (case, folder)."""
    return {n: f for n, f in scope.items()
            if callable(f) and getattr(f, "__code__", None)
            and f.__code__.co_varnames[:2] == ("case", "folder") and not n.startswith("_")}
