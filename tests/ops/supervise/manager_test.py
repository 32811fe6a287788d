#!/usr/bin/python3
"""godwit-run below something else: systemd's protocol, s6's descriptor, process 1."""
import array, os, shutil, signal, socket, subprocess, time, unittest
from harness import *
from load import Load


class FakeSystemd:
    """The notify socket of a service manager, with a descriptor store."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.messages = []
        self.store = []

    def pump(self):
        while True:
            try:
                data, control, _, _ = self.socket.recvmsg(4096, 1024)
            except BlockingIOError:
                return self.messages
            fds = array.array("i")
            for level, kind, body in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds.frombytes(body)
            text = data.decode()
            if "FDSTORE=1" in text:
                name = [l[7:] for l in text.split("\n") if l.startswith("FDNAME=")][0]
                same = lambda fd: os.path.samestat(os.fstat(fd), os.fstat(fds[0]))
                if any(same(fd) for _, fd in self.store):  # it is kept once
                    os.close(fds[0])
                else:
                    self.store.append((name, fds[0]))
            if "FDSTOREREMOVE=1" in text:
                name = [l[7:] for l in text.split("\n") if l.startswith("FDNAME=")][0]
                for entry in [e for e in self.store if e[0] == name]:
                    os.close(entry[1])
                    self.store.remove(entry)
            self.messages.append(text)

    def names(self):
        self.pump()
        return sorted(n for n, _ in self.store)

    def passing(self, more=()):
        """What systemd does before exec: descriptors from 3 on, and whose they are."""
        given = list(more) + self.store

        def pass_fds():
            high = [os.dup2(fd, 200 + i) for i, (_, fd) in enumerate(given)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)

        return {"env": {"LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": ":".join(n for n, _ in given)},
                "wrapper": ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
                "preexec_fn": pass_fds, "close_fds": False}

    def has(self, word):
        return [m for m in self.pump() if word in m]

    def close(self):
        self.socket.close()
        while self.store:
            os.close(self.store.pop()[1])


class Systemd(Case):
    def setUp(self):
        super().setUp()
        self.manager = FakeSystemd(os.path.join(self.dir, "systemd"))
        self.port = free_port()

    def tearDown(self):
        self.manager.close()
        super().tearDown()

    def begin(self, *args, listen=None, env=None, **more):
        return self.start(["--listen", "web=" + (listen or "127.0.0.1:%d" % self.port), "--ready", "notify", "--linger",
                           "0.1", "--name", "web", *args],
                          env=dict({"NOTIFY_SOCKET": self.manager.path}, **(env or {})), **more)

    def killed(self, s):
        child = s.pid_of()
        s.send(signal.SIGKILL)
        s.wait()
        wait_until(lambda: not alive(child), "the child to end")

    def test_every_reload_is_announced_and_its_end_too_even_when_it_failed(self):
        s = self.begin()
        s.wait_active()
        m = self.manager
        wait_until(lambda: m.has("READY=1"), "READY=1")
        s.reload()
        s.wait_idle()
        self.mode("crash")
        self.assertEqual(s.reload().returncode, 1)
        wait_until(lambda: m.has("failed: exit 3"), "the status of the failure")
        order = [t.split("\n")[0] for t in m.pump() if t.startswith(("READY", "RELOADING"))]
        self.assertEqual(order, ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"])
        self.assertTrue(all("MONOTONIC_USEC=" in t for t in m.has("RELOADING=1")))
        s.stop()
        self.assertTrue(m.has("STOPPING=1"))
        self.assertTrue(m.has("EXTEND_TIMEOUT_USEC="))

    def test_the_watchdog_is_fed_only_while_the_service_is_well(self):
        hang = os.path.join(self.dir, "hang")
        self.mode("hanglater")
        s = self.begin("--liveness", "/,interval=100ms,timeout=200ms,fail=100",
                       env={"WATCHDOG_USEC": "200000", "APP_HANG_FILE": hang})
        s.wait_active()
        wait_until(lambda: len(self.manager.has("WATCHDOG=1")) > 2, "WATCHDOG=1")
        open(hang, "w").close()
        wait_until(lambda: "liveness probe failed" in s.text(), "the failure")
        before = len(self.manager.has("WATCHDOG=1"))
        wait_until(lambda: s.text().count("liveness probe failed") > 4, "more failures")
        self.assertLessEqual(len(self.manager.has("WATCHDOG=1")), before + 1)

    SLOTS = ["gw.state"] + ["gw.web.web.%d" % k for k in range(4)]

    def ask(self, family, address):
        """A client that connects while nobody runs, and waits."""
        c = socket.socket(family, socket.SOCK_STREAM)
        c.settimeout(PATIENCE)
        c.connect(address)
        c.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return c

    def test_the_port_never_closes_when_the_store_holds_the_sockets(self):
        s = self.begin()
        s.wait_active()
        wait_until(lambda: self.manager.names() == self.SLOTS, "the sockets")
        for life in range(1, 4):
            # Not only the first slot: clients wait where the last generation was.
            for _ in range(life - 1):
                self.assertEqual(s.reload().returncode, 0)
            self.killed(s)
            c = self.ask(socket.AF_INET, ("127.0.0.1", self.port))
            s = self.begin(dir=s.dir, **self.manager.passing())
            self.assertIn(b"gen 1 ", c.recv(65536))
            c.close()
            self.assertIn("200 OK", get(self.port))
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("gen 2", get(self.port))
        self.assertEqual(self.manager.names(), self.SLOTS)

    def test_a_unix_path_never_closes_when_the_store_holds_its_socket(self):
        path = os.path.join(self.dir, "web.sock")
        s = self.begin(listen="unix:" + path)
        s.wait_active()
        wait_until(lambda: self.manager.names() == ["gw.state", "gw.web.web.u0"], "the socket")
        number = 0
        for life in range(1, 4):
            for _ in range(life - 1):
                self.assertEqual(s.reload().returncode, 0)
            number += life if life > 1 else 0
            s.wait_idle()
            # Numbers go on over the lives; the one before has left the store.
            wait_until(lambda: self.manager.names() == ["gw.state", "gw.web.web.u%d" % number], "the public socket")
            self.killed(s)
            c = self.ask(socket.AF_UNIX, path)
            s = self.begin(listen="unix:" + path, dir=s.dir, **self.manager.passing())
            self.assertIn(b"gen 1 ", c.recv(65536))
            c.close()
        self.assertEqual(s.reload().returncode, 0)
        s.wait_idle()
        self.ask(socket.AF_UNIX, path).close()
        self.assertEqual(s.stop(), 0)
        self.assertEqual([f for f in os.listdir(self.dir) if f.startswith("web.sock")], [])

    def test_a_stored_socket_whose_path_was_taken_is_not_used(self):
        path = os.path.join(self.dir, "web.sock")
        s = self.begin(listen="unix:" + path)
        s.wait_active()
        wait_until(lambda: len(self.manager.names()) == 2, "the socket")
        self.killed(s)
        os.unlink(path)
        other = socket.socket(socket.AF_UNIX)
        other.bind(path)
        other.listen(5)
        self.assertEqual(self.begin(listen="unix:" + path, dir=s.dir, **self.manager.passing()).wait(), 75)
        other.close()

    def test_fewer_stored_sockets_than_wanted_are_enough(self):
        s = self.begin()
        s.wait_active()
        wait_until(lambda: self.manager.names() == self.SLOTS, "the sockets")
        self.killed(s)
        again = self.begin("--max-generations", "8", dir=s.dir, **self.manager.passing())
        again.wait_active()
        self.assertEqual(len(again.status()["listen"][0]["queue"]), 4)
        for _ in range(5):
            self.assertEqual(again.reload().returncode, 0)

    def test_an_added_socket_is_stored_too(self):
        conf = os.path.join(self.dir, "godwit-run.conf")
        text = "name web\nready notify\ncommand %s %s\nlisten web=127.0.0.1:%d\n" % (PYTHON, APP, self.port)
        with open(conf, "w") as f:
            f.write(text)
        s = self.start(["--config", conf], None, env={"NOTIFY_SOCKET": self.manager.path})
        s.wait_active()
        with open(conf, "a") as f:
            f.write("listen more=127.0.0.1:%d\n" % free_port())
        self.assertEqual(s.reload().returncode, 0)
        wait_until(lambda: "gw.web.more.3" in self.manager.names(), "the added socket")

    def listening(self, reuse_port):
        l = socket.socket()
        if reuse_port:
            l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        l.bind(("127.0.0.1", self.port))
        l.listen(64)
        self.addCleanup(l.close)
        return l

    def test_a_socket_of_the_manager_is_used_by_name(self):
        l = self.listening(False)
        s = self.start(["--listen", "fd:web", "--ready", "probe:/", "--linger", "0.1"],
                       **self.manager.passing([("web", l.fileno())]))
        s.wait_active()
        self.assertIn("hint: ReusePort=yes", s.text())
        self.assertIn("gen 1", get(self.port))
        self.assertEqual(s.reload().returncode, 0)
        wait_until(lambda: "gen 2" in get(self.port), "the new generation alone")

    def test_slots_are_put_beside_a_socket_of_the_manager_that_allows_it(self):
        l = self.listening(True)
        s = self.begin(listen="fd:web", **self.manager.passing([("web", l.fileno())]))
        s.wait_active()
        self.assertEqual(s.status()["listen"][0]["mode"], "slots")
        with Load(("127.0.0.1", self.port), new=4, keep=2) as load:
            wait_until(lambda: load.ok > 20, "the first answers")
            for _ in range(3):
                self.assertEqual(s.reload().returncode, 0)
        self.no_failures(load)
        # The store gives its slots back; systemd passes the socket of the unit as well.
        wait_until(lambda: self.manager.names() == self.SLOTS, "the slots")
        self.killed(s)
        c = self.ask(socket.AF_INET, ("127.0.0.1", self.port))
        again = self.begin(listen="fd:web", dir=s.dir, **self.manager.passing([("web", l.fileno())]))
        self.assertIn(b"gen 1 ", c.recv(65536))
        c.close()
        self.assertEqual(again.reload().returncode, 0)
        self.assertEqual(again.stop(), 0)
        # Nobody is lost when only the manager's own socket is left.
        self.manager.close()
        c = self.ask(socket.AF_INET, ("127.0.0.1", self.port))
        l.settimeout(PATIENCE)
        l.accept()[0].close()
        c.close()

    def test_a_foreign_member_of_the_port_makes_it_one_socket(self):
        # Another process listens on the port with SO_REUSEPORT already: the order is not ours.
        first = self.listening(True)
        l = self.listening(True)
        s = self.begin(listen="fd:web", **self.manager.passing([("web", l.fileno())]))
        s.wait_active()
        self.assertEqual(s.status()["listen"][0]["mode"], "shared")
        self.assertIn("the kernel orders the sockets in another way", s.text())
        first.close()
        self.assertIn("200 OK", get(self.port))


class Others(Case):
    def test_a_newline_tells_s6_that_it_is_ready(self):
        r, w = os.pipe()
        os.set_inheritable(w, True)
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "--ready", "notify", "--notify-fd", str(w)],
                       pass_fds=(w,))
        os.close(w)
        self.assertEqual(os.read(r, 10), b"\n")
        self.assertEqual(os.read(r, 10), b"", "closed after it")
        os.close(r)
        self.assertEqual(s.active(), 1)

    @unittest.skipUnless(shutil.which("unshare") and subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], stderr=subprocess.DEVNULL).returncode == 0,
        "no pid namespaces here")
    def test_as_process_1_it_reaps_orphans_and_obeys_hup_and_term(self):
        port = free_port()
        orphans = "for i in 1 2 3 4 5; do (sh -c 'sleep 0.1 & sleep 0.05' &) ; done; exec %s %s" % (PYTHON, APP)
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1"],
                       ["/bin/sh", "-c", orphans], wrapper=["unshare", "--pid", "--fork", "--mount-proc",
                                                           "--kill-child"])
        s.wait_active()
        inside = wait_until(lambda: [p for p in descendants(s.pid)], "process 1")[0]
        self.assertEqual(s.status(None)["pid"], 1)
        os.kill(inside, signal.SIGHUP)
        wait_until(lambda: s.active() == 2, "the reload")
        zombies = lambda: [p for p in descendants(s.pid) if not alive(p)]
        wait_until(lambda: not zombies(), "orphans to be reaped")
        os.kill(inside, signal.SIGTERM)
        self.assertEqual(s.wait(), 0)

    def test_without_bpf_it_falls_back_to_one_socket_and_says_so(self):
        # A process that may not attach programs: LD_PRELOAD does not reach a static binary, so the
        # system call is refused by a seccomp filter.
        port = free_port()
        wrapper = [PYTHON, os.path.join(HERE, "no_bpf.py")]
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "probe:/", "--linger", "0.1"], wrapper=wrapper)
        s.wait_active()
        self.assertEqual(s.text().count("one socket for all generations"), 1)
        self.assertEqual(s.status()["listen"][0]["mode"], "shared")
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("200 OK", get(port))

    def test_a_fork_that_fails_is_a_failed_reload(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become a user with a process limit of its own")
        port = free_port()
        os.chmod(self.dir, 0o777)
        limit = "import os,resource,sys\nos.setgid(64123);os.setuid(64123)\n" \
                "resource.setrlimit(resource.RLIMIT_NPROC,(int(sys.argv[1]),)*2)\nos.execv(sys.argv[2],sys.argv[2:])"
        app = os.path.join(self.dir, "app.py")
        shutil.copy(APP, app)
        binary = os.path.join(self.dir, "godwit-run")
        shutil.copy(BINARY, binary)
        control = os.path.join(self.dir, "c.sock")
        env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, PWD=self.dir, APP_MODE="ok")
        env.pop("APP_MODE_FILE", None)
        # The supervisor and one child with a thread or two fit; the second child does not.
        simple = "import socket,time\ns=socket.socket(fileno=3)\nwhile True:\n c,_=s.accept();c.recv(999);" \
                 "c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n');c.close()"
        p = subprocess.Popen([PYTHON, "-c", limit, "2", binary, "--control", control, "--listen",
                              "127.0.0.1:%d" % port, "--ready", "probe:/", "--", PYTHON, "-c", simple],
                             env=env, cwd=self.dir, stderr=subprocess.PIPE)
        try:
            ask = lambda *a: subprocess.run([BINARY, a[0], "--control", control, *a[1:]], env=env,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            wait_until(lambda: '"active":1' in ask("status", "--json").stdout, "the first generation")
            r = ask("reload", "--wait")
            self.assertEqual(r.returncode, 1)
            self.assertIn("fork", r.stderr)
            self.assertIn("200 OK", get(port))
        finally:
            p.terminate()
            p.communicate(timeout=PATIENCE)


if __name__ == "__main__":
    main()
