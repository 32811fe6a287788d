#!/usr/bin/python3
"""Prometheus, OTLP, InfluxDB 2, StatsD and debug publishers, against servers that check."""
import re
import socket
import struct
import time

from harness import *


# ---- Prometheus ----

def _scrape(agent, headers=None):
    status, body = request(agent.http, "GET", "/metrics", headers=headers or {})
    assert status == 200
    return body.decode()


def _value(text, series):
    for line in text.splitlines():
        if line.startswith(series + " "):
            return float(line.rsplit(" ", 1)[1])
    return None


PROM = "[publisher:prom]\ntype = prometheus\n"


def prometheus_totals_survive_kill_9_and_count_nothing_twice(case, folder):
    agent = case.keep(Agent(folder, PROM))
    agent.start()
    n = 0
    for i in range(8):
        for _ in range(50):
            status, _ = request(agent.http, "POST", "/godwit/v1/metrics",
                                message("re.quests", 1_600_000_000_000_000 + n, 1.0, [("app", 'a"\\b')],
                                        [("lat", 20.0)]))
            assert status == 202
            n += 1
        agent.kill()
        agent.start()
    agent.drained("prom", 2 * n)
    text = _scrape(agent)
    assert _value(text, 're_quests_total{app="a\\"\\\\b"}') == n, text[:2000]
    assert _value(text, 'lat_seconds_count{app="a\\"\\\\b"}') == n
    assert abs(_value(text, 'lat_seconds_sum{app="a\\"\\\\b"}') - n * 0.02) < 1e-6
    q = _value(text, 'lat_seconds{app="a\\"\\\\b",quantile="0.5"}')
    assert abs(q - 0.02) < 0.0005, q
    # Every line is a comment or "name{labels} number".
    for line in text.splitlines():
        assert re.match(r'^(# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .*|[a-zA-Z_:][a-zA-Z0-9_:]*'
                        r'(\{([a-zA-Z_][a-zA-Z0-9_]*="(\\.|[^"\\])*",?)*\})? [-+0-9.eInfNa]+)$', line), line
    om = _scrape(agent, {"Accept": "application/openmetrics-text"})
    assert om.endswith("# EOF\n") and "# TYPE re_quests counter" in om and "# UNIT lat_seconds seconds" in om


# ---- OTLP: a decoder that knows nothing of the encoder ----

def _varint(b, i):
    v = s = 0
    while True:
        v |= (b[i] & 127) << s
        s += 7
        i += 1
        if b[i - 1] < 128:
            return v, i


def _fields(b):
    i = 0
    while i < len(b):
        k, i = _varint(b, i)
        wire = k & 7
        if wire == 0:
            v, i = _varint(b, i)
        elif wire == 1:
            v, i = b[i:i + 8], i + 8
            assert len(v) == 8
        elif wire == 2:
            n, i = _varint(b, i)
            v, i = b[i:i + n], i + n
            assert len(v) == n
        else:
            raise AssertionError(f"wire type {wire}")
        yield k >> 3, v


def _one(b, field):
    return next((v for f, v in _fields(b) if f == field), None)


def _all(b, field):
    return [v for f, v in _fields(b) if f == field]


def _attributes(b, field):
    return {_one(kv, 1).decode(): _one(_one(kv, 2), 1).decode() for kv in _all(b, field)}


def _zigzag(v):
    return (v >> 1) ^ -(v & 1)


def _decode(body):
    """{(name, sorted attributes): point}"""
    out = {}
    [rm] = _all(body, 1)
    resource = _attributes(_one(rm, 1), 1)
    assert resource["service.name"] == "godwit", resource
    for sm in _all(rm, 2):
        assert _one(_one(sm, 1), 1) == b"godwit-agent"
        for m in _all(sm, 2):
            name = _one(m, 1).decode()
            for kind, field in (("gauge", 5), ("sum", 7), ("exp", 10)):
                data = _one(m, field)
                if data is None:
                    continue
                if kind != "gauge":
                    assert _one(data, 2) in (1, 2)
                if kind == "sum":
                    assert _one(data, 3) == 1
                for p in _all(data, 1):
                    attrs = _attributes(p, 1 if kind == "exp" else 7)
                    point = {"kind": kind, "temporality": _one(data, 2) if kind != "gauge" else 0,
                             "start": struct.unpack("<Q", _one(p, 2))[0] if kind != "gauge" else 0,
                             "time": struct.unpack("<Q", _one(p, 3))[0]}
                    assert point["time"] >= point["start"] > 0 or kind == "gauge"
                    if kind == "exp":
                        point["count"] = struct.unpack("<Q", _one(p, 4))[0]
                        point["sum"] = struct.unpack("<d", _one(p, 5))[0]
                        assert _zigzag(_one(p, 6)) == 5
                        zero = struct.unpack("<Q", _one(p, 7))[0]
                        buckets = _one(p, 8)
                        offset = _zigzag(_one(buckets, 1) or 0)
                        packed, counts, i = _one(buckets, 2), [], 0
                        while i < len(packed):
                            c, i = _varint(packed, i)
                            counts.append(c)
                        assert zero + sum(counts) == point["count"]
                        point["offset"], point["counts"] = offset, counts
                        point["unit"] = (_one(m, 3) or b"").decode()
                    else:
                        point["value"] = struct.unpack("<d", _one(p, 4))[0]
                    out[name, tuple(sorted(attrs.items()))] = point
    return out


def _otlp(case, folder, more=""):
    seen = {}
    control = {"status": 200, "poison": None, "requests": 0}

    def answer(path, headers, body):
        control["requests"] += 1
        assert path == "/v1/metrics" and headers["Content-Type"] == "application/x-protobuf"
        points = _decode(body)
        if control["status"] != 200:
            return control["status"], {"Retry-After": "1"} if control["status"] == 503 else {}, b"no"
        if control["poison"] and any(n == control["poison"] for n, _ in points):
            return 400, {}, b"poison"
        seen.update(points)
        return 200, {"Content-Type": "application/x-protobuf"}, b""
    target = case.keep(Target(answer))
    agent = case.keep(Agent(folder, f"[publisher:otlp]\ntype = otlp\nurl = http://127.0.0.1:{target.port}\n"
                                    f"interval = 300ms\nretry_max = 1s\n{more}"))
    agent.start()
    return seen, control, agent


def otlp_sums_and_histograms_are_cumulative_across_kill_9(case, folder):
    seen, control, agent = _otlp(case, folder)
    n = 0
    for _ in range(4):
        for _ in range(40):
            request(agent.http, "POST", "/godwit/v1/metrics",
                    message("hits", 1_600_000_000_000_000 + n, 2.0, [("app", "x")], [("lat", 50.0)]))
            n += 1
        agent.send_statsd("temp:21.5|g|#room:a")
        eventually("it has been folded", lambda: agent.publisher("otlp")["received"] >= n)
        agent.kill()
        agent.start()
    eventually("the gauge has come", lambda: ("temp", (("room", "a"),)) in seen)
    agent.drained("otlp")
    eventually("the sum is whole", lambda: seen["hits", (("app", "x"),)]["value"] == 2 * n)
    lat = seen["lat", (("app", "x"),)]
    assert lat["count"] == n and abs(lat["sum"] - 0.05 * n) < 1e-6 and lat["unit"] == "s", lat
    base = 2 ** (2 ** -5)
    [(i, c)] = [(i, c) for i, c in enumerate(lat["counts"]) if c]
    low, high = base ** (lat["offset"] + i), base ** (lat["offset"] + i + 1)
    assert low * 0.98 <= 0.05 <= high * 1.02, (low, high)
    assert seen["temp", (("room", "a"),)]["value"] == 21.5
    assert lat["temporality"] == 2


def otlp_retries_and_quarantines_one_poison_series(case, folder):
    seen, control, agent = _otlp(case, folder)
    control["status"] = 503
    for i in range(64):
        request(agent.http, "POST", "/godwit/v1/metrics", message(f"m{i}", 1_600_000_000_000_000 + i, 1.0))
    eventually("it was refused", lambda: control["requests"] >= 2)
    assert agent.conserved("otlp", 64)["spooled"] == 64
    control["poison"] = "m17"
    control["status"] = 200
    p = agent.drained("otlp", 64)
    assert p["dead"] == 1 and p["published"] == 63, p
    assert len(seen) == 63
    assert "poison" in agent.cli("dead", "ls").stdout


def otlp_deltas_add_up(case, folder):
    total = {}
    def answer(path, headers, body):
        for key, p in _decode(body).items():
            assert p["temporality"] == 1
            total[key] = total.get(key, 0) + (p["count"] if p["kind"] == "exp" else p["value"])
        return 200, {}, b""
    target = case.keep(Target(answer))
    agent = case.keep(Agent(folder, f"[publisher:otlp]\ntype = otlp\nurl = http://127.0.0.1:{target.port}\n"
                                    "interval = 100ms\ntemporality = delta\n"))
    agent.start()
    for i in range(200):
        request(agent.http, "POST", "/godwit/v1/metrics",
                message("hits", 1_600_000_000_000_000 + i, 3.0, (), [("lat", 1.0 + i)]))
    agent.drained("otlp", 400)
    assert total == {("hits", ()): 600, ("lat", ()): 200}, total


# ---- InfluxDB 2 ----

def _v2(case, folder, control):
    stored = {}

    def answer(path, headers, body):
        control["requests"] = control.get("requests", 0) + 1
        assert path == "/api/v2/write?org=my%20org&bucket=b%2F1&precision=ns", path
        assert headers["Authorization"] == "Token s3cret"
        lines = body.decode().splitlines()
        if control.get("fail"):
            status = control["fail"].pop(0) if isinstance(control["fail"], list) else control["fail"]
            return status, control.get("headers", {}), b'{"code":"unavailable","message":"later"}'
        if len(body) > control.get("max", 1 << 30):
            return 413, {}, b'{"code":"request too large"}'
        if any("poison" in l for l in lines):
            return control.get("reject", 400), {}, b'{"code":"invalid","message":"partial write: field type conflict"}'
        for l in lines:
            series, fields, ts = l.rsplit(" ", 2)
            stored[series, int(ts)] = fields
        return 204, {}, b""
    target = case.keep(Target(answer))
    agent = case.keep(Agent(folder, f"""[publisher:v2]
type = influxdb2
url = http://127.0.0.1:{target.port}/
org = my org
bucket = b/1
token = s3cret
linger = 50ms
retry_max = 1s
"""))
    agent.start()
    return stored, agent


def influxdb2_gets_every_line_with_the_right_address(case, folder):
    control = {"fail": [503, 429, 500], "headers": {"Retry-After": "1"}}
    stored, agent = _v2(case, folder, control)
    agent.write("\n".join(f"m,i={i} v={i} {1000 + i}" for i in range(2000)))
    agent.drained("v2", 2000)
    assert len(stored) == 2000
    assert "s3cret" not in agent.log()


def influxdb2_answers_500_for_bad_data_too_and_413_for_too_much(case, folder):
    control = {"reject": 500, "max": 8000}
    stored, agent = _v2(case, folder, control)
    agent.write("\n".join(f"m,i={i} v={i} {1000 + i}" if i != 700 else 'm v="poison" 5' for i in range(1000)))
    p = agent.drained("v2", 1000)
    assert p["dead"] == 1 and len(stored) == 999, p


def a_wrong_token_loses_nothing(case, folder):
    control = {"fail": 401}
    stored, agent = _v2(case, folder, control)
    agent.write("m v=1 1\nm v=2 2")
    eventually("it was refused", lambda: not agent.publisher("v2")["up"])
    assert agent.conserved("v2", 2)["spooled"] == 2
    control["fail"] = None
    agent.process.p.send_signal(signal.SIGUSR1)
    agent.drained("v2", 2)
    assert len(stored) == 2


# ---- StatsD out, debug ----

def statsd_out_speaks_dogstatsd_and_packs(case, folder):
    s = case.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    s.bind(("127.0.0.1", 0))
    s.settimeout(PATIENCE)
    agent = case.keep(Agent(folder, f"[publisher:out]\ntype = statsd\naddress = 127.0.0.1:{s.getsockname()[1]}\n"
                                    "dogstatsd = on\nlinger = 200ms\n"))
    agent.start()
    for i in range(100):
        request(agent.http, "POST", "/godwit/v1/metrics",
                message("hits", 1_600_000_000_000_000 + i, 1.0, [("app", "x")], [("lat", 2.5)]))
    lines, packets = [], 0
    while len(lines) < 200:
        d = s.recv(65536)
        assert len(d) <= 1432
        packets += 1
        lines += d.decode().split("\n")
    assert sorted(set(lines)) == ["hits:1|c|#app:x", "lat:2.5|ms|#app:x"], set(lines)
    assert packets < 60
    p = agent.drained("out", 200)
    assert p["published"] == 200, p


def statsd_out_is_at_most_once_and_says_so(case, folder):
    path = folder + "/none.sock"
    agent = case.keep(Agent(folder, f"[publisher:out]\ntype = statsd\naddress = {path}\nlinger = 10ms\n"))
    agent.start()
    request(agent.http, "POST", "/godwit/v1/metrics", message("hits", 1_600_000_000_000_000, 1.0))
    eventually("it tries", lambda: agent.publisher("out")["retried"] > 0)
    agent.kill()
    agent.start()
    p = agent.drained("out", 1)
    assert p["dropped"] == {"at_most_once": 1} and p["published"] == 0, p


def debug_prints_what_was_sent_byte_for_byte(case, folder):
    agent = case.keep(Agent(folder, f"[publisher:d]\ntype = debug\noutput = {folder}/out\n"))
    agent.start()
    m = message("hits", 1_600_000_000_000_123, 1.0, [("app", "x")])
    request(agent.http, "POST", "/godwit/v1/metrics", m)
    agent.drained("d", 1)
    assert open(folder + "/out").read() == m + "\n"


def publishers_do_not_hold_each_other_up(case, folder):
    control = {"fail": 503}
    stored, agent = _v2(case, folder, control)
    agent.ini.write_text(agent.ini.read_text() + f"[publisher:d]\ntype = debug\noutput = {folder}/out\n")
    agent.process.p.send_signal(signal.SIGHUP)
    eventually("the new publisher is there", lambda: "d" in agent.stats()["publishers"])
    agent.write("m v=1 1")
    agent.drained("d")
    assert agent.publisher("v2")["spooled"] == 1
    control["fail"] = None
    agent.drained("v2", 1)


if __name__ == "__main__":
    main(promises(dict(globals())))
