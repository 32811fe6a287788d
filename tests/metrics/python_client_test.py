"""The Python client: Kadabra's semantics one by one, and what is different on purpose."""
import datetime
import math
import os
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import godwit_metrics
from godwit_metrics import Collector, CollectorClosedError, Metrics, Unit, Units
from support import SpoolTest

T1 = datetime.datetime(2026, 11, 20, 5, 48, 16, 841713)
T2 = datetime.datetime(2026, 11, 20, 5, 48, 17)
MS = datetime.timedelta(milliseconds=1)


class Semantics(unittest.TestCase):
    def test_counters_sum_and_keep_the_first_timestamp(self):
        c = Collector()
        c.add_count("a", 1, timestamp=T1)
        c.add_count("a", 2.5, timestamp=T2)
        (counter,) = c.close().counters
        self.assertEqual((counter.name, counter.value, counter.timestamp), ("a", 3.5, T1))
        self.assertIsInstance(counter.value, float)

    def test_replace_timestamp(self):
        c = Collector()
        c.add_count("a", 1, timestamp=T1)
        c.add_count("a", 1, timestamp=T2, replace_timestamp=True)
        c.add_count("b", 1, timestamp=T1)
        c.add_count("b", 1, replace_timestamp=True)
        a, b = c.close().counters
        self.assertEqual(a.timestamp, T2)
        self.assertGreater(b.timestamp, T1 - datetime.timedelta(days=3650))
        self.assertNotEqual(b.timestamp, T1)

    def test_metadata_replaces_the_whole_map_and_empty_metadata_nothing(self):
        c = Collector()
        c.add_count("a", 1, metadata={"x": "1", "y": "2"})
        c.add_count("a", 1)
        c.add_count("a", 1, metadata={})
        c.add_count("b", 1, metadata={"x": "1", "y": "2"})
        c.add_count("b", 1, metadata={"z": "3"})
        c.set_timer("t", MS, metadata={"x": "1"})
        c.set_timer("t", MS)
        m = c.close()
        self.assertEqual([x.metadata for x in m.counters], [{"x": "1", "y": "2"}, {"z": "3"}])
        self.assertEqual(m.timers[0].metadata, {"x": "1"})

    def test_timers_and_dimensions_are_overwritten(self):
        c = Collector()
        c.set_timer("t", MS, Units.MILLISECONDS, timestamp=T1)
        c.set_timer("t", 2 * MS, Units.SECONDS, timestamp=T2)
        c.set_dimension("d", "1")
        c.set_dimension("e", "2")
        c.set_dimension("d", "3")
        m = c.close()
        (t,) = m.timers
        self.assertEqual((t.value, t.unit, t.timestamp), (2 * MS, Units.SECONDS, T2))
        self.assertEqual([(d.name, d.value) for d in m.dimensions], [("d", "3"), ("e", "2")])

    def test_a_closed_collector_raises_an_ordinary_exception_everywhere(self):
        c = Collector()
        c.close()
        for call in (lambda: c.add_count("a", 1), lambda: c.set_timer("a", MS), lambda: c.set_gauge("g", 1),
                     lambda: c.set_dimension("a", "b"), c.close):
            with self.assertRaises(CollectorClosedError):
                call()
        self.assertTrue(issubclass(CollectorClosedError, Exception))

    def test_metadata_is_copied_and_odd_dimension_names_work(self):
        meta = {"x": "1"}
        c = Collector(dimensions={"self": "a", "timestamp_format": "b"})
        c.add_count("a", 1, metadata=meta)
        meta["x"] = "changed"
        m = c.close()
        self.assertEqual(m.counters[0].metadata, {"x": "1"})
        self.assertEqual({d.name: d.value for d in m.dimensions}, {"self": "a", "timestamp_format": "b"})

    def test_serialising_is_the_predecessors(self):
        c = Collector()
        c.add_count("Failure", 0, timestamp=T1)
        c.set_timer("RequestTime", 12.5 * MS, timestamp=T1)
        c.set_dimension("app", "kinto")
        s = c.close().serialize()
        self.assertEqual(list(s), ["dimensions", "counters", "timers", "timestamp_format", "serialized_at"])
        self.assertEqual(s["counters"], [{"name": "Failure", "metadata": {}, "timestamp": "2026-11-20T05:48:16.841713Z",
                                          "value": 0.0}])
        self.assertEqual(list(s["timers"][0]), ["name", "unit", "metadata", "timestamp", "value"])
        self.assertEqual(s["timers"][0]["value"], 12.5)
        again = Metrics.deserialize(s).serialize()
        self.assertEqual(again, s)


class Sending(SpoolTest):
    def test_what_is_sent_is_in_the_spool_when_send_returns(self):
        client = self.client(CLIENT_DEFAULT_DIMENSIONS={"app": "x"}, CLIENT_TIMESTAMP_FORMAT="%Y-%m-%d %f")
        m = client.metrics()
        m.set_dimension("method", "é")
        m.add_count("n", 1, metadata={"a": None, "b": True, "c": 7, "d": 1.5, "e": "é"})
        m.set_timer("t", datetime.timedelta(microseconds=1234567), Unit("minutes", 1 / 60))
        m.set_timer("u", MS, Unit("ms", 1000), timestamp=T1)
        m.set_gauge("g", 4)
        closed = m.close()
        expected = closed.serialize()
        self.assertTrue(client.send(closed))
        ((_, samples, got, extras),) = self.frames()
        self.assertEqual(samples, 4)
        expected.pop("serialized_at"), got.pop("serialized_at")
        self.assertEqual(got, expected)
        self.assertIsInstance(got["timers"][1]["unit"]["seconds_offset"], int)
        self.assertEqual(extras, {"g": "4.0"})

    def test_what_was_received_elsewhere_can_be_sent(self):
        client = self.client()
        c = Collector()
        c.add_count("a", 1, timestamp=T1)
        message = c.close().serialize()
        self.assertTrue(client.send(Metrics.deserialize(message)))
        self.assertEqual(self.messages(), [message])

    def test_times_are_utc_and_zones_are_applied(self):
        client = self.client()
        m = client.metrics()
        zone = datetime.timezone(datetime.timedelta(hours=2))
        m.add_count("a", 1, timestamp=T1.replace(tzinfo=zone))
        client.send(m.close())
        self.assertEqual(self.messages()[0]["counters"][0]["timestamp"], "2026-11-20T03:48:16.841713Z")

    def test_implicit_times_differ(self):
        client = self.client()
        seen = set()
        for _ in range(2000):
            m = client.metrics()
            m.add_count("a", 1)
            seen.add(m.close().counters[0].stamp)
        self.assertEqual(len(seen), 2000)

    def test_nothing_a_program_passes_makes_send_raise(self):
        client = self.client()
        for odd in (None, 7, "text"):
            self.assertFalse(client.send(odd))
        m = client.metrics()
        m.set_timer("t", 5)  # no timedelta
        self.assertFalse(client.send(m.close()))
        m = client.metrics()
        m.set_dimension("n", 200)
        m.set_dimension("lone", "\ud800")
        m.add_count("a", 1, metadata={"big": 2**70, "list": [1], "nan": math.nan})
        self.assertTrue(client.send(m.close()))
        (got,) = self.messages()
        self.assertEqual(got["dimensions"][0], {"name": "n", "value": "200"})
        self.assertEqual(got["counters"][0]["metadata"]["list"], "[1]")

    def test_nan_and_infinity_are_refused_and_counted(self):
        client = self.client()
        m = client.metrics()
        m.add_count("a", math.nan)
        m.add_count("a", math.inf)
        m.set_gauge("g", -math.inf)
        self.assertEqual(m.close().counters, [])
        self.assertEqual(client.stats()["dropped_nan"], 3)

    def test_an_unusable_spool_costs_no_exception(self):
        client = godwit_metrics.Client({"CLIENT_CHANNEL_ARGS": {"dir": "/proc/nowhere"}})
        m = client.metrics()
        m.add_count("a", 1)
        self.assertTrue(client.send(m.close()))
        stats = client.stats()
        self.assertEqual(stats["buffered_frames"], 1)
        self.assertIn("/proc/nowhere", stats["last_error"])
        client.close()
        self.assertFalse(client.send(m))

    def test_configuration_is_checked_like_the_predecessors(self):
        with self.assertRaisesRegex(Exception, "Unrecognized channel type"):
            godwit_metrics.Client({"CLIENT_CHANNEL_TYPE": "carrier pigeon"})
        with self.assertRaises(TypeError):
            godwit_metrics.Client({"CLIENT_CHANNEL_ARGS": {"no_such": 1}})
        with self.assertRaises(ValueError):
            godwit_metrics.Client({"CLIENT_CHANNEL_ARGS": {"on_full": "maybe"}})
        before = dict(godwit_metrics.DEFAULT_CONFIG)
        self.client(CLIENT_DEFAULT_DIMENSIONS={"a": "b"})
        self.assertEqual(godwit_metrics.DEFAULT_CONFIG, before)

    def test_the_redis_channel_is_the_spool_with_a_mark(self):
        config = {"CLIENT_CHANNEL_TYPE": "redis", "CLIENT_CHANNEL_ARGS": {"dir": self.spool, "port": 6500}}
        client = godwit_metrics.Client(config)
        self.addCleanup(client.close)
        m = client.metrics()
        m.add_count("a", 1)
        self.assertTrue(client.send(m.close()))
        self.assertEqual(self.frames()[0][0], 1)

    def test_handles_are_aggregated(self):
        client = self.client(CLIENT_DEFAULT_DIMENSIONS={"app": "x"})
        hits, depth, latency = client.counter("hits", {"route": "/"}), client.gauge("depth"), client.timer("latency")
        threads = [threading.Thread(target=lambda: [hits.inc() for _ in range(1000)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        depth.set(3)
        latency.record(MS)
        with latency.time():
            pass
        self.assertTrue(client.flush())
        counted, extras = {}, {}
        for _, _, message, more in self.frames():
            extras.update(more)
            for c in message["counters"]:
                counted[c["name"]] = counted.get(c["name"], 0) + c["value"]
                self.assertEqual(message["dimensions"], [{"name": "app", "value": "x"}, {"name": "route", "value": "/"}])
        self.assertEqual(counted, {"hits": 4000.0})
        self.assertEqual(extras["depth"], "3.0")
        self.assertGreaterEqual(float(extras["latency"]), 1)

    def test_a_block_can_be_timed_even_when_it_fails(self):
        client = self.client()
        m = client.metrics()
        with self.assertRaises(KeyError):
            with m.time("query"):
                time.sleep(0.002)
                raise KeyError
        (t,) = m.close().timers
        self.assertGreaterEqual(t.value, 2 * MS)

    def test_threads_share_a_collector(self):
        client = self.client()
        m = client.metrics()
        threads = [threading.Thread(target=lambda: [m.add_count("a", 1) for _ in range(2000)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(m.close().counters[0].value, 8000)


class Processes(SpoolTest):
    def run_python(self, code, **kwargs):
        return subprocess.run([sys.executable, "-B", "-c", textwrap.dedent(code), self.spool], timeout=60, **kwargs)

    def test_children_of_a_fork_send_into_lanes_of_their_own(self):
        client = self.client()
        hits = client.counter("hits")
        hits.inc(7)
        children = []
        for worker in range(8):
            pid = os.fork()
            if pid == 0:
                ok = True
                for _ in range(50):
                    m = client.metrics()
                    m.set_dimension("worker", str(worker))
                    m.add_count("requests", 1)
                    ok = client.send(m.close()) and ok
                    hits.inc()
                ok = client.flush() and ok
                os._exit(0 if ok else 1)
            children.append(pid)
        for pid in children:
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
        client.flush()
        total = {}
        for message in self.messages():
            for c in message["counters"]:
                total[c["name"]] = total.get(c["name"], 0) + c["value"]
        self.assertEqual(total, {"requests": 400.0, "hits": 407.0})

    def test_exit_flushes_and_kill_keeps_what_was_sent(self):
        self.run_python("""
            import sys, godwit_metrics
            c = godwit_metrics.Client({"CLIENT_CHANNEL_ARGS": {"dir": sys.argv[1], "min_free": -1}})
            c.counter("at exit").inc()
        """, check=True)
        done = self.run_python("""
            import os, signal, sys, godwit_metrics
            c = godwit_metrics.Client({"CLIENT_CHANNEL_ARGS": {"dir": sys.argv[1], "min_free": -1}})
            for i in range(1000):
                m = c.metrics(); m.add_count("before the kill", 1); c.send(m.close())
            os.kill(os.getpid(), signal.SIGKILL)
        """)
        self.assertEqual(done.returncode, -9)
        total = {}
        for message in self.messages():
            for c in message["counters"]:
                total[c["name"]] = total.get(c["name"], 0) + c["value"]
        self.assertEqual(total, {"at exit": 1.0, "before the kill": 1000.0})

    def test_importing_needs_neither_flask_nor_the_library(self):
        self.run_python("""
            import os, sys
            os.environ["GODWIT_METRICS_LIBRARY"] = "/nonexistent.so"
            import godwit_metrics, godwit_metrics.flask
            assert "flask" not in sys.modules
            try:
                godwit_metrics.Client()
            except OSError as e:
                assert "GODWIT_METRICS_LIBRARY" in str(e)
            else:
                raise SystemExit(1)
        """, check=True)


if __name__ == "__main__":
    unittest.main()
