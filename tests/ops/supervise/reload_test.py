#!/usr/bin/python3
"""Reloads under load: nothing may fail. The long form is 20 reloads, one each second."""
import os, signal, socket, time, unittest
from harness import *
from load import Load

RELOADS = 20 if LONG else 4
EACH = 1.0 if LONG else 0.45
LINGER = [] if LONG else ["--linger", "0.2"]


class ReloadUnderLoad(Case):
    def reload_often(self, s, address, seen=None, **load):
        """HUP on the beat; each new generation serves before the next is sent."""
        s.wait_active()
        queues = []
        with Load(address, **load) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            for i in range(RELOADS):
                due = time.monotonic() + EACH
                queues.append(max(s.status()["listen"][0]["queue"]))
                s.send(signal.SIGHUP)
                wait_until((lambda: seen(i + 2)) if seen else (lambda: str(i + 2) in l.first_seen),
                           "an answer of generation %d" % (i + 2))
                time.sleep(max(0, due - time.monotonic()))
            s.wait_idle()
        print("  %s: %s" % (self.id().split(".")[-1], l.report()))
        self.no_failures(l)
        if not seen:
            self.assertGreaterEqual(len(l.generations), RELOADS + 1)
        status = s.status()
        self.assertEqual(status["reloads"], {"ok": RELOADS + 1, "failed": 0})
        self.assertEqual(s.stop(), 0)
        return queues


CHILDREN = {
    "example": "our own example server",
    "gunicorn": "unmodified gunicorn",
    "gunicorn_threads": "the same with threads, which keeps connections",
    "drains": "a child as the contract wants it",
    "closes_at_once": "a child that closes everything at once on TERM",
    "busy": "a child whose accept queue is never empty",
}
TRANSPORTS = ("tcp", "unix", "ipv6")


class Matrix(ReloadUnderLoad):
    """Every child on every transport, connections for one request and kept ones together."""

    def run_cell(self, child, transport):
        listen, address = self.endpoint(transport)
        load = {"new": 8, "keep": 4}
        seen = None
        command = [PYTHON, APP]
        if child == "example":
            command = [example("hello")]
        elif child.startswith("gunicorn"):
            command = gunicorn(self.dir) + (["--threads", "16"] if "threads" in child else [])
        else:
            # Kept connections that `fast` closes without an answer are counted apart (load.py): only
            # the child could save those.
            self.mode({"drains": "ok", "closes_at_once": "fast", "busy": "ok,slots8"}[child])
            if child == "busy":
                load = {"new": 20, "keep": 4, "think": 0}
        s = self.start(["--listen", listen, "--ready", "probe:/"] + LINGER, command)
        if child == "example":
            seen = lambda gen: s.active() >= gen
        queues = self.reload_often(s, address, seen, **load)
        if child == "busy" and transport != "unix":  # of a unix socket the length is not known
            self.assertGreater(sum(q > 0 for q in queues), RELOADS // 2, queues)
        self.assertEqual([f for f in os.listdir(self.dir) if f.startswith("web.sock")], [])

    def endpoint(self, transport):
        if transport == "unix":
            path = os.path.join(self.dir, "web.sock")
            return "unix:" + path, path
        if transport == "ipv6":
            if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
                self.skipTest("no IPv6 here")
            port = free_port(host="::1")
            return "[::1]:%d" % port, ("::1", port)
        port = free_port()
        return "127.0.0.1:%d" % port, ("127.0.0.1", port)


for _child in CHILDREN:
    for _transport in TRANSPORTS:
        if _child == "gunicorn_threads" and _transport != "tcp":
            continue
        setattr(Matrix, "test_%s_over_%s_fails_no_request" % (_child, _transport),
                lambda self, c=_child, t=_transport: self.run_cell(c, t))


class Ways(ReloadUnderLoad):
    def test_readiness_by_notification_fails_no_request(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"] + LINGER)
        self.reload_often(s, ("127.0.0.1", port))

    def test_a_shared_socket_still_refuses_nobody(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d,cutover=shared" % port, "--ready", "probe:/"] + LINGER)
        self.reload_often(s, ("127.0.0.1", port))

    def test_new_connections_wait_while_the_first_generation_starts(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "probe:/"],
                       env={"APP_START": "1.0"})
        wait_until(lambda: "generation starting" in s.text(), "the start")
        self.assertIn("200 OK", get(port))

    def test_the_probe_does_not_reach_the_old_generation(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "probe:/"],
                       env={"APP_START": "0.7"})
        s.wait_active()
        self.assertEqual(s.reload().returncode, 0)
        ready = [g["ready_ms"] for g in s.status()["generations"] if g["gen"] == 2]
        self.assertGreaterEqual(ready[0], 700)

    def test_the_old_generation_is_not_ended_before_its_queue_is_empty(self):
        self.mode("ok,slots8")  # on TERM it leaves in the queue what is there
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.05"],
                       env={"APP_WORK": "0.4"})
        s.wait_active()
        old = s.pid_of()
        with Load(("127.0.0.1", port), new=40, keep=0, timeout=PATIENCE) as l:
            wait_until(lambda: s.status()["listen"][0]["queue"][0] > 20, "a queue that outlasts the linger")
            s.send(signal.SIGHUP)
            wait_until(lambda: not alive(old), "the old generation to end")
        self.no_failures(l, 40)

    def after_a_pause(self, linger, until):
        """A client connects, a reload happens, and only when `until` holds it sends its request."""
        self.mode("fast")
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", linger])
        s.wait_active()
        old = s.pid_of()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as c:
            wait_until(lambda: s.status()["listen"][0]["queue"][0] == 0, "the connection to be accepted")
            s.send(signal.SIGHUP)
            s.wait_active(2)
            until(old)
            try:
                c.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return c.recv(65536)
            except OSError:
                return b""

    def test_a_pause_before_the_request_is_covered_by_linger_and_by_nothing_else(self):
        # Accepted by the old generation, nothing sent yet: it looks idle. Its child here closes all
        # at once, so only linger stands between the two outcomes.
        self.assertIn(b"gen 1 ", self.after_a_pause("30", lambda old: time.sleep(1)))
        gone = lambda old: wait_until(lambda: not alive(old), "the old generation to end")
        self.assertEqual(self.after_a_pause("0.1", gone), b"")


if __name__ == "__main__":
    main()
