#!/usr/bin/python3
"""From every receiver into a real InfluxDB, with whatever goes wrong on the way."""
import threading
import time

from harness import *


def _setup(case, folder, more="", gate=False):
    influx = case.keep(Influx(folder))
    influx.create()
    port = influx.port
    g = None
    if gate:
        g = case.keep(Gate(influx.port))
        port = g.port
    agent = case.keep(Agent(folder, influx_publisher(port, more)))
    agent.start()
    return influx, agent, g


def every_receiver_reaches_influxdb(case, folder):
    import redis
    influx, agent, _ = _setup(case, folder)
    agent.write("cpu,host=a usage=1.5,idle=2i 1000\ncpu,host=b usage=2.5 1000\n")
    agent.write("cpu,host=c usage=3.5 1", "/api/v2/write?org=o&bucket=b&precision=s")
    status, _ = request(agent.http, "POST", "/godwit/v1/metrics",
                        "[" + message("json", 1_600_000_000_000_000, 2.5, [("app", "k e,y=")],
                                      [("t", 12.5)]) + "]")
    assert status == 202
    r = redis.Redis(port=agent.resp)
    assert r.ping()
    assert r.lpush("kadabra_queue", message("resp", 1_600_000_000_000_001, 1.0, [("app", "x")])) == 1
    agent.send_statsd("hits:1|c|#a:b\nhits:2|c|#a:b\nlat:10|ms\nlat:20|ms\n")
    p = agent.drained("influx")
    eventually("the window is published", lambda: influx.count("hits") == 1)
    agent.drained("influx")
    assert sorted(x["usage"] for x in influx.rows("cpu")) == [1.5, 2.5, 3.5]
    [j] = influx.rows("json")
    assert j["value"] == 2.5 and j["app"] == "k e,y=", j
    assert j["time"] // 1000 == 1_600_000_000_000_000
    [t] = influx.rows("t")
    assert t["value"] == 12.5 and t["unit"] == "milliseconds", t
    assert influx.count("resp") == 1
    [h] = influx.rows("hits")
    assert h["value"] == 3 and h["a"] == "b" and h["rate"] == 3.0, h
    [lat] = influx.rows("lat")
    assert lat["count"] == 2 and lat["sum"] == 30 and lat["min"] == 10 and lat["max"] == 20, lat


def one_poison_line_in_5000_is_quarantined_alone(case, folder):
    influx, agent, _ = _setup(case, folder)
    lines = [f"m,i={i} value={i} {1_600_000_000_000_000_000 + i}" for i in range(5000)]
    lines[2345] = "m,i=2345 value=1i 1600000000000002345"
    agent.write("\n".join(lines))
    p = agent.drained("influx", 5000)
    assert p["dead"] == 1 and p["published"] == 4999, p
    assert influx.count("m") == 4999
    assert sum(p["requests"].values()) <= 28, p["requests"]
    out = agent.cli("dead", "ls").stdout
    assert out.count("\n") == 1 and "m,i=2345" in out, out


def a_type_conflict_hurts_nobody_else(case, folder):
    influx, agent, _ = _setup(case, folder)
    agent.write("m value=1.5 1600000000000000000")
    agent.drained("influx", 1)
    agent.write("\n".join(f"m,i={i} value={'1i' if i == 7 else i / 2 + 0.25} {1_600_000_000_000_000_100 + i}"
                          for i in range(100)))
    p = agent.drained("influx", 101)
    assert p["dead"] == 1 and influx.count("m") == 100, p


def a_dead_letter_can_be_repaired_requeued_and_dropped(case, folder):
    influx, agent, _ = _setup(case, folder)
    agent.write("m value=1.5 1600000000000000000")
    agent.drained("influx", 1)
    agent.write("m value=2i 1600000000000000001\nm value=3i 1600000000000000002")
    agent.drained("influx", 3)
    ids = [l.split("\t")[1] for l in agent.cli("dead", "ls", "influx").stdout.splitlines()]
    assert len(ids) == 2, ids
    assert "partial write" in agent.cli("dead", "show", "influx", ids[0]).stdout
    influx.query('DROP MEASUREMENT "m"')
    assert agent.cli("dead", "requeue", "influx", ids[0]).stdout == "requeued 1\n"
    agent.drained("influx", 4)
    [row] = influx.rows("m")
    assert row["value"] == 2, row
    assert agent.cli("dead", "drop", "influx", "all").stdout == "dropped 1\n"
    assert agent.cli("dead", "ls").stdout == ""
    assert agent.cli("dead", "show", "influx", "x", check=False).returncode == 2


def influxdb_away_then_back_loses_nothing(case, folder):
    influx, agent, _ = _setup(case, folder)
    n = 0
    for i in range(200):
        if i == 50:
            influx.stop()
        if i == 150:
            influx.start()
        agent.write("\n".join(f"m,w=a value={k} {1_600_000_000_000_000_000 + k}" for k in range(n, n + 20)))
        n += 20
        if i == 60:
            eventually("it has noticed", lambda: not agent.publisher("influx")["up"])
    p = agent.drained("influx", n)
    assert p["published"] == n and influx.count("m") == n, p


def an_answer_lost_after_storing_makes_no_duplicate(case, folder):
    influx, agent, gate = _setup(case, folder, gate=True)
    n = 0
    for i in range(30):
        lost = gate.swallowed
        if i % 3 == 1:
            gate.cut("swallow")
        if i % 3 == 2:
            gate.cut("pass")
        agent.write("\n".join(f"m,w=a value={k} {1_600_000_000_000_000_000 + k}" for k in range(n, n + 50)))
        n += 50
        if i % 3 == 1:
            eventually("an answer was lost", lambda: gate.swallowed > lost)
        else:
            agent.drained("influx", n)
    gate.cut("pass")
    p = agent.drained("influx", n)
    assert p["published"] == n and influx.count("m") == n, p
    assert influx.sum("m") == n * (n - 1) / 2


def _load(agent, stop, sent, lock):
    """Sends messages over RESP; counts those that were acknowledged. Values say which they were."""
    import redis
    r = redis.Redis(port=agent.resp, socket_timeout=5)
    i = 0
    while not stop.is_set():
        batch = [message("m", 1_600_000_000_000_000 + i + k, 1.0, [("w", "x")]) for k in range(20)]
        try:
            r.lpush("kadabra_queue", *batch)
            with lock:
                sent[0] += 20
            i += 20
        except (redis.exceptions.RedisError, OSError):
            # Nobody said whether it arrived: the same again, which lands on the same points.
            time.sleep(0.02)


def kill_9_of_the_agent_loses_no_metric(case, folder):
    influx, agent, _ = _setup(case, folder)
    stop, sent, lock = threading.Event(), [0], threading.Lock()
    t = threading.Thread(target=_load, args=(agent, stop, sent, lock))
    t.start()
    for _ in range(20):
        before = sent[0]
        eventually("it is sent to", lambda: sent[0] >= before + 200)
        agent.kill()
        agent.start()
    stop.set()
    t.join()
    p = agent.drained("influx")
    assert p["dead"] == 0 and not p["dropped"], p
    assert influx.count("m") == sent[0], (influx.count("m"), sent[0])


def sigterm_publishes_what_is_there_and_exits_0(case, folder):
    influx, agent, _ = _setup(case, folder)
    agent.write("\n".join(f"m value={k} {1_600_000_000_000_000_000 + k}" for k in range(3000)))
    assert agent.stop() == 0
    assert influx.count("m") == 3000
    assert "spooled=0" in agent.log(), agent.log()[-500:]


def sigterm_with_the_backend_down_keeps_the_deadline_and_the_data(case, folder):
    influx, agent, _ = _setup(case, folder)
    agent.configure(influx_publisher(influx.port), agent="drain_deadline = 1s")
    agent.stop()
    agent.start()
    influx.stop()
    agent.write("\n".join(f"m value={k} {1_600_000_000_000_000_000 + k}" for k in range(500)))
    begin = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begin < 20
    assert "spooled=500" in agent.log(), agent.log()[-500:]
    influx.start()
    agent.start()
    agent.drained("influx", 500)
    assert influx.count("m") == 500


def a_missing_database_is_created_or_waited_for(case, folder):
    influx = case.keep(Influx(folder))
    agent = case.keep(Agent(folder, influx_publisher(influx.port)))
    agent.start()
    agent.write("m value=1 1600000000000000000")
    eventually("the publisher is down", lambda: not agent.publisher("influx")["up"])
    assert agent.publisher("influx")["spooled"] == 1
    influx.create()
    agent.process.p.send_signal(signal.SIGUSR1)
    agent.drained("influx", 1)
    assert influx.count("m") == 1


if __name__ == "__main__":
    main(promises(dict(globals())))
