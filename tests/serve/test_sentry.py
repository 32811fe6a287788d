"""Reports to Sentry, as a small HTTP server in its place sees them."""
import json
import sys
import urllib.error
import urllib.request

from servers import Server, free_port, promise, run_tests, signal, wait_until
from test_listeners import Receiver


def server_for(port, **more):
    options = {"kinto.multiauth.policies": "basicauth", "kinto.userid_hmac_secret": "s",
               "kinto.includes": "kinto.plugins.prometheus", "kinto.version_json_path": "/nonexistent/version.json",
               "kinto.sentry_dsn": f"http://publickey:oldsecret@127.0.0.1:{port}/prefix/42"}
    options.update({"kinto." + k: v for k, v in more.items()})
    return Server(settings=options)


def fail(server, query=""):
    """A request that ends with 500: there is no version file."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/__version__{query}",
                                     headers={"Authorization": "Basic aHVzaDpodXNo", "Cookie": "session=hushhush"})
    try:
        urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as e:
        assert e.code == 500, e.code
        return
    raise AssertionError("it worked")


def event_of(body):
    """The event of an envelope, whose form is checked on the way."""
    head, rest = body.split(b"\n", 1)
    item, rest = rest.split(b"\n", 1)
    head, item = json.loads(head), json.loads(item)
    assert item["type"] == "event" and item["content_type"] == "application/json", item
    payload, end = rest[:item["length"]], rest[item["length"]:]
    assert end == b"\n", end
    event = json.loads(payload)
    assert event["event_id"] == head["event_id"] and len(event["event_id"]) == 32, (head, event)
    int(event["event_id"], 16)
    assert head["sent_at"].endswith("Z")
    return event


def count(server, outcome):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/__metrics__", timeout=10) as r:
        for line in r.read().decode().splitlines():
            if line.startswith(f'godwit_sentry_events_total{{outcome="{outcome}"}}'):
                return int(line.split()[-1])
    return None


@promise
def a_500_is_reported_without_anything_secret():
    with Receiver() as sentry, server_for(sentry.port, sentry_env="staging") as server:
        server.request("GET", "/")
        fail(server, "?_since=1&token=hushhush&access_token=hushhush")
        _, path, headers, body, _ = sentry.take()
        assert path == "/prefix/api/42/envelope/", path
        assert headers["Content-Type"] == "application/x-sentry-envelope", headers
        assert "sentry_key=publickey" in headers["X-Sentry-Auth"] and "sentry_version=7" in headers["X-Sentry-Auth"]
        event = event_of(body)
        assert event["level"] == "error" and event["environment"] == "staging" and event["platform"] == "native", event
        assert event["request"]["method"] == "GET" and event["request"]["url"].endswith("/v1/__version__"), event
        assert event["request"]["query_string"] == "_since=1&token=[Filtered]&access_token=[Filtered]", event
        assert event["transaction"] == "version", event
        crumbs = event["breadcrumbs"]["values"]
        assert any(c["message"] == "request.summary" and c["data"]["path"] == "/v1/" for c in crumbs), crumbs
        for secret in (b"hush", b"aHVzaDpodXNo", b"oldsecret"):
            assert secret not in body, body
        fail(server)
        assert b"hush" not in sentry.take()[3], "a secret in a breadcrumb"


@promise
def warnings_are_reported_from_the_level_on_that_was_set():
    dead = {"event_listeners": "redis", "event_listeners.redis.use": "kinto_redis.listeners",
            "event_listeners.redis.url": f"redis://:pwhush@127.0.0.1:{free_port()}/0"}
    with Receiver() as sentry, server_for(sentry.port, **dead) as server:
        server.make_collection()
        event = event_of(sentry.take()[3])
        assert event["level"] == "warning" and event["message"]["formatted"].startswith("delivery failed"), event
        assert event["extra"]["to"] == "redis", event
    with Receiver() as sentry, server_for(sentry.port, sentry_events_min_level="40", **dead) as server:
        server.make_collection()
        wait_until("the warning in the log", lambda: "delivery failed" in server.output())
        fail(server)
        event = event_of(sentry.take()[3])
        assert event["level"] == "error", event
        assert any(c["level"] == "warning" for c in event["breadcrumbs"]["values"]), event


@promise
def reports_are_limited_and_silence_is_kept_when_asked_for():
    with Receiver() as sentry, server_for(sentry.port) as server:
        for _ in range(60):
            fail(server)
        wait_until("all of them to be counted", lambda: count(server, "delivered") + count(server, "rate_limited") == 60)
        assert 30 <= count(server, "delivered") < 60, count(server, "delivered")
    with Receiver([(429, {"Retry-After": "600"})]) as sentry, server_for(sentry.port) as server:
        fail(server)
        assert sentry.take()[4] == 429
        wait_until("the refusal", lambda: count(server, "given_up") == 1)
        fail(server)
        assert count(server, "rate_limited") == 1
    with Receiver([(200, {"X-Sentry-Rate-Limits": "600:error:organization"})]) as sentry, server_for(sentry.port) as server:
        fail(server)
        wait_until("the delivery", lambda: count(server, "delivered") == 1)
        fail(server)
        assert count(server, "rate_limited") == 1


@promise
def a_dead_sentry_costs_no_request_anything_and_holds_up_no_stop():
    server = server_for(free_port())
    try:
        server.start()
        for _ in range(5):
            fail(server)
        assert server.request("GET", "/")[0] == 200
        server.send(signal.SIGTERM)
        assert server.wait(20) == 0
        assert "messages were lost" in server.output()
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
