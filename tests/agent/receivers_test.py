#!/usr/bin/python3
"""Sockets, limits, configuration, reload, restart."""
import gzip
import os
import socket
import struct
import subprocess
import time

from harness import *

DEBUG = "[publisher:d]\ntype = debug\noutput = {0}/out\n"


def _printed(folder):
    try:
        return open(folder + "/out").read()
    except FileNotFoundError:
        return ""


def _counter_total(folder, name):
    total = 0
    for line in _printed(folder).splitlines():
        try:
            m = json.loads(line)
        except ValueError:
            continue
        for c in m.get("counters", []):
            if c["name"] == name:
                total += c["value"]
    return total


def every_statsd_socket_counts_every_line(case, folder):
    agent = case.keep(Agent(folder, ""))
    tcp, six = free_port(), free_port(socket.SOCK_DGRAM)
    agent.configure(DEBUG.format(folder), statsd=f"udp6 = [::1]:{six}\nunix_dgram = {folder}/dg\n"
                    f"unix_stream = {folder}/st\ntcp = 127.0.0.1:{tcp}\norigin = on\n")
    agent.start()
    agent.send_statsd("a:1|c\nbad line\na:1:2|c|@0.5\r\n\na:1|c")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.sendto(b"a:10|c", ("::1", six))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(folder + "/dg")
        s.send(b"a:100|c\na:100|c")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(folder + "/st")
        packet = b"a:1000|c"
        for b in struct.pack("<I", len(packet)) + packet:
            s.send(bytes([b]))
    with socket.create_connection(("127.0.0.1", tcp)) as s:
        s.sendall(b"a:10000|c\na:10000|c\na:100")
        s.sendall(b"00|c")
    want = 1 + 6 + 1 + 10 + 200 + 1000 + 30000
    eventually("the window is published", lambda: _counter_total(folder, "a") == want)
    st = agent.stats()
    assert st["aggregation"]["bad"] == {"no_type": 1}, st["aggregation"]
    assert st["aggregation"]["balance"] == 0 and st["aggregation"]["lines"] == 11, st["aggregation"]
    agent.drained("d")


def kill_9_of_the_agent_changes_no_statsd_total(case, folder):
    agent = case.keep(Agent(folder, ""))
    # A unix socket: what the sender could send has been received, nothing is lost before the agent.
    agent.configure(DEBUG.format(folder), statsd=f"unix_dgram = {folder}/dg\n")
    agent.start()
    sent = 0
    for round in range(12):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(folder + "/dg")
        for i in range(200):
            s.send(b"hits:1|c|#k:v\nlat:%d|ms" % i)
            sent += 1
        # Only what recvmmsg has returned is the agent's; the kernel's buffer dies with the socket.
        eventually("the socket is empty", lambda: agent.stats()["spool"]["statsd_lines"] >= 2 * sent)
        s.close()
        if round % 3 == 1:
            windows = agent.stats()["aggregation"]["windows"]
            eventually("a window ends", lambda: agent.stats()["aggregation"]["windows"] > windows)
        agent.kill()
        agent.start()

    def closed():
        a = agent.stats()["aggregation"]  # both of one moment: a window may open between two
        return a["open_series"] == 0 and a["spooled"] == 0

    eventually("all windows are published", closed)
    agent.drained("d")
    a = agent.stats()["aggregation"]
    assert a["balance"] == 0 and a["good"] == 2 * sent, a
    # The debug file may hold a batch twice; a point is its name and window.
    points = {}
    for line in _printed(folder).splitlines():
        m = json.loads(line)
        for c in m.get("counters", []):
            points[c["name"], c["timestamp"]] = c["value"]
        for x in m.get("samples", []):
            points[x["name"], x["timestamp_ns"]] = x["count"]
    assert sum(v for (n, _), v in points.items() if n == "hits") == sent, points
    assert sum(v for (n, _), v in points.items() if n == "lat") == sent, points
    # And in the log itself no window was given out twice.
    assert agent.publisher("d")["received"] == len(points), (agent.publisher("d"), len(points))


def a_series_flood_keeps_totals_and_memory(case, folder):
    agent = case.keep(Agent(folder, ""))
    agent.configure("[publisher:prom]\ntype = prometheus\n",
                    statsd=f"unix_dgram = {folder}/dg\nmax_series = 20000\nmax_series_per_name = 5000\n")
    agent.start()
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(folder + "/dg")
    n = int(os.environ.get("FLOOD", "200000"))
    for i in range(0, n, 50):
        s.send(b"\n".join(b"flood:1|c|#id:%d" % k for k in range(i, i + 50)))
    eventually("all lines are in", lambda: agent.stats()["aggregation"]["good"] == n)
    peak = agent.rss_kib()
    def total():
        status, body = request(agent.http, "GET", "/metrics")
        return sum(float(l.rsplit(" ", 1)[1]) for l in body.decode().splitlines()
                   if l.startswith("flood_total{"))
    eventually("the totals are whole", lambda: total() == n)
    a = agent.stats()["aggregation"]
    assert a["overflowed"] > 0 and "flood" in a["offenders"], a
    peak = max(peak, agent.rss_kib())
    print(f"        {n} series: RSS {peak} KiB")
    assert peak < 128 * 1024 or "asan" in AGENT or "tsan" in AGENT, peak


def sockets_of_a_supervisor_outlive_the_agent(case, folder):
    udp = case.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("127.0.0.1", 0))
    web = case.keep(socket.socket())
    web.bind(("127.0.0.1", 0))
    web.listen(16)
    agent = case.keep(Agent(folder, ""))
    agent.statsd, agent.http = udp.getsockname()[1], web.getsockname()[1]
    agent.configure(DEBUG.format(folder))
    # The descriptors have to be 3 and 4: a shell moves them there.
    def start():
        agent.process = Process(["/bin/sh", "-c", f'exec 3<&{udp.fileno()} 4<&{web.fileno()}; '
                                 f'LISTEN_FDS=2 LISTEN_PID=$$ exec "$0" --config "$1"', AGENT, str(agent.ini)],
                                agent.dir / "agent.log", env=agent.env, pass_fds=(udp.fileno(), web.fileno()))
        eventually("ready", lambda: request(agent.http, "GET", "/readyz")[0] == 200)
    start()
    agent.send_statsd("a:1|c")
    eventually("it is in the log", lambda: agent.stats()["spool"]["statsd_lines"] == 1)
    assert agent.stop() == 0
    for _ in range(100):
        agent.send_statsd("a:1|c")  # nobody runs: the kernel keeps them
    start()
    eventually("nothing is lost", lambda: _counter_total(folder, "a") == 101)


def a_second_agent_stands_by_and_takes_over(case, folder):
    agent = case.keep(Agent(folder, DEBUG.format(folder)))
    agent.start()
    other = case.keep(Agent(folder, ""))
    other.ini = agent.dir / "other.ini"
    other.configure(DEBUG.format(folder))
    other.start(wait=False)
    eventually("it says so", lambda: "agent.standby" in agent.log())
    agent.write("m v=1 1")
    agent.drained("d", 1)
    agent.kill()
    eventually("it has taken over", lambda: request(other.http, "GET", "/readyz")[0] == 200)
    other.write("m v=2 2")
    other.drained("d", 2)
    third = case.keep(Agent(folder, ""))
    third.ini = agent.dir / "third.ini"
    third.configure(DEBUG.format(folder))
    said = third.log().count("agent.standby")
    third.start(wait=False)
    eventually("it stands by", lambda: third.log().count("agent.standby") > said)
    assert third.stop() == 0  # a standby can be told to go


def a_reload_changes_what_changed_and_keeps_the_rest(case, folder):
    agent = case.keep(Agent(folder, DEBUG.format(folder)))
    agent.start()
    agent.write("m v=1 1")
    agent.drained("d", 1)
    agent.ini.write_text(agent.ini.read_text() + "[publisher:p]\ntype = prometheus\n")
    agent.process.p.send_signal(signal.SIGHUP)
    eventually("p is there", lambda: "p" in agent.stats()["publishers"])
    agent.ini.write_text(agent.ini.read_text() + "[publisher:q]\ntyp = debug\n")
    agent.process.p.send_signal(signal.SIGHUP)
    eventually("the mistake is named", lambda: "did you mean 'type'" in agent.log())
    agent.write("m v=2 2")
    agent.drained("d", 2)
    agent.configure("[publisher:p]\ntype = prometheus\n")
    agent.process.p.send_signal(signal.SIGHUP)
    eventually("d is gone", lambda: "d" not in agent.stats()["publishers"])
    assert "d" in agent.stats()["unowned_cursors"]
    assert "pins" in agent.cli("cursor", "rm", "d").stdout
    eventually("nothing pins any more", lambda: agent.stats()["unowned_cursors"] == {})
    agent.process.p.send_signal(signal.SIGUSR2)
    eventually("the numbers are logged", lambda: "agent.stats" in agent.log())


def wrong_settings_are_named_with_file_line_and_the_nearest_key(case, folder):
    path = folder + "/bad.ini"

    def check(text, *expected):
        open(path, "w").write(text)
        r = subprocess.run([AGENT, "config", "check", "--config", path], capture_output=True, text=True)
        assert r.returncode == 3, (text, r)
        for e in expected:
            assert e in r.stderr, (e, r.stderr)
    check("[statsd]\nflush_intervall = 10s\n", "bad.ini:2", "did you mean 'flush_interval'")
    check("[publisher:x]\ntype = influx\n", "bad.ini:2", "must be one of")
    check("[publisher:x]\ntype = influxdb\n", "needs 'url'")
    check("[stats]\n", "unknown section", "did you mean 'statsd'")
    check("[statsd]\nflush_interval = soon\n", "must be a duration")
    check('{"AGENT_CHANNEL_TYP": "redis"}', "did you mean 'AGENT_CHANNEL_TYPE'")
    check("key = 1\n", "before any [section]")
    example = subprocess.run([AGENT, "config", "example"], capture_output=True, text=True)
    assert example.returncode == 0
    open(path, "w").write(example.stdout)
    r = subprocess.run([AGENT, "config", "check", path], capture_output=True, text=True)
    assert r.returncode == 0, r
    # Every line of the example is valid when it is uncommented.
    open(path, "w").write("\n".join(l[1:] if l.startswith("#") and not l.startswith("# ") else l
                                    for l in example.stdout.splitlines()))
    r = subprocess.run([AGENT, "config", "check", path], capture_output=True, text=True)
    assert r.returncode == 0, r
    env = dict(os.environ, GODWIT_AGENT_HTTP_TOKEN="hush", GODWIT_AGENT_HTTP_LISTN="x")
    r = subprocess.run([AGENT, "config", "show"], capture_output=True, text=True, env=env)
    assert r.returncode == 0 and "hush" not in r.stdout and "env GODWIT_AGENT_HTTP_TOKEN" in r.stdout, r
    assert "GODWIT_AGENT_HTTP_LISTN names no setting" in r.stderr
    assert subprocess.run([AGENT, "rnu"], capture_output=True).returncode == 2
    assert subprocess.run([AGENT], capture_output=True).returncode == 2
    assert subprocess.run([AGENT, "--version"], capture_output=True).returncode == 0


def http_refuses_what_it_must_and_keeps_the_connection(case, folder):
    agent = case.keep(Agent(folder, ""))
    agent.configure(DEBUG.format(folder), http="token = s3cret\nmax_body = 100KiB\n")
    agent.start()
    auth = {"Authorization": "Token s3cret"}
    assert request(agent.http, "POST", "/write", "m v=1 1")[0] == 401
    assert request(agent.http, "POST", "/write", "m v=1 1", {"Authorization": "Token s3creT"})[0] == 401
    assert request(agent.http, "POST", "/write", "m v=1 1", auth)[0] == 204
    assert request(agent.http, "POST", "/write", gzip.compress(b"m v=2 2"),
                   dict(auth, **{"Content-Encoding": "gzip"}))[0] == 204
    assert request(agent.http, "POST", "/write", gzip.compress(b"#" * 10_000_000),
                   dict(auth, **{"Content-Encoding": "gzip"}))[0] == 400
    assert request(agent.http, "POST", "/write", "m v=1 1\n" * 20000, auth)[0] == 413
    status, body = request(agent.http, "POST", "/write", "ok v=3 3\nm v=\n", auth)
    assert status == 400 and b"dropped=1" in body, body
    assert request(agent.http, "POST", "/godwit/v1/metrics", "[{}", auth)[0] == 400
    assert request(agent.http, "GET", "/write")[0] == 405
    assert request(agent.http, "GET", "/nothing")[0] == 404
    assert request(agent.http, "GET", "/healthz")[0] == 200
    c = http.client.HTTPConnection("127.0.0.1", agent.http, timeout=20)
    for i in range(5):
        c.request("POST", "/write", iter([b"m v=1", b" 10%d" % i]), auth, encode_chunked=True)
        r = c.getresponse()
        assert r.status == 204 and r.read() == b""
    c.close()
    agent.drained("d", 8)


def resp_speaks_what_clients_say(case, folder):
    import redis
    agent = case.keep(Agent(folder, ""))
    agent.configure(DEBUG.format(folder) + "[resp]\npassword = pw\n")
    agent.start()
    r = redis.Redis(port=agent.resp, password="pw", db=3, client_name="x")
    assert r.ping() and r.echo("hi") == b"hi" and r.llen("kadabra_queue") == 0
    assert r.info()["redis_mode"] == "standalone"
    with r.pipeline(transaction=True) as p:
        p.lpush("kadabra_queue", message("m", 1_600_000_000_000_000))
        p.lpush("kadabra_queue", message("m", 1_600_000_000_000_001), message("m", 1_600_000_000_000_002))
        assert p.execute() == [1, 2]
    assert r.rpoplpush("kadabra_queue", "x") is None and r.lrange("kadabra_queue", 0, -1) == []
    for bad in (lambda: r.lpush("other", "x"), lambda: r.set("a", "b"), lambda: r.lpush("kadabra_queue", b"")):
        try:
            bad()
            raise AssertionError("should have failed")
        except redis.exceptions.ResponseError:
            pass
    try:
        redis.Redis(port=agent.resp).ping()
        raise AssertionError("no password")
    except redis.exceptions.AuthenticationError:
        pass
    with socket.create_connection(("127.0.0.1", agent.resp)) as s:
        s.sendall(b"*1\r\n$999999999\r\n")
        assert s.recv(100).startswith(b"-ERR Protocol error")
    agent.drained("d", 3)


if __name__ == "__main__":
    main(promises(dict(globals())))
