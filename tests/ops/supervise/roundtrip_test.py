#!/usr/bin/python3
"""Reloads with a round-trip time of 50 ms between client and server: handshakes are under way when
the switch happens. Two network namespaces; the delay is made by a TUN pair in user space."""
import os, shutil, subprocess, time, unittest
from harness import *

RELOADS = 20 if LONG else 3
CLIENTS = 160 if LONG else 48


def namespaces_work():
    if os.geteuid() != 0 or not shutil.which("ip") or not os.path.exists("/dev/net/tun"):
        return False
    name = "gwp%d" % os.getpid()
    if subprocess.run(["ip", "netns", "add", name], stderr=subprocess.DEVNULL).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "del", name])
    return True


@unittest.skipUnless(namespaces_work(), "needs root, ip netns and /dev/net/tun")
class RoundTrip(Case):
    CLIENT = "10.201.0.1", "fd00:201::1"
    SERVER = "10.201.0.2", "fd00:201::2"

    def setUp(self):
        super().setUp()
        self.a, self.b = "gw%da" % os.getpid(), "gw%db" % os.getpid()
        for n in (self.a, self.b):
            subprocess.run(["ip", "netns", "add", n], check=True)
        self.delay = subprocess.Popen([PYTHON, os.path.join(HERE, "tun_delay.py"), self.a, ",".join(self.CLIENT),
                                       self.b, ",".join(self.SERVER), "25"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(self.delay.stdout.readline(), b"ready\n")

    def tearDown(self):
        super().tearDown()
        self.delay.stdin.close()
        self.delay.wait(PATIENCE)
        self.delay.stdout.close()
        for n in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", n])

    def storm(self, command=(PYTHON, APP), linger=("--linger", "1"), v6=False, keep=CLIENTS // 4):
        s = self.start(["--listen", "[::]:8000,v6only" if v6 else "0.0.0.0:8000", "--ready", "probe:/", *linger],
                       command, wrapper=["ip", "netns", "exec", self.b])
        s.wait_active()
        # The clients live in the other namespace, in a process of their own.
        code = ("import sys,time\nsys.path.insert(0,%r)\nfrom load import Load\n"
                "l=Load((%r,8000),new=%d,keep=%d,think=0.01,timeout=15)\nl.__enter__()\n"
                "while l.ok+l.failures<%d: time.sleep(0.01)\n"
                "print('begun',flush=True)\nsys.stdin.readline()\nl.stop()\n"
                "print(l.ok,l.failures)\nprint('  %s:',l.report(),file=sys.stderr)\n"
                % (HERE, self.SERVER[v6], CLIENTS, keep, CLIENTS, self.id().split(".")[-1]))
        clients = subprocess.Popen(["ip", "netns", "exec", self.a, PYTHON, "-c", code], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.assertEqual(clients.stdout.readline(), "begun\n")
        for i in range(RELOADS):
            due = time.monotonic() + 1.25
            r = s.reload()
            self.assertEqual(r.returncode, 0, r.stderr)
            time.sleep(max(0, due - time.monotonic()))
        out, _ = clients.communicate("stop\n", timeout=PATIENCE + 30)
        ok, failed = map(int, out.split())
        self.assertGreater(ok, 200)
        self.assertEqual(s.status()["reloads"], {"ok": RELOADS + 1, "failed": 0})
        s.stop()
        return failed, s.text()

    def fails_nothing(self, command=(PYTHON, APP), **more):
        failed, text = self.storm(command, **more)
        self.assertEqual(failed, 0)
        self.assertNotIn("raise --linger", text)

    def test_our_example_server_fails_no_request(self):
        self.fails_nothing([example("hello")])

    def test_unmodified_gunicorn_fails_no_request(self):
        self.fails_nothing(gunicorn(self.dir))

    def test_a_child_that_closes_everything_at_once_costs_no_request(self):
        self.mode("fast")
        self.fails_nothing()

    def test_a_child_whose_queue_is_never_empty_loses_nothing(self):
        self.mode("ok,slots8")
        self.fails_nothing(keep=4)  # a kept connection is one of the eight it accepts at a time

    def test_ipv6_is_no_exception(self):
        self.mode("fast")
        self.fails_nothing(v6=True)

    def test_a_linger_below_the_round_trip_time_is_noticed(self):
        # The counter-proof: it shows that the tests above can fail, and that the operator is told.
        # Whether a connection is on its way at that very moment is chance; over a few storms it is not.
        for n in range(6):
            self.mode("fast")
            failed, text = self.storm(linger=("--linger", "0"))
            print("  linger 0: %d failed" % failed)
            if failed:
                break
        self.assertGreater(failed, 0)


if __name__ == "__main__":
    main()
