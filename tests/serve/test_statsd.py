"""StatsD names, of the 2015-2016 releases and of today, as they arrive over UDP."""
import socket
import sys
import time
import urllib.request

from servers import Server, promise, run_tests


class Sink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.lines = []

    def until(self, wanted, seconds=30):
        """Reads packets until each of `wanted` has begun a line. Returns all lines."""
        limit = time.monotonic() + seconds
        while True:
            missing = [w for w in wanted if not any(line.startswith(w) for line in self.lines)]
            if not missing:
                return self.lines
            self.socket.settimeout(max(limit - time.monotonic(), 0.001))
            try:
                self.lines += self.socket.recv(65536).decode().split("\n")
            except TimeoutError:
                names = sorted({line.split(":")[0] for line in self.lines})
                raise AssertionError(f"never came: {missing}; what came: {names}") from None


def server_for(sink, **more):
    options = {"kinto.multiauth.policies": "basicauth", "kinto.userid_hmac_secret": "s", "kinto.project_name": "kinto",
               "kinto.includes": "kinto.plugins.prometheus", "kinto.statsd_url": f"udp://127.0.0.1:{sink.port}"}
    options.update({"kinto." + k: v for k, v in more.items()})
    return Server(settings=options)


def use(server):
    server.make_collection()
    server.request("GET", "/")
    items = "/buckets/ops/collections/items/records"
    assert server.request("PUT", items + "/a", {"data": {"n": 1}})[0] == 201
    assert server.request("PATCH", items + "/a", {"data": {"n": 2}})[0] == 200
    assert server.request("GET", items + "/a")[0] == 200
    assert server.request("GET", items)[0] == 200
    assert server.request("DELETE", items + "/a")[0] == 200
    for n in range(2):
        server.request("PUT", f"{items}/{n}", {})
    following = server.request("DELETE", items + "?_limit=1")[2]["Next-Page"]
    assert server.request("DELETE", following.split("/v1", 1)[1])[0] == 200
    assert server.request("GET", "/__heartbeat__")[0] == 200


@promise
def the_names_of_the_first_releases_come_under_their_backend():
    for backend, one, many in (("cliquet.statsd", "record", "collection"), ("kinto.core.statsd", "object", "plural")):
        sink = Sink()
        with server_for(sink, statsd_backend=backend) as server:
            use(server)
            lines = sink.until([
                "kinto.users:", "kinto.authn_type.basicauth:1|c", "kinto.view.hello.GET:", "kinto.view.heartbeat.GET:",
                f"kinto.view.record-{one}.PUT:", f"kinto.view.record-{one}.PATCH:", f"kinto.view.record-{many}.GET:",
                f"kinto.view.record-{one}.DELETE:", "kinto.authentication.permits:", "kinto.storage.create:",
                "kinto.storage.get:", "kinto.storage.update:", "kinto.storage.delete:", "kinto.storage.get_all:",
                "kinto.storage.delete_all:", "kinto.storage.collection_timestamp:", "kinto.storage.ping:",
                "kinto.cache.set:", "kinto.cache.delete:", "kinto.cache.ping:", "kinto.permission.user_principals:",
                "kinto.permission.check_permission:"])
            timers = [line for line in lines if line.startswith("kinto.storage.")]
            assert all(line.endswith("|ms") for line in timers), timers
            assert any(line.startswith("kinto.users:") and line.endswith("|s") for line in lines)
            assert any(line.startswith("kinto.view.hello.GET:") and line.endswith("|ms") for line in lines)
            assert not any("backend." in line or "request_summary" in line for line in lines)


@promise
def the_names_of_today_come_otherwise():
    sink = Sink()
    with server_for(sink) as server:
        use(server)
        lines = sink.until([
            "kinto.request_summary:", "kinto.request_size:", "kinto.request_duration_seconds", "kinto.users:",
            "kinto.authentication:type.basicauth|s", "kinto.backend.storage.seconds.method.create:",
            "kinto.backend.storage.seconds.method.list_all:", "kinto.backend.storage.seconds.method.delete_all:",
            "kinto.backend.permission.seconds.method.get_user_principals:", "kinto.backend.cache.seconds.method.set:"])
        assert not any(line.startswith(("kinto.view.", "kinto.storage.")) for line in lines)
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/__metrics__", timeout=10) as r:
            text = r.read().decode()
        assert 'kinto_backend_storage_seconds_count{method="create"}' in text, text[:2000]
        assert 'kinto_backend_cache_seconds_count{method="set"}' in text, text[:2000]


@promise
def a_receiver_that_is_not_there_costs_no_request_anything():
    sink = Sink()
    sink.socket.close()
    with server_for(sink) as server:
        use(server)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
