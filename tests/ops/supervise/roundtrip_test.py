#!/usr/bin/python3
"""Reloads with a round-trip time of 50 ms between client and server: handshakes are under way when
the switch happens. Two network namespaces; the delay is made by a TUN pair in user space."""
import os, shutil, signal, subprocess, sys, time, unittest
from harness import *

RELOADS = 10 if LONG else 3
CLIENTS = 200 if LONG else 60


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
    def setUp(self):
        super().setUp()
        self.a, self.b = "gw%da" % os.getpid(), "gw%db" % os.getpid()
        for n in (self.a, self.b):
            subprocess.run(["ip", "netns", "add", n], check=True)
        self.delay = subprocess.Popen([PYTHON, os.path.join(HERE, "tun_delay.py"), self.a, "10.201.0.1", self.b,
                                       "10.201.0.2", "25"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(self.delay.stdout.readline(), b"ready\n")

    def tearDown(self):
        super().tearDown()
        self.delay.stdin.close()
        self.delay.wait(PATIENCE)
        self.delay.stdout.close()
        for n in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", n])

    def storm(self, linger, mode="fast"):
        self.mode(mode)
        s = self.start(["--listen", "0.0.0.0:8000", "--ready", "probe:/", "--linger", linger],
                       wrapper=["ip", "netns", "exec", self.b])
        s.wait_active()
        # The clients live in the other namespace, in a process of their own.
        code = ("import sys,time\nsys.path.insert(0,%r)\nfrom load import Load\n"
                "l=Load(('10.201.0.2',8000),new=%d,keep=0,think=0.01,timeout=15)\nl.__enter__()\n"
                "print('begun',flush=True)\nsys.stdin.readline()\nl.stop()\n"
                "print(l.ok,l.failures,len(l.generations))\nprint(l.report(),file=sys.stderr)\n"
                % (HERE, CLIENTS))
        clients = subprocess.Popen(["ip", "netns", "exec", self.a, PYTHON, "-c", code], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.assertEqual(clients.stdout.readline(), "begun\n")
        time.sleep(1)
        for i in range(RELOADS):
            r = s.reload()
            self.assertEqual(r.returncode, 0, r.stderr)
            time.sleep(0.25)
        out, _ = clients.communicate("stop\n", timeout=PATIENCE + 30)
        ok, failed, generations = map(int, out.split())
        self.assertGreater(ok, 200)
        self.assertEqual(generations, RELOADS + 1)
        s.stop()
        return failed, s.text()

    def test_with_50_ms_round_trip_time_no_request_fails(self):
        failed, text = self.storm("1")
        self.assertEqual(failed, 0)
        self.assertNotIn("raise --linger", text)

    def test_a_linger_below_the_round_trip_time_is_noticed(self):
        # The counter-proof: it shows that the test above can fail, and that the operator is told.
        failed, text = self.storm("0")
        print("  linger 0: %d failed" % failed)
        self.assertGreater(failed, 0)


if __name__ == "__main__":
    main()
