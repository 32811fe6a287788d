"""Events in a real Redis list and at a real HTTP receiver, which both may be away."""
import http.server
import json
import queue
import sys
import threading
import time

from servers import Redis, Server, free_port, promise, run_tests, signal, wait_until


class Receiver:
    """An HTTP server that keeps what it gets and answers as told, 204 when nothing is left of it."""

    def __init__(self, answers=(), port=0):
        self.got = queue.Queue()
        self.answers = list(answers)
        self.held = threading.Event()
        self.held.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.held.wait(60)
                status, headers = outer.answers.pop(0) if outer.answers else (204, {})
                outer.got.put((time.monotonic(), self.path, dict(self.headers), body, status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, seconds=30):
        return self.got.get(timeout=seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.held.set()
        self.server.shutdown()
        self.server.server_close()


def server_with(**listeners):
    options = {"kinto.multiauth.policies": "basicauth", "kinto.userid_hmac_secret": "s",
               "kinto.includes": "kinto.plugins.prometheus", "kinto.event_listeners": " ".join(listeners)}
    for name, settings in listeners.items():
        for key, value in settings.items():
            options[f"kinto.event_listeners.{name}.{key}"] = value
    return Server(settings=options)


def put(server, name, expected=201):
    status = server.request("PUT", f"/buckets/ops/collections/items/records/{name}", {"data": {"n": 1}})[0]
    assert status == expected, status


def events(redis, name="kinto.core.events"):
    """Oldest first."""
    return [json.loads(e) for e in reversed(redis.ask("LRANGE", name, "0", "-1"))]


def counted(server, listener, outcome):
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/__metrics__", timeout=10) as r:
        for line in r.read().decode().splitlines():
            if line.startswith(f'godwit_listener_events_total{{listener="{listener}",outcome="{outcome}"}}'):
                return int(float(line.split()[-1]))
    return None


@promise
def redis_gets_kintos_events():
    with Redis() as redis, server_with(
            redis={"use": "kinto_redis.listeners", "url": redis.url},
            old={"use": "cliquet.listeners.redis", "url": redis.url, "listname": "old", "actions": "delete",
                 "resources": "record", "pool_size": "5"}) as server:
        server.make_collection()
        put(server, "a")
        assert server.request("DELETE", "/buckets/ops/collections/items/records/a")[0] == 200
        got = wait_until("four events", lambda: len(events(redis)) == 4 and events(redis))
        assert [(e["action"], e["resource_name"]) for e in got] == [
            ("create", "bucket"), ("create", "collection"), ("create", "record"), ("delete", "record")], got
        assert set(got[2]) == {"timestamp", "action", "uri", "user_id", "resource_name", "bucket_id", "collection_id",
                               "record_id"}, got[2]
        only = wait_until("the filtered event", lambda: events(redis, "old"))
        assert [(e["action"], e["resource_name"]) for e in only] == [("delete", "record")], only
        assert counted(server, "redis", "delivered") == 4


@promise
def a_dead_redis_fails_no_request_and_gets_everything_when_it_is_back():
    redis = Redis()
    server = server_with(redis={"use": "kinto_redis.listeners", "url": redis.url, "listname": "l"})
    try:
        server.start()
        server.make_collection()
        started = time.monotonic()
        for n in range(50):
            put(server, f"r{n}")
        took = time.monotonic() - started
        redis.start()
        got = wait_until("the events", lambda: len(events(redis, "l")) >= 52 and events(redis, "l"))
        assert [e.get("record_id") for e in got[2:]] == [f"r{n}" for n in range(50)], got
        redis.kill()
        put(server, "gone")
        redis.start()
        wait_until("the event after the crash", lambda: any(e.get("record_id") == "gone" for e in events(redis, "l")))
        return f"50 writes in {took:.2f} s while Redis was away"
    finally:
        server.close()
        redis.__exit__()


@promise
def a_full_queue_drops_and_counts_and_stopping_does_not_wait_for_a_dead_redis():
    port = free_port()
    server = server_with(redis={"use": "kinto_redis.listeners", "url": f"redis://127.0.0.1:{port}/0", "queue_size": "5"})
    try:
        server.start()
        server.make_collection()
        for n in range(20):
            put(server, f"r{n}")
        assert counted(server, "redis", "dropped") == 17, counted(server, "redis", "dropped")
        started = time.monotonic()
        server.send(signal.SIGTERM)
        assert server.wait() == 0, server.output()
        took = time.monotonic() - started
        assert "messages were lost" in server.output() and "no room for another message" in server.output()
        assert took < 20, took  # 5 s for the receiver, and the drain of connections
        return f"stopped in {took:.1f} s"
    finally:
        server.close()


@promise
def a_webhook_gets_what_happened_to_each_object():
    with Receiver() as receiver, server_with(
            hook={"use": "godwit.webhook", "url": f"http://127.0.0.1:{receiver.port}/hook?x=1", "resources": "record"}) as server:
        server.make_collection()
        put(server, "a")
        assert server.request("PATCH", "/buckets/ops/collections/items/records/a", {"data": {"m": 2}})[0] == 200
        _, path, headers, body, _ = receiver.take()
        assert path == "/hook?x=1" and headers["Content-Type"] == "application/json", (path, headers)
        event = json.loads(body)
        assert event["action"] == "create" and event["record_id"] == "a", event
        assert [set(o) for o in event["impacted_objects"]] == [{"new"}], event
        assert event["impacted_objects"][0]["new"]["n"] == 1
        second = receiver.take()
        event = json.loads(second[3])
        assert event["impacted_objects"][0]["old"]["n"] == 1 and event["impacted_objects"][0]["new"]["m"] == 2, event
        assert second[2]["X-Godwit-Event"] != headers["X-Godwit-Event"]


@promise
def a_webhook_that_fails_is_tried_again_with_the_same_id_and_one_that_refuses_is_not():
    answers = [(500, {}), (429, {"Retry-After": "1"}), (204, {}), (400, {}), (204, {})]
    with Receiver(answers) as receiver, server_with(
            hook={"use": "webhook", "url": f"http://127.0.0.1:{receiver.port}/", "resources": "record"}) as server:
        server.make_collection()
        put(server, "a")
        tries = [receiver.take() for _ in range(3)]
        assert [t[4] for t in tries] == [500, 429, 204], tries
        assert len({t[2]["X-Godwit-Event"] for t in tries}) == 1 and len({t[3] for t in tries}) == 1
        assert tries[2][0] - tries[1][0] >= 0.95, "Retry-After was not honoured"
        put(server, "refused")
        put(server, "c")
        assert receiver.take()[4] == 400
        assert json.loads(receiver.take()[3])["record_id"] == "c"
        wait_until("the count", lambda: counted(server, "hook", "given_up") == 1)


@promise
def a_webhook_that_hangs_holds_up_nothing_and_what_waits_is_sent_before_the_end():
    with Receiver() as receiver:
        receiver.held.clear()
        server = server_with(hook={"use": "webhook", "url": f"http://127.0.0.1:{receiver.port}/", "resources": "record"})
        try:
            server.start()
            server.make_collection()
            started = time.monotonic()
            for n in range(30):
                put(server, f"r{n}")
            took = time.monotonic() - started
            server.send(signal.SIGTERM)
            receiver.held.set()
            assert server.wait() == 0, server.output()
            got = [json.loads(receiver.take(1)[3])["record_id"] for _ in range(30)]
            assert got == [f"r{n}" for n in range(30)], got
            assert "messages were lost" not in server.output()
            return f"30 writes in {took:.2f} s while the receiver hung"
        finally:
            server.close()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
