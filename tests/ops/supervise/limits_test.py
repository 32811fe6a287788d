#!/usr/bin/python3
"""What godwit-run itself costs: the size of its file, its memory, and nothing at all while nothing happens."""
import os, re, shutil, subprocess, time, unittest
from harness import *

MIB = 1 << 20


def field(pid, name):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(name + r":\s+(\d+)", f.read()).group(1))


def is_static(path):
    """No program header asks for an interpreter."""
    with open(path, "rb") as f:
        head = f.read(64)
        offset, size, count = (int.from_bytes(head[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
        f.seek(offset)
        table = f.read(size * count)
    return all(int.from_bytes(table[i * size:i * size + 4], "little") != 3 for i in range(count))


# Sanitizers link their shared run-time, and their memory is not the program's.
@unittest.skipUnless(is_static(shutil.which(BINARY)), "not the static build")
class Limits(Case):
    def test_the_binary_is_static_and_below_2_mb(self):
        stripped = os.path.join(self.dir, "stripped")  # without the debug information of a test build
        subprocess.run(["strip", "-o", stripped, BINARY], check=True)
        size = os.path.getsize(stripped)
        print("  %d bytes" % size)
        self.assertLessEqual(size, 2_000_000)

    def test_it_keeps_less_than_one_and_a_half_mib_and_is_never_woken(self):
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "--ready", "probe:/", "--linger", "0.05"])
        s.wait_active()
        fresh = field(s.pid, "VmRSS")
        for _ in range(10 if not LONG else 100):
            self.assertEqual(s.reload().returncode, 0)
        s.wait_idle()
        # Retired slots are watched for three seconds; then nothing is armed.
        wait_until(lambda: self.quiet_for(s.pid, 4), "an end of the last reload's work")
        rss = field(s.pid, "VmRSS")
        before = field(s.pid, "voluntary_ctxt_switches")
        time.sleep(20 if LONG else 5)
        wakeups = field(s.pid, "voluntary_ctxt_switches") - before
        print("  RSS %d KiB, %d KiB after reloads, %d KiB of it its own; %d wake-ups" %
              (fresh, rss, field(s.pid, "RssAnon"), wakeups))
        self.assertEqual(wakeups, 0)
        self.assertLessEqual(fresh * 1024, 1.5 * MIB)
        self.assertLessEqual(rss * 1024, 1.5 * MIB)

    @staticmethod
    def quiet_for(pid, seconds):
        before = field(pid, "voluntary_ctxt_switches")
        time.sleep(seconds)
        return field(pid, "voluntary_ctxt_switches") == before


if __name__ == "__main__":
    main()
