"""The units: what systemd itself says of them."""
import os
import re
import tempfile
import unittest

import stack

# systemd's own scale from 0 (all fences up) to 10.
MOST_EXPOSED = 1.6


class Systemd(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-deploy-")
        self.units = {}
        for name in ("godwit", "godwit-agent"):
            path = f"{self.folder.name}/{name}.service"
            stack.write(path, stack.deploy_file(f"systemd/{name}.service"))
            self.units[name] = path

    def tearDown(self):
        self.folder.cleanup()

    def test_systemd_finds_no_mistake_in_the_units(self):
        out = stack.run(["systemd-analyze", "verify", "--man=no", *self.units.values()])
        self.assertEqual(out, "")

    def test_a_unit_is_fenced_in(self):
        for name, path in self.units.items():
            with self.subTest(name):
                out = stack.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path])
                level = float(re.search(r"exposure level for .*: ([\d.]+)", out).group(1))
                self.assertLessEqual(level, MOST_EXPOSED, out)

    def test_users_and_folders_can_be_made(self):
        root = f"{self.folder.name}/root"
        os.makedirs(f"{root}/etc")
        for name in ("passwd", "group", "shadow", "gshadow"):
            stack.write(f"{root}/etc/{name}", "root:x:0:0:root:/root:/bin/sh\n" if name == "passwd" else
                        "root:x:0:\n" if name == "group" else "")
        stack.run(["systemd-sysusers", f"--root={root}", f"{stack.DEPLOY}/systemd/godwit.sysusers"])
        with open(f"{root}/etc/passwd", encoding="utf-8") as f:
            self.assertIn("godwit:", f.read())
        stack.run(["systemd-tmpfiles", "--create", f"--root={root}", f"{stack.DEPLOY}/systemd/godwit.tmpfiles"])
        self.assertEqual(os.stat(f"{root}/var/lib/godwit/spool").st_mode & 0o777, 0o750)

    def test_the_server_is_given_longer_to_stop_than_its_drain_takes(self):
        unit = stack.deploy_file("systemd/godwit.service")
        patience = int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M).group(1))
        kill_after = int(re.search(r"^kill-after (\d+)s$", stack.deploy_file("etc/godwit-run.conf"), re.M).group(1))
        self.assertGreater(patience, kill_after)


if __name__ == "__main__":
    unittest.main(verbosity=2)
