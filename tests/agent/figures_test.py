#!/usr/bin/python3
"""What the agent may take: memory, and time at the moments operators wait for. Long: by the clock, so for a
machine that does nothing else."""
import os
import pathlib
import socket
import subprocess
import time

from faults_test import Producer
from harness import *


def idle_it_stays_below_10_mib(case, folder):
    agent = case.keep(Agent(folder, "[publisher:d]\ntype = debug\noutput = /dev/null\n"))
    agent.start()
    agent.write("m v=1 1")
    agent.drained("d", 1)
    rss = agent.rss_kib()
    print(f"        RSS {rss} KiB")
    assert rss <= 10 * 1024


def sigterm_idle_and_under_load_takes_less_than_a_second(case, folder):
    influx = case.keep(Influx(folder))
    influx.create()
    agent = case.keep(Agent(folder, influx_publisher(influx.port)))
    agent.start()
    begin = time.monotonic()
    assert agent.stop() == 0
    idle = time.monotonic() - begin
    agent.start()
    producer = case.keep(Producer(folder, agent.spool))
    eventually("it measures", lambda: producer.numbers()[0] > 40_000)
    begin = time.monotonic()
    assert agent.stop() == 0
    loaded = time.monotonic() - begin
    print(f"        idle {idle * 1000:.0f} ms, at 20,000 metrics/s {loaded * 1000:.0f} ms")
    assert idle <= 1 and loaded <= 1


def a_spool_of_1_gib_is_published_from_within_2_seconds(case, folder):
    first = []

    def answer(path, headers, body):
        first.append(time.monotonic())
        return 204, {}, b""
    target = case.keep(Target(answer))
    agent = case.keep(Agent(folder, ""))
    agent.configure(influx_publisher(target.port), spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB")
    size = lambda: sum(f.stat().st_size for f in agent.spool.glob("lanes/*/*.seg"))
    producers = [case.keep(Producer(folder, agent.spool, rate=0, max_bytes=4 << 30)) for _ in range(4)]
    eventually("1 GiB is there", lambda: size() >= 1 << 30, 300)
    for p in producers:
        p.kill()
    begin = time.monotonic()
    agent.start(wait=False)
    eventually("the first request", lambda: first)
    took = first[0] - begin
    print(f"        {size() / 2**30:.2f} GiB, {took * 1000:.0f} ms, RSS {agent.rss_kib()} KiB")
    assert took <= 2


def the_neighbours_of_a_poison_line_arrive_within_a_second(case, folder):
    influx = case.keep(Influx(folder))
    influx.create()
    agent = case.keep(Agent(folder, ""))
    agent.configure(influx_publisher(influx.port).replace("linger = 100ms\n", ""))
    agent.start()
    lines = [f"m,i={i} value={i} {1_600_000_000_000_000_000 + i}" for i in range(5000)]
    lines[2345] = "m,i=2345 value=1i 1600000000000002345"
    begin = time.monotonic()
    agent.write("\n".join(lines))
    eventually("they are there", lambda: influx.count("m") == 4999)
    took = time.monotonic() - begin
    p = agent.drained("influx", 5000)
    print(f"        {took * 1000:.0f} ms, {sum(p['requests'].values())} requests")
    assert p["dead"] == 1 and took <= 1


def a_million_series_stay_below_128_mib_and_keep_their_totals(case, folder):
    n = 1_000_000
    agent = case.keep(Agent(folder, ""))
    agent.configure("[publisher:prom]\ntype = prometheus\n", statsd=f"unix_dgram = {folder}/dg",
                    spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB")
    agent.start()
    s = case.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    s.connect(folder + "/dg")
    for i in range(0, n, 50):
        s.send(b"\n".join(b"flood.%d:1|c|#id:%d" % (k % 20, k) for k in range(i, i + 50)))
    eventually("all lines are in", lambda: agent.stats()["aggregation"]["good"] == n, 300)

    def total():
        body = request(agent.http, "GET", "/metrics")[1].decode()
        return sum(float(l.rsplit(" ", 1)[1]) for l in body.splitlines()
                   if l.startswith("flood_") and "_total{" in l)
    eventually("the totals are whole", lambda: total() == n, 300)
    peak = agent.peak_rss_kib()
    print(f"        {n} series: peak RSS {peak} KiB")
    assert agent.stats()["aggregation"]["balance"] == 0
    assert peak <= 128 * 1024


if __name__ == "__main__":
    main(promises({k: v for k, v in globals().items()}))
