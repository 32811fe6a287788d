#!/usr/bin/python3
"""Protocol v2: agents of a fleet over a Redis stream."""
import threading
import time

from harness import *


def _fleet(case, folder):
    redis = case.keep(Redis(folder))
    (pathlib.Path(folder) / "edge").mkdir()
    (pathlib.Path(folder) / "hub").mkdir()
    edge = case.keep(Agent(folder + "/edge",
                           f"[publisher:fleet]\ntype = redis_stream\nport = {redis.port}\nlinger = 50ms\nretry_max = 1s\n"))
    influx = case.keep(Influx(folder))
    influx.create()
    hub = case.keep(Agent(folder + "/hub", influx_publisher(influx.port) +
                          f"[streams]\nenabled = on\nport = {redis.port}\nclaim_after = 1s\n"))
    edge.start()
    hub.start()
    return redis, edge, hub, influx


def frames_cross_the_stream_once(case, folder):
    redis, edge, hub, influx = _fleet(case, folder)
    for i in range(20):
        edge.write("\n".join(f"m v={i * 100 + k} {10 ** 18 + i * 100 + k}" for k in range(100)))
    edge.drained("fleet", 2000)
    hub.drained("influx", 2000)
    assert influx.count("m", "v") == 2000


def redis_killed_without_persistence_loses_nothing(case, folder):
    redis, edge, hub, influx = _fleet(case, folder)
    n = 0
    for round in range(6):
        for _ in range(10):
            edge.write("\n".join(f"m v={k} {10 ** 18 + k}" for k in range(n, n + 50)))
            n += 50
        eventually("some are on their way", lambda: edge.publisher("fleet")["published"] > n - 400)
        if round % 2 == 0:
            redis.kill()
            edge.write(f"m v={n} {10 ** 18 + n}")
            n += 1
            redis.start()
    edge.drained("fleet", n)
    hub.drained("influx")
    assert influx.count("m", "v") == n
    s = hub.stats()["streams"]
    assert hub.publisher("influx")["received"] == n, (hub.publisher("influx"), s)


def kill_9_of_either_agent_loses_nothing(case, folder):
    redis, edge, hub, influx = _fleet(case, folder)
    n = 0
    for round in range(6):
        for _ in range(10):
            edge.write("\n".join(f"m v={k} {10 ** 18 + k}" for k in range(n, n + 50)))
            n += 50
        (hub if round % 2 else edge).kill()
        (hub if round % 2 else edge).start()
    edge.drained("fleet", n)
    hub.drained("influx")
    assert influx.count("m", "v") == n


if __name__ == "__main__":
    main(promises(dict(globals())))
