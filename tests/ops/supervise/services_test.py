#!/usr/bin/python3
"""Configuration files, several services in one instance, and the supervisor replacing itself."""
import os, re, signal, subprocess, unittest
from harness import *
from load import Load


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


class Configuration(Case):
    def config(self, text):
        path = os.path.join(self.dir, "godwit-run.conf")
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)
        return path

    def test_a_reload_reads_the_file_again_and_refuses_changed_sockets(self):
        port, other = free_port(), free_port()
        base = "listen web=127.0.0.1:%d\nready notify\nlinger 0.1\ncommand %s %s\n"
        path = self.config(base % (port, PYTHON, APP))
        s = self.start(["--config", path], None)
        s.wait_active()
        self.config(base % (port, PYTHON, APP) + "env APP_NOTE=configured\n")
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("env configured", get(port))
        self.config(base % (other, PYTHON, APP))
        r = s.reload()
        self.assertEqual(r.returncode, 1)
        self.assertIn("a changed socket takes a new start", r.stderr)
        self.config(base % (port, PYTHON, APP) + "nonsense\n")
        self.assertIn("unknown option", s.reload().stderr)
        self.config("listen extra=127.0.0.1:%d\n" % other + base % (port, PYTHON, APP))
        r = s.reload()
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("200 OK", get(other))
        self.assertIn("200 OK", get(port))

    def test_a_file_named_from_here_is_found_again_by_reload_and_upgrade(self):
        port = free_port()
        path = self.config("listen 127.0.0.1:%d\nready probe:/\ncommand %s %s\n" % (port, PYTHON, APP))
        folder, name = os.path.split(path)
        s = self.start(["--config", name], None, cwd=folder)
        s.wait_active()
        self.assertEqual(s.reload().returncode, 0)
        self.assertEqual(s.client("upgrade").returncode, 0)
        wait_until(lambda: "godwit-run goes on" in s.text(), "the new program")
        self.assertEqual(s.reload().returncode, 0)

    def test_check_and_print_config(self):
        run = lambda *a: subprocess.run([BINARY, *a], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(run("--check", "--", "x").returncode, 0)
        self.assertEqual(run("--soak", "x", "--check", "--", "x").returncode, 64)
        r = run("--listen", "web=:8000", "--soak", "2", "--print-config", "--", "a b", "c")
        self.assertIn("listen web=0.0.0.0:8000\n", r.stdout)
        self.assertIn('command "a b" c', r.stdout)
        bad = run("--nope")
        self.assertEqual(bad.returncode, 64)
        self.assertEqual(bad.stderr.count("\n"), 1)

    def test_several_services_start_in_order_and_reload_apart(self):
        a, b = free_port(), free_port()
        conf = """linger 0.1
ready notify
[service front]
after back
listen 127.0.0.1:%d
command %s %s
[service back]
listen 127.0.0.1:%d
env APP_START=0.4
command %s %s
""" % (a, PYTHON, APP, b, PYTHON, APP)
        s = self.start(["--config", self.config(conf)], None)
        wait_until(lambda: s.status(None) and all(x["active"] for x in s.status(None)["services"]), "both")
        log = s.text()
        self.assertLess(log.index("generation active service=back"), log.index("generation starting service=front"))
        with Load(("127.0.0.1", a), new=2, keep=1) as la, Load(("127.0.0.1", b), new=2, keep=1) as lb:
            self.assertEqual(s.reload("--service", "front").returncode, 0)
            self.assertEqual([x["active"] for x in s.status(None)["services"]], [2, 1])
            self.assertEqual(s.reload().returncode, 0)
            self.assertEqual([x["active"] for x in s.status(None)["services"]], [3, 2])
            self.assertEqual(s.reload("--service", "nobody").returncode, 5)
        self.no_failures(la, 20)
        self.no_failures(lb, 20)
        # One is taken out, one is put in.
        third = free_port()
        self.config(conf.replace("[service front]", "[service other]").replace(str(a), str(third)))
        s.send(signal.SIGHUP)
        wait_until(lambda: sorted(x["service"] for x in s.status(None)["services"] if x["state"] == "running")
                   == ["back", "other"], "the change of services")
        wait_until(lambda: len(s.status(None)["services"]) == 2, "the old one to go")
        self.assertIn("200 OK", get(third))
        self.assertEqual(s.stop(), 0)
        log = s.text()
        self.assertLess(log.rindex("service ended service=other"), log.rindex("service ended service=back"))


class Upgrade(Case):
    def test_the_supervisor_replaces_itself_under_load(self):
        port = free_port()
        pidfile = os.path.join(self.dir, "pid")
        path = os.path.join(self.dir, "u.sock")
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--listen", "unix:" + path, "--ready", "notify",
                        "--linger", "0.1", "--pidfile", pidfile, "--map", "USR2=upgrade"])
        s.wait_active()
        child = s.pid_of()
        with Load(("127.0.0.1", port), new=4, keep=2) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            for n in range(1, 4):
                if n < 3:
                    self.assertEqual(s.client("upgrade").returncode, 0)
                else:
                    s.send(signal.SIGUSR2)
                # A signal that arrives in the middle of it is not lost.
                s.send(signal.SIGHUP)
                wait_until(lambda: s.text().count("godwit-run goes on") == n, "the new program")
                wait_until(lambda: s.active() == n + 1, "the reload")
                self.assertIsNone(s.process.poll())
                s.wait_idle()
        self.no_failures(l)
        self.assertNotEqual(s.pid_of(), child)
        self.assertEqual(int(read(pidfile)), s.pid)
        self.assertEqual(s.status()["reloads"]["ok"], 4)
        count = lambda name: re.search(r'godwit_run_%s_seconds_count{service="[^"]*"} (\d+)' % name,
                                       s.client("metrics").stdout).group(1)
        self.assertEqual([count(n) for n in ("ready", "reload", "drain")], ["4", "4", "3"])
        os.kill(s.pid_of(), signal.SIGKILL)
        wait_until(lambda: s.active() == 5, "the restart by the new program")
        self.assertEqual(s.stop(), 0)
        self.assertFalse(os.path.exists(pidfile))

    def test_a_binary_that_does_not_understand_is_not_executed(self):
        port = free_port()
        for other in ("/bin/false", "/nonexistent"):
            s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--upgrade-to", other])
            s.wait_active()
            r = s.client("upgrade")
            self.assertEqual(r.returncode, 1, r.stderr)
            self.assertEqual(s.reload().returncode, 0)
            self.assertEqual(s.stop(), 0)


if __name__ == "__main__":
    main()
