#!/usr/bin/python3
"""Reloads under load: nothing may fail. The long form is 20 reloads, one each second."""
import os, signal, socket, sys, time, unittest
from harness import *
from load import Load

RELOADS = 20 if LONG else 5
EACH = 1.0 if LONG else 0.45
LINGER = [] if LONG else ["--linger", "0.2"]
GUNICORN_APP = """
import os
def app(environ, start_response):
    body = ("gen %s pid %d\\n" % (os.environ.get("GENERATION"), os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class ReloadUnderLoad(Case):
    def reload_often(self, s, address, **load):
        """HUP on the beat; each is seen as a new generation before the next is sent."""
        s.wait_active()
        with Load(address, **load) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            for i in range(RELOADS):
                due = time.monotonic() + EACH
                s.send(signal.SIGHUP)
                wait_until(lambda: str(i + 2) in l.first_seen, "an answer of generation %d" % (i + 2))
                time.sleep(max(0, due - time.monotonic()))
            s.wait_idle()
        print("  %s: %s" % (self.id().split(".")[-1], l.report()))
        self.no_failures(l)
        self.assertGreaterEqual(len(l.generations), RELOADS + 1)
        status = s.status()
        self.assertEqual(status["reloads"], {"ok": RELOADS + 1, "failed": 0})
        self.assertEqual(s.stop(), 0)
        return l

    def test_a_reload_under_load_fails_no_request(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"] + LINGER)
        self.reload_often(s, ("127.0.0.1", port))

    def test_a_reload_with_a_probe_fails_no_request(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "probe:/"] + LINGER,
                       env={"APP_MODE_FILE": "", "APP_MODE": "ok,noready"})
        self.reload_often(s, ("127.0.0.1", port))

    def test_a_child_that_closes_everything_at_once_costs_no_request(self):
        self.mode("fast")
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"] + LINGER)
        # Kept connections it closes without an answer are counted apart (load.py): only the child
        # could save those.
        self.reload_often(s, ("127.0.0.1", port))

    def test_a_child_whose_queue_is_never_empty_loses_nothing(self):
        self.mode("ok,slots8")
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"] + LINGER)
        self.reload_often(s, ("127.0.0.1", port), keep=0, new=20, think=0)

    def test_a_unix_socket_is_never_missing(self):
        path = os.path.join(self.dir, "web.sock")
        s = self.start(["--listen", "unix:" + path, "--ready", "probe:/"] + LINGER)
        self.reload_often(s, path)
        self.assertEqual([f for f in os.listdir(self.dir) if "web" in f], [])

    @unittest.skipUnless(socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"), "no IPv6 here")
    def test_ipv6_is_no_exception(self):
        port = free_port(socket.AF_INET6)
        s = self.start(["--listen", "[::1]:%d" % port, "--ready", "probe:/"] + LINGER)
        self.reload_often(s, ("::1", port))

    def test_a_shared_socket_still_refuses_nobody(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d,cutover=shared" % port, "--ready", "probe:/"] + LINGER)
        self.reload_often(s, ("127.0.0.1", port))

    @unittest.skipUnless(os.path.exists("/usr/bin/gunicorn"), "gunicorn is not installed")
    def test_unmodified_gunicorn_fails_no_request(self):
        with open(os.path.join(self.dir, "app.py"), "w") as f:
            f.write(GUNICORN_APP)
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "probe:/"] + LINGER,
                       ["/usr/bin/gunicorn", "--workers", "2", "--chdir", self.dir, "app:app"])
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


if __name__ == "__main__":
    main()
