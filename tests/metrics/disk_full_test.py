#!/usr/bin/env python3
"""usage: disk_full_test.py PROGRAM   Runs PROGRAM on a tmpfs of 24 MiB. Exit status 77 (skipped)
where no file system may be mounted."""
import os
import subprocess
import sys
import tempfile

SKIPPED = 77


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="godwit-full-") as where:
        # A mount namespace of its own: the mount ends with the process, whatever happens to us.
        script = 'mount -t tmpfs -o size=24m tmpfs "$1" || exit 77; exec "$2" "$1"'
        for unshare in (["unshare", "-m"], ["unshare", "-rm"]):
            try:
                done = subprocess.run([*unshare, "sh", "-c", script, "sh", where, program],
                                      timeout=100)
            except FileNotFoundError:
                break
            # 1 is also what unshare answers when it may not.
            probe = subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL)
            if done.returncode != SKIPPED and probe.returncode == 0:
                return done.returncode if done.returncode >= 0 else 1
    print("skipped: mounting a tmpfs is not permitted here")
    return SKIPPED


sys.exit(main())
