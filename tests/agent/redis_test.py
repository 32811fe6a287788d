#!/usr/bin/python3
"""The Redis drop-in against a real redis-server."""
import threading
import time

from harness import *

BASE = 1_600_000_000_000_000


def _config(redis, influx, more=""):
    return influx_publisher(influx.port) + f"""
[redis]
enabled = on
port = {redis.port}
nanny_frequency = 300ms
nanny_threshold = 600ms
{more}
"""


def _setup(case, folder, more="", agent="id = one"):
    redis = case.keep(Redis(folder))
    influx = case.keep(Influx(folder))
    influx.create()
    a = case.keep(Agent(folder, ""))
    a.configure(_config(redis, influx, more), agent=agent)
    a.start()
    eventually("redis is connected", lambda: a.stats()["redis"]["up"])
    return redis, influx, a


def messages_of_a_kadabra_client_arrive_and_nothing_stays_in_progress(case, folder):
    redis, influx, agent = _setup(case, folder)
    n = 3000
    pipe = redis.client.pipeline(transaction=False)
    for i in range(n):
        pipe.lpush("kadabra_queue", message("m", BASE + i, 2.0, [("app", "kinto")], [("t", 1.5)]))
    pipe.execute()
    agent.drained("influx", 2 * n)
    assert influx.count("m") == n and influx.count("t") == n
    assert redis.client.llen("kadabra_queue") == 0
    assert redis.client.keys("kadabra_inprogress*") == []


def a_malformed_message_holds_up_nobody(case, folder):
    redis, influx, agent = _setup(case, folder)
    for i in range(100):
        redis.client.lpush("kadabra_queue", b"\xff{nonsense" if i == 50 else message("m", BASE + i))
    p = agent.drained("influx", 100)
    assert p["dead"] == 1 and influx.count("m") == 99, p
    assert redis.client.keys("kadabra_inprogress*") == []
    assert "nonsense" in agent.cli("dead", "ls").stdout


def messages_nobody_serialises_as_python_does_are_acknowledged_too(case, folder):
    redis, influx, agent = _setup(case, folder)
    odd = ('{"counters":[{"value":1,"timestamp":"2020-09-13T12:26:40.5Z","name":"m"}],'
           '"dimensions":[{"value":"caf\u00e9","name":"app"}],"timers":[]}').encode()
    redis.client.lpush("kadabra_queue", odd)
    agent.drained("influx", 1)
    [row] = influx.rows("m")
    assert row["value"] == 1 and row["app"] == "caf\u00e9", row
    assert redis.client.keys("kadabra_inprogress*") == []


def kill_9_of_the_agent_with_redis_makes_no_loss_and_no_duplicate(case, folder):
    redis, influx, agent = _setup(case, folder)
    stop, sent = threading.Event(), [0]

    def load():
        while not stop.is_set():
            pipe = redis.client.pipeline(transaction=False)
            for _ in range(50):
                pipe.lpush("kadabra_queue", message("m", BASE + sent[0], 1.0))
                sent[0] += 1
            pipe.execute()
            time.sleep(0.01)
    t = threading.Thread(target=load)
    t.start()
    for _ in range(10):
        before = agent.publisher("influx")["published"]
        eventually("it publishes", lambda: agent.publisher("influx")["published"] > before + 300)
        agent.kill()
        agent.start()
    stop.set()
    t.join()
    eventually("the queue is empty", lambda: redis.client.llen("kadabra_queue") == 0)
    eventually("nothing in progress", lambda: redis.client.keys("kadabra_inprogress*") == [])
    p = agent.drained("influx", sent[0])  # received exactly once each: duplicates would show here
    assert influx.count("m") == sent[0], (influx.count("m"), sent[0], p)


def the_list_of_a_dead_agent_is_reclaimed_and_a_living_one_is_left_alone(case, folder):
    redis, influx, agent = _setup(case, folder)
    redis.client.set("godwit_agent:alive", "1", ex=300)
    redis.client.lpush("kadabra_inprogress:alive", message("alive", BASE))
    for i in range(10):
        redis.client.lpush("kadabra_inprogress:gone", message("m", BASE + i))
    agent.drained("influx", 10)
    eventually("all are published", lambda: influx.count("m") == 10)
    assert redis.client.llen("kadabra_inprogress:alive") == 1
    assert not redis.client.exists("kadabra_inprogress:gone")


def an_old_agents_leftovers_are_taken_over_from_the_tail(case, folder):
    redis, influx, agent = _setup(case, folder)
    for i in range(300):
        redis.client.lpush("kadabra_inprogress", message("m", BASE + i))
    # A message that its agent finishes in time is not ours.
    quick = message("quick", BASE)
    redis.client.lpush("kadabra_inprogress", quick)
    time.sleep(0.4)
    redis.client.lrem("kadabra_inprogress", 1, quick)
    agent.drained("influx", 300)
    assert influx.count("m") == 300 and influx.count("quick") == 0
    assert redis.client.llen("kadabra_inprogress") == 0


def redis_killed_without_persistence_is_noticed_and_survived(case, folder):
    redis, influx, agent = _setup(case, folder)
    for i in range(100):
        redis.client.lpush("kadabra_queue", message("m", BASE + i))
    agent.drained("influx", 100)
    redis.kill()
    redis.start()
    eventually("the restart is seen", lambda: agent.stats()["redis"]["restarts_seen"] == 1)
    for i in range(100, 200):
        redis.client.lpush("kadabra_queue", message("m", BASE + i))
    agent.drained("influx", 200)
    assert influx.count("m") == 200


def what_only_a_killed_redis_held_is_counted(case, folder):
    redis, influx, agent = _setup(case, folder)
    influx.stop()
    agent.stop()
    agent.configure(_config(redis, influx), agent="id = one", spool="max_bytes = 2MiB\nsegment_size = 1MiB\n"
                    "policy = drop_newest")
    agent.start()
    sent = 0
    def full():
        nonlocal sent
        for _ in range(500):
            redis.client.lpush("kadabra_queue", message("m", BASE + sent))
            sent += 1
        return "spool cannot take" in agent.stats()["redis"]["last_error"]
    eventually("the spool is full", full)
    looks = agent.stats()["redis"]["reconnects"]
    eventually("it has looked again", lambda: agent.stats()["redis"]["reconnects"] >= looks + 2)
    held = redis.client.llen("kadabra_queue") + redis.client.llen("kadabra_inprogress:one")
    assert held > 0
    redis.kill()
    redis.start()
    eventually("the loss is counted", lambda: agent.stats()["redis"]["restarts_seen"] == 1)
    assert agent.stats()["redis"]["lost_suspected"] == held, (agent.stats()["redis"], held)
    influx.start()
    agent.drained("influx", sent - held)
    assert influx.count("m") == sent - held


def nothing_stays_in_redis_while_influxdb_is_away(case, folder):
    redis, influx, agent = _setup(case, folder)
    influx.stop()
    for i in range(1000):
        redis.client.lpush("kadabra_queue", message("m", BASE + i))
    eventually("redis is empty", lambda: redis.client.llen("kadabra_queue") == 0
               and redis.client.keys("kadabra_inprogress*") == [])
    assert agent.conserved("influx", 1000)["spooled"] == 1000
    influx.start()
    agent.drained("influx", 1000)
    assert influx.count("m") == 1000


def a_kadabra_configuration_file_just_works(case, folder):
    redis = case.keep(Redis(folder))
    influx = case.keep(Influx(folder))
    influx.create("kadabra")
    agent = case.keep(Agent(folder, ""))
    agent.ini.write_text(json.dumps({
        "AGENT_CHANNEL_TYPE": "redis", "AGENT_CHANNEL_ARGS": {"port": redis.port},
        "AGENT_PUBLISHER_TYPE": "influxdb", "AGENT_PUBLISHER_ARGS": {"port": influx.port},
        "AGENT_RECEIVER_THREADS": 3, "AGENT_NANNY_THRESHOLD_SECONDS": 60}))
    agent.env.update(GODWIT_AGENT_SPOOL_PATH=str(agent.spool),
                     GODWIT_AGENT_HTTP_LISTEN=f"127.0.0.1:{agent.http}",
                     GODWIT_AGENT_STATSD_UDP="")
    agent.start()
    redis.client.lpush("kadabra_queue", message("m", BASE, 3.5, [("a", "b")]))
    eventually("it is there", lambda: influx.count("m", db="kadabra") == 1)
    [row] = influx.rows("m", "kadabra")
    assert set(row) == {"time", "value", "a"}, row  # nothing is added to what was sent
    assert "AGENT_RECEIVER_THREADS has no effect" in agent.log()


if __name__ == "__main__":
    main(promises(dict(globals())))
