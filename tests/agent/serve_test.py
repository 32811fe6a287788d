#!/usr/bin/python3
"""`godwit serve` measures itself into the spool: every request it answered is in InfluxDB exactly once."""
import collections
import http.client
import os
import pathlib
import threading

from harness import *

GODWIT = os.environ.get("GODWIT_BIN") or str(pathlib.Path(AGENT).parent / "godwit")
AUTH = {"Authorization": "Basic b3BzOnNlY3JldA==", "Content-Type": "application/json"}
REQUESTS = [("GET", "/v1/", None), ("GET", "/v1/__lbheartbeat__", None), ("GET", "/v1/nowhere", None),
            ("PUT", "/v1/buckets/b", b"{}"), ("GET", "/v1/buckets/b", None), ("GET", "/v1/buckets/none", None),
            ("PUT", "/v1/buckets/b", b"{nonsense"),
            ("POST", "/v1/batch", b'{"requests":[{"path":"/"},{"path":"/buckets/b"},{"path":"/nowhere"}]}')]


class Server:
    def __init__(self, folder, spool):
        self.port = free_port()
        self.args = [GODWIT, "serve", "--port", str(self.port), "--data-dir", folder + "/data"]
        self.env = dict(os.environ, GODWIT_SPOOL=str(spool))
        self.log = folder + "/server.log"
        self.answers = collections.Counter()  # by status, every one that a client has seen
        self.lock = threading.Lock()
        self.process = None

    def start(self):
        self.process = Process(self.args, self.log, env=self.env)
        eventually("the server answers", lambda: self.ask("GET", "/v1/__lbheartbeat__") == 200)

    def ask(self, method, path, body=None, connection=None):
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request(method, path, body, AUTH)
        r = c.getresponse()
        r.read()
        with self.lock:
            self.answers[str(r.status)] += 1
        if connection is None:
            c.close()
        return r.status

    def load(self, clients, rounds):
        """Threads, each with one connection; they end when it breaks."""
        def client():
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                for _ in range(rounds):
                    for method, path, body in REQUESTS:
                        self.ask(method, path, body, c)
            except (OSError, http.client.HTTPException):
                pass
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for t in threads:
            t.start()
        return threads

    def close(self):
        self.process.kill()


def _setup(case, folder):
    influx = case.keep(Influx(folder))
    influx.create()
    agent = case.keep(Agent(folder, influx_publisher(influx.port)))
    agent.start()
    server = case.keep(Server(folder, agent.spool))
    server.start()
    return influx, agent, server


def _by_status(influx):
    s = influx.query('SELECT count("value") FROM "RequestTime" GROUP BY "status"')
    return {x["tags"]["status"]: x["values"][0][1] for x in s}


def every_request_is_counted_exactly_once(case, folder):
    influx, agent, server = _setup(case, folder)
    threads = server.load(4, 150)
    for k in range(1, 6):
        eventually("it serves", lambda: sum(server.answers.values()) > 800 * k)
        agent.kill()
        agent.start()
    for t in threads:
        t.join()
    assert server.process.terminate() == 0
    total = sum(server.answers.values())
    agent.drained("influx", 3 * total)
    assert _by_status(influx) == dict(server.answers), (_by_status(influx), server.answers)
    refused = sum(n for status, n in server.answers.items() if status[0] == "4")
    assert influx.sum("ClientError") == refused and influx.count("ClientError") == total
    assert influx.sum("Failure") == 0 and influx.count("Failure") == total
    print(f"        {total} answers: {dict(server.answers)}")


def kill_9_of_the_server_loses_no_request_that_was_answered(case, folder):
    influx, agent, server = _setup(case, folder)
    clients = 4
    for k in range(1, 6):
        threads = server.load(clients, 10_000)
        seen = sum(server.answers.values())
        eventually("it serves", lambda: sum(server.answers.values()) > seen + 500)
        server.process.kill()
        for t in threads:
            t.join()
        if k < 5:
            server.start()
    agent.drained("influx")
    answered, stored = sum(server.answers.values()), influx.count("RequestTime")
    # Recorded before the answer is sent: each client may have been owed one.
    assert answered <= stored <= answered + 5 * clients, (answered, stored)
    print(f"        {answered} answers, {stored} recorded")


if __name__ == "__main__":
    main(promises(dict(globals())))
