"""Settings of the process: where it listens, its limits, its stores, its logs and its metrics."""
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from table import PLAIN, Instance, check, free_port, row, start_error

ACCOUNTS = {"includes": "kinto.plugins.accounts", "multiauth.policies": "account",
            "multiauth.policy.account.use": "kinto.plugins.accounts.AccountsPolicy",
            "account_create_principals": "system.Everyone"}


# Where it listens
def alive(port, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    connection.request("GET", "/v1/__lbheartbeat__")
    return connection.getresponse().status == 200


class Bare(Instance):
    """Started without --port: the file says where."""

    def start(self, **popen):
        self.log = open(os.path.join(self.data, "log"), "ab")
        self.process = subprocess.Popen([os.environ["GODWIT_BIN"], "serve", "--ini", self.ini], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, env=self.env, cwd=self.data, **popen)
        limit = time.monotonic() + 30
        while '"ready"' not in self.output() and " ready" not in self.output():
            assert self.process.poll() is None and time.monotonic() < limit, self.output()
            time.sleep(0.005)
        return self


def listens(sections="", host="127.0.0.1", **settings):
    port = free_port()
    text = sections.replace("PORT", str(port))
    with Bare({**PLAIN, **{k: str(v).replace("PORT", str(port)) for k, v in settings.items()}}, text):
        assert alive(port, host)


@check("godwit.host", "godwit.port")
def listens_where_the_file_says():
    listens(**{"godwit.host": "127.0.0.2", "godwit.port": "PORT"}, host="127.0.0.2")
    listens("[server:main]\nuse = egg:waitress#main\nhost = 127.0.0.3\nport = PORT\n", "127.0.0.3")
    listens("[uwsgi]\nhttp-socket = 127.0.0.4:PORT\nprocesses = 2\n", "127.0.0.4")
    listens("[godwit]\nhost = 127.0.0.5\nport = PORT\n[server:main]\nhost = 127.0.0.3\nport = 1\n", "127.0.0.5")


@check("godwit.unix")
def listens_on_a_unix_socket():
    with Instance(PLAIN) as s:
        path = os.path.join(s.data, "s.sock")
        with Bare({**PLAIN, "godwit.unix": path}):
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(path)
                c.sendall(b"GET /v1/__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in c.recv(4096)


def tasks(s):
    return len(os.listdir(f"/proc/{s.process.pid}/task"))


@check("godwit.threads")
def one_thread_for_each_loop():
    counts = []
    for sections in ("[godwit]\nthreads = 1\n", "[godwit]\nthreads = 4\n", "[uwsgi]\nprocesses = 4\n"):
        port = free_port()
        with Bare({**PLAIN, "godwit.port": port}, sections) as s:
            counts.append(tasks(s))
    assert counts[1] == counts[0] + 3 and counts[2] == counts[1], counts


@check("godwit.bcrypt_threads")
def one_thread_for_each_hash():
    counts = []
    for n in (1, 4):
        with Instance({**PLAIN, **ACCOUNTS, "godwit.bcrypt_threads": n}) as s:
            s.put("/v1/accounts/a", {"data": {"password": "secret"}}, "")
            counts.append(tasks(s))
    assert counts[1] == counts[0] + 3, counts


def storm(s, n=24):
    """Statuses of so many accounts made at once."""
    seen = [None] * n

    def one(i):
        seen[i] = s.ask("PUT", f"/v1/accounts/a{i}", {"data": {"password": "secret"}}, "", timeout=600)[0]
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return sorted(set(seen))


# The patience of others: without the setting, no hash waits too long for a machine that does other things too.
HASHING = {**ACCOUNTS, "godwit.bcrypt_threads": 1, "godwit.request_timeout": 600}
row("godwit.bcrypt_queue", {"godwit.bcrypt_queue": 1}, lambda s: 503 in storm(s), True, base=HASHING)
row("godwit.request_timeout", {"godwit.request_timeout": 1}, lambda s: 503 in storm(s), True, base=HASHING)


@check("godwit.request_timeout", "godwit.max_header_bytes")
def uwsgi_names_set_the_same():
    with Instance(PLAIN, "[uwsgi]\nharakiri = 7\nbuffer-size = 4096\n") as s:
        for key, value in (("request_timeout", "7"), ("max_header_bytes", "4096")):
            shown = subprocess.run([os.environ["GODWIT_BIN"], "config", "explain", f"godwit.{key}", "--ini", s.ini],
                                   capture_output=True, text=True, check=True, env=s.env).stdout
            assert re.search(rf"\b{value}\b.*kinto.ini", shown, re.S), shown


@check("godwit.data_dir")
def data_go_where_the_file_says():
    with Instance(PLAIN) as other:
        folder = os.path.join(other.data, "deep", "data")
        with Bare({**PLAIN, "storage_backend": "sqlite", "godwit.data_dir": folder, "godwit.port": free_port()}):
            assert os.path.exists(folder + "/godwit.db")


@check("godwit.uid", "godwit.gid")
def becomes_somebody_else():
    if os.geteuid() != 0:
        said = start_error({**PLAIN, "godwit.uid": "no such user", "godwit.gid": "no such group"})
        assert "no such" in said, said
        return
    with Instance({**PLAIN, "godwit.uid": "nobody", "godwit.gid": "nogroup"}) as s:
        with open(f"/proc/{s.process.pid}/status", encoding="utf-8") as f:
            text = f.read()
        assert re.search(r"^Uid:\t65534\t65534", text, re.M) and re.search(r"^Gid:\t65534\t65534", text, re.M), text


# Limits and deadlines
def raw(s, data, wait):
    """What comes back within `wait` seconds: bytes, "open" for nothing, b"" for a close."""
    with socket.create_connection(("127.0.0.1", s.port), 5) as c:
        c.settimeout(wait)
        c.sendall(data)
        try:
            return c.recv(65536)[9:12].decode()
        except socket.timeout:
            return "open"


HEAD = b"GET /v1/__lbheartbeat__ HTTP/1.1\r\nHost: x\r\n"
row("godwit.max_header_bytes", {"godwit.max_header_bytes": 2048}, lambda s: raw(s, HEAD + b"A: " + b"x" * 4000 + b"\r\n\r\n", 5), "431")
row("godwit.max_body_bytes", {"godwit.max_body_bytes": 1024}, lambda s: s.put("/v1/buckets/b", {"data": {"a": "x" * 2000}})[0], 413)
row("godwit.header_timeout", {"godwit.header_timeout": 1}, lambda s: raw(s, HEAD, 5), "408")
POST = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{"
row("godwit.body_timeout", {"godwit.body_timeout": 1}, lambda s: raw(s, POST, 5), "408")


def idle(s):
    with socket.create_connection(("127.0.0.1", s.port), 5) as c:
        c.sendall(HEAD + b"\r\n")
        c.recv(65536)
        c.settimeout(5)
        try:
            return "closed" if c.recv(1) == b"" else "more"
        except socket.timeout:
            return "open"


row("godwit.idle_timeout", {"godwit.idle_timeout": 1}, idle, "closed")


def slow_reader(s):
    """Is an answer cut off whose reader takes nothing for two seconds?"""
    s.put("/v1/buckets/b")
    s.put("/v1/buckets/b/collections/c")
    for i in range(4):
        s.put(f"/v1/buckets/b/collections/c/records/r{i}", {"data": {"a": "x" * 6_000_000}})
    auth = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n"
    with socket.socket() as c:
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", s.port))
        c.sendall(f"GET /v1/buckets/b/collections/c/records HTTP/1.1\r\nHost: x\r\n{auth}\r\n".encode())
        time.sleep(2)  # taking nothing is what this is about
        got = 0
        c.settimeout(5)
        try:
            while got < 24_000_000:
                piece = c.recv(1 << 20)
                if not piece:
                    break
                got += len(piece)
        except ConnectionError:
            pass
        return got >= 24_000_000


row("godwit.write_timeout", {"godwit.write_timeout": 1}, slow_reader, False)


def second_connection(s):
    with socket.create_connection(("127.0.0.1", s.port), 5) as first:
        first.sendall(HEAD + b"\r\n")
        first.recv(65536)
        return raw(s, HEAD + b"\r\n", 5)


row("godwit.max_connections", {"godwit.max_connections": 1}, second_connection, "open")


def stops_at_once(s):
    with socket.create_connection(("127.0.0.1", s.port), 5) as c:
        c.sendall(POST)
        s.get("/v1/")  # the upload has been noticed
        s.send(signal.SIGTERM)
        try:
            s.wait(3)
            return True
        except subprocess.TimeoutExpired:
            return False


row("godwit.drain_timeout", {"godwit.drain_timeout": 0}, stops_at_once, True)


# Logs
def first_line(s):
    return "json" if s.last_output().startswith("{") else "text"


row("godwit.log_format", {"godwit.log_format": "text"}, first_line, "text")
row("logging_renderer", {"kinto.logging_renderer": "cliquet.logs.ClassicLogRenderer"}, first_line, "text")
row("godwit.log_level", {"godwit.log_level": "error"}, lambda s: "ready" in s.last_output(), False)


def log_mentions_request(s):
    s.get("/v1/buckets")
    return "/v1/buckets" in s.last_output()


row("godwit.access_log", {"godwit.access_log": "false"}, log_mentions_request, False)


@check("godwit.metrics_spool")
def requests_are_counted_in_the_spool():
    with Instance(PLAIN) as other:
        spool = other.data + "/spool"
        with Instance({**PLAIN, "godwit.metrics_spool": spool}) as s:
            s.hello()
            s.last_output()
            lanes = [os.path.join(at, f) for at, _, files in os.walk(spool + "/lanes") for f in files if f.endswith(".seg")]
            assert any(b"RequestTime" in open(f, "rb").read() for f in lanes), lanes


# Stores
row("storage_backend", {"storage_backend": "sqlite"}, lambda s: os.path.exists(s.data + "/godwit.db"), True)
row("permission_backend", {"permission_backend": "kinto.core.permission.postgresql"},
    lambda s: "permissions are kept in the storage backend (memory)" in s.last_output(), True)


@check("storage_url")
def the_sqlite_file_can_be_anywhere():
    with Instance(PLAIN) as other:
        path = other.data + "/elsewhere.db"
        with Instance({**PLAIN, "storage_backend": "sqlite", "storage_url": "sqlite://" + path}) as s:
            s.seed()
            assert os.path.exists(path) and not os.path.exists(s.data + "/godwit.db")


class Redis:
    def __enter__(self):
        self.port = free_port()
        command = [shutil.which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + 10
        while True:
            try:
                if self.ask("PING") == ["+PONG"]:
                    return self
            except OSError:
                assert time.monotonic() < limit
                time.sleep(0.01)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def ask(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 5) as c:
            c.sendall((" ".join(words) + "\r\n").encode())
            return [line for line in c.recv(65536).decode().split("\r\n") if line and line[0] not in "*$"]

    def settings(self, **more):
        return {**PLAIN, "cache_backend": "kinto.core.cache.redis", "cache_url": f"redis://127.0.0.1:{self.port}/0", **more}


@check("cache_backend", "cache_url", "cache_prefix", "account_cache_ttl_seconds")
def the_cache_can_be_redis_with_a_prefix():
    with Redis() as redis:
        for prefix, ttl in (("", 30), ("mine-", 7)):
            redis.ask("FLUSHALL")
            with Instance({**redis.settings(cache_prefix=prefix, account_cache_ttl_seconds=ttl), **ACCOUNTS}) as s:
                s.put("/v1/accounts/al", {"data": {"password": "secret"}}, "")
                assert s.hello("al:secret")["user"]["id"] == "account:al"
                limit = time.monotonic() + 10
                while not (keys := redis.ask("KEYS", "*")):
                    assert time.monotonic() < limit, "nothing was cached"
                assert all(k.startswith(prefix) for k in keys), keys
                lives = [int(redis.ask("PTTL", k)[0][1:]) for k in keys]
                assert any((ttl - 5) * 1000 < ms <= ttl * 1000 for ms in lives), (ttl, lives)


@check("heartbeat_timeout_seconds")
def a_frozen_cache_is_reported_in_time():
    with Redis() as redis:
        for seconds, in_time in ((1, True), (10, False)):
            with Instance(redis.settings(heartbeat_timeout_seconds=seconds)) as s:
                assert s.get("/v1/__heartbeat__")[2]["cache"] is True
                redis.process.send_signal(signal.SIGSTOP)
                try:
                    answer = s.get("/v1/__heartbeat__", timeout=4)
                    assert in_time and answer[0] == 503 and answer[2]["cache"] is False, answer
                except TimeoutError:
                    assert not in_time
                finally:
                    redis.process.send_signal(signal.SIGCONT)


# Metrics
class Udp:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)

    def url(self):
        return "udp://127.0.0.1:%d" % self.socket.getsockname()[1]

    def names(self, until):
        """Names that came, up to and with the first that starts with `until`."""
        seen = []
        while not any(n.startswith(until) for n in seen):
            seen += [line.split(":")[0] for line in self.socket.recv(65536).decode().split("\n")]
        return seen


@check("statsd_url", "statsd_prefix", "statsd_backend")
def statsd_packets_have_the_names_of_the_release():
    for settings, want in (({}, "kinto.request_summary"),
                           ({"project_name": "", "statsd_prefix": "shop"}, "shop.request_summary"),
                           ({"statsd_backend": "cliquet.statsd"}, "kinto.view.hello.GET")):
        udp = Udp()
        with Instance({**PLAIN, "statsd_url": udp.url(), **settings}) as s:
            s.get("/v1/")
            assert udp.names(want), want
        udp.socket.close()


PROMETHEUS = {"includes": "kinto.plugins.prometheus"}


def metrics(*patterns):
    def look(s):
        s.seed()
        s.get("/v1/buckets/b")
        text = s.get("/v1/__metrics__")[2]
        return [bool(re.search(p, text, re.M)) for p in patterns]
    return look


row("prometheus_prefix", {"prometheus_prefix": "shop"}, metrics("^shop_request_summary", "^kinto_"), [True, False], base=PROMETHEUS)
row("prometheus_disabled_metrics", {"prometheus_disabled_metrics": "request_size"}, metrics("request_size", "request_summary"),
    [False, True], base=PROMETHEUS)
row("prometheus_histogram_buckets", {"prometheus_histogram_buckets": "0.25 Inf"}, metrics('le="0.25"', 'le="0.05"'), [True, False],
    base=PROMETHEUS)
row("prometheus_created_metrics_enabled", {"prometheus_created_metrics_enabled": "false"}, metrics("_created"), [False], base=PROMETHEUS)
row("metrics_matchdict_fields", {"metrics_matchdict_fields": "bucket_id"}, metrics('bucket_id="b"', "collection_id="), [True, False],
    base=PROMETHEUS)


# Where settings come from
@check("readonly", "paginate_by")
def the_environment_wins_over_the_file():
    for name in ("KINTO_PAGINATE_BY", "PAGINATE_BY"):
        with Instance({**PLAIN, "kinto.paginate_by": 2}, env={name: "1"}) as s:
            s.seed(3)
            assert len(s.get("/v1/buckets/b/collections/c/records")[2]["data"]) == 1
    with Instance(PLAIN, env={"KINTO_READONLY": "true"}) as s:
        assert s.put("/v1/buckets/b")[0] == 405


@check("godwit.port")
def kinto_ini_names_the_file():
    with Instance(PLAIN) as other:
        port = free_port()
        with open(other.ini, "a", encoding="utf-8") as f:
            f.write(f"[server:main]\nport = {port}\n")
        env = {**other.env, "KINTO_INI": other.ini}
        with subprocess.Popen([os.environ["GODWIT_BIN"], "serve"], env=env, cwd=other.data, stderr=subprocess.PIPE) as server:
            try:
                assert b"ready" in server.stderr.readline()
                assert alive(port)
            finally:
                server.kill()


@check("readonly")
def two_spellings_that_differ_end_the_start():
    assert "in conflict" in start_error({**PLAIN, "readonly": "true", "kinto.readonly": "false"})


@check("storage_pool_size", "cache_pool_size", "logging_renderer")
def old_names_are_understood():
    old = {"kinto.storage_pool_maxconn": 50, "kinto.cache_pool_maxconn": 50, "kinto.permission_pool_maxconn": 50,
           "cliquet.storage_backend": "cliquet.storage.memory", "cliquet.project_name": "old shop"}
    settings = {k: v for k, v in PLAIN.items() if k != "storage_backend"}
    with Instance({**settings, **old}) as s:
        assert s.hello()["project_name"] == "old shop"
        assert "unknown" not in s.last_output()
