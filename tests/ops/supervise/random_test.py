#!/usr/bin/python3
"""Random behaviour and signals against real processes, and reloads without end.

The invariants themselves are walked 300,000 steps deep by MachineProperty in the unit tests; here
it is seen that processes, sockets and memory follow. The long form makes 1,000 reloads."""
import os, random, re, signal, time, unittest
from harness import *
from load import Load


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


class Random(Case):
    def test_random_children_and_signals_keep_the_invariants(self):
        seed = int(os.environ.get("GODWIT_SEED", "0")) or random.randrange(1 << 30)
        rng = random.Random(seed)
        print("  seed %d" % seed)
        port = free_port()
        self.mode("ok")
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--ready-timeout", "1", "--kill-after", "1", "--kill-after-failed", "0.5",
                        "--restart", "always", "--soak", "0.1"], env={"APP_START": "0.05"})
        s.wait_active()
        before = fds(s.pid)
        steps = 500 if LONG else 120
        for step in range(steps):
            self.mode(rng.choice(["ok", "ok", "ok", "fast", "crash", "hang", "ok,ignoreterm", "ok,leave",
                                  "ok,leave,stubborn", "crashlater", "ok,noready", "ok,daemon"]))
            what = rng.randrange(10)
            if what < 6:
                s.send(signal.SIGHUP)
            elif what == 6:
                s.client("reload", "--now")
            elif what == 7:
                s.client("rollback")
            elif what == 8:
                pid = s.pid_of()
                if pid:
                    try:
                        os.kill(pid, rng.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP]))
                    except OSError:
                        pass
            else:
                s.client(rng.choice(["promote", "pause", "resume", "metrics", "log"]))
            time.sleep(rng.random() * 0.2)
            self.assertIsNone(s.process.poll(), "seed %d step %d" % (seed, step))
            status = s.status()
            states = [g["state"] for g in status["generations"]]
            self.assertLessEqual(states.count("active"), 1)
            self.assertLessEqual(states.count("starting") + states.count("soaking"), 1)
            self.assertLessEqual(len(states), 3)
            slots = [g["slot"] for g in status["generations"]]
            self.assertEqual(len(set(slots)), len(slots), status)
            if status["state"] in ("running", "reloading"):
                self.assertEqual(states.count("active"), 1, status)
        self.mode("ok")
        s.client("resume")
        wait_until(lambda: s.status()["state"] == "running", "peace", 120)
        self.assertIn(s.reload("--now").returncode, (0, 3))
        s.wait_idle()
        self.assertIn("200 OK", get(port))
        # The generation, and what its like have left behind on purpose, but no zombie of ours.
        self.assertEqual([p for p in descendants(s.pid) if not alive(p)], [])
        self.assertLessEqual(len(descendants(s.pid)), 2)
        self.assertLessEqual(fds(s.pid), before + 2)
        self.assertEqual(s.stop(), 0)

    def test_reloads_leak_nothing(self):
        port = free_port()
        # A child that starts at once, so that a thousand of them take minutes, not hours.
        app = "import os,signal,socket\n" \
              "n=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);n.sendto(b'READY=1',os.environ['NOTIFY_SOCKET'])\n" \
              "signal.pause()"
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--listen", "unix:" + os.path.join(self.dir, "s"),
                        "--ready", "notify", "--linger", "0", "--release-link", self.dir],
                       [PYTHON, "-S", "-c", app])
        s.wait_active()
        count = 1000 if LONG else 40
        first = None
        for i in range(count):
            self.assertEqual(s.reload().returncode, 0)
            if i == count // 4:
                s.wait_idle()
                first = (fds(s.pid), rss(s.pid), len(descendants(s.pid)))
        s.wait_idle()
        # Retired sockets are watched for three seconds.
        wait_until(lambda: fds(s.pid) <= first[0], "descriptors to be closed")
        last = (fds(s.pid), rss(s.pid), len(descendants(s.pid)))
        print("  %d reloads: descriptors %d -> %d, RSS %d -> %d KiB, processes %d -> %d"
              % (count, first[0], last[0], first[1], last[1], first[2], last[2]))
        self.assertLessEqual(last[1], first[1] + 128)
        self.assertEqual(last[2], first[2])
        self.assertEqual(s.status()["reloads"], {"ok": count + 1, "failed": 0})
        wait_until(lambda: [f for f in os.listdir(self.dir) if f.startswith("s")] == ["s"],
                   "the names of retired sockets to go")


if __name__ == "__main__":
    main()
