"""The Debian packages: installed, upgraded under load, removed and purged by dpkg, in a copy of this
machine's file system that is thrown away (an overlay in namespaces of its own)."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import stack

BUILD = os.environ["GODWIT_BUILD"]
NAMES = ("godwit", "godwit-run", "godwit-agent", "libgodwit-dev", "libgodwit-metrics0", "python3-godwit-metrics")
# Said on purpose, with the reason.
EXCUSED = {
    "initial-upload-closes-no-bugs": "it is in no archive",
    "maintscript-calls-ldconfig": "written by CPack for the shared library",
    "lacks-ldconfig-trigger": "the same: its scripts call ldconfig",
    "groff-message": "a setting's example that is longer than a line",
    "pkg-config-unavailable-for-cross-compilation": "built where it runs; not laid out for several architectures",
}


def build_packages(folder, suffix):
    # The tree was built for the tests; packaging does not build it again.
    with open(f"{BUILD}/CPackConfig.cmake", encoding="utf-8") as f:
        version = re.search(r'CPACK_PACKAGE_VERSION "(.*)"', f.read()).group(1)
    stack.run(["cpack", "--config", f"{BUILD}/CPackConfig.cmake", "-G", "DEB", "-B", folder,
               "-D", f"CPACK_PACKAGE_VERSION={version}{suffix}"], timeout=280)
    found = {os.path.basename(f).split("_")[0]: f for f in glob.glob(f"{folder}/*.deb")}
    assert sorted(found) == sorted(NAMES), found
    return found


def isolated():
    return os.environ.get("GODWIT_ISOLATED") == "1"


class Machine:
    """The overlay. Only inside namespaces of our own."""

    def __init__(self, folder):
        self.root = f"{folder}/root"
        for d in ("upper", "work", "root"):
            os.makedirs(f"{folder}/{d}")
        stack.run(["mount", "-t", "overlay", "overlay", "-o",
                   f"lowerdir=/,upperdir={folder}/upper,workdir={folder}/work", self.root])
        for d, kind in (("proc", "proc"), ("run", "tmpfs"), ("tmp", "tmpfs")):
            stack.run(["mount", "-t", kind, kind, f"{self.root}/{d}"])
        stack.run(["mount", "--rbind", "/dev", f"{self.root}/dev"])

    def run(self, *command, check=True, **options):
        done = subprocess.run(["chroot", self.root, *command], capture_output=True, text=True, timeout=120, cwd="/",
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **options})
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def install(self, packages):
        for p in packages.values():
            shutil.copy(p, f"{self.root}/tmp")
        return self.run("dpkg", "--install", "--force-confold",
                        *(f"/tmp/{os.path.basename(p)}" for p in packages.values()))

    def start(self):
        """What systemd would do."""
        self.run("install", "-d", "-o", "godwit", "-g", "godwit", "/run/godwit")
        log = open(f"{self.root}/tmp/log", "ab")
        process = subprocess.Popen(
            ["chroot", "--userspec=godwit:godwit", self.root, "/usr/bin/godwit-run", "--config",
             "/etc/godwit/godwit-run.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "STATE_DIRECTORY": "/var/lib/godwit"})
        log.close()
        stack.wait_for("http://127.0.0.1:8888/v1/__lbheartbeat__")
        return process


def hello():
    with urllib.request.urlopen("http://127.0.0.1:8888/v1/", timeout=10) as r:
        return json.load(r)


@unittest.skipUnless(os.geteuid() == 0, "packages are installed by root")
@unittest.skipIf(isolated(), "runs outside")
class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="godwit-package-")
        cls.old = build_packages(f"{cls.folder.name}/old", "")
        cls.new = build_packages(f"{cls.folder.name}/new", "+next")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_lintian_has_nothing_to_say(self):
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning",
                               "--suppress-tags", ",".join(EXCUSED), *self.old.values()],
                              capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_nobody_but_root_can_write_what_is_installed(self):
        for name, path in self.old.items():
            for line in stack.run(["dpkg-deb", "--contents", path]).splitlines():
                mode, owner = line.split()[:2]
                self.assertEqual(owner, "root/root", f"{name}: {line}")
                self.assertTrue(mode.startswith("l") or mode[5] == mode[8] == "-", f"{name}: {line}")

    def test_install_upgrade_under_load_remove_and_purge(self):
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B",
             __file__, self.folder.name, json.dumps([self.old, self.new])],
            env={**os.environ, "GODWIT_ISOLATED": "1"}, capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def life(folder, old, new):
    stack.run(["ip", "link", "set", "lo", "up"])
    stack.run(["mount", "--make-rprivate", "/"])
    os.makedirs(f"{folder}/machine")
    stack.run(["mount", "-t", "tmpfs", "tmpfs", f"{folder}/machine"])
    machine = Machine(f"{folder}/machine")

    machine.install(old)
    assert machine.run("stat", "-c", "%U %a", "/var/lib/godwit").split() == ["godwit", "750"]
    for page in NAMES[:3]:
        assert os.path.exists(f"{machine.root}/usr/share/man/man1/{page}.1.gz"), page
    machine.run("godwit", "config", "check", "--ini", "/etc/godwit/godwit.ini")
    machine.run("godwit-run", "--check", "--config", "/etc/godwit/godwit-run.conf")
    supervisor = machine.start()
    machine.run("sh", "-c", "echo secret | godwit user add admin --ini /etc/godwit/godwit.ini",
                STATE_DIRECTORY="/var/lib/godwit")
    edited = f"{machine.root}/etc/godwit/godwit.ini"
    with open(edited, "a", encoding="utf-8") as f:
        f.write("kinto.project_name = edited\n")

    with stack.Load(8888) as load:
        load.more(200)
        out = machine.install(new)
        load.more(200)
    assert not load.failures, (load.failures[:5], out)
    status = machine.run("godwit-run", "status", "--control", "/run/godwit/run.sock")
    assert "gen 2" in status, (status, out)
    assert supervisor.poll() is None, "the supervisor ended"
    assert hello()["project_name"] == "edited", "a setting of the operator was lost"
    assert "+next" in machine.run("dpkg-query", "-W", "-f", "${Version}", "godwit")
    running = machine.run("sh", "-c", f"readlink /proc/{supervisor.pid}/exe")
    assert "deleted" not in running, running

    machine.run("dpkg", "--remove", "godwit", "godwit-agent")
    assert supervisor.wait(60) == 0
    assert not os.path.exists(f"{machine.root}/usr/bin/godwit")
    assert os.path.exists(edited), "configuration goes with purge, not with remove"
    out = machine.run("dpkg", "--purge", *NAMES)
    assert "was left" in out, out
    assert not os.path.exists(f"{machine.root}/etc/godwit")
    assert os.path.exists(f"{machine.root}/var/lib/godwit/godwit.db"), "purge took the data"
    print(f"upgrade under load: {load.answers} answers, {len(load.failures)} failed")


if __name__ == "__main__":
    if isolated():
        life(sys.argv[1], *json.loads(sys.argv[2]))
    else:
        unittest.main(verbosity=2)
