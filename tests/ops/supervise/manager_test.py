#!/usr/bin/python3
"""godwit-run below something else: systemd's protocol, s6's descriptor, process 1."""
import array, os, shutil, signal, socket, subprocess, time, unittest
from harness import *


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
                self.store.append((name, fds[0]))
            self.messages.append(text)

    def has(self, word):
        return [m for m in self.pump() if word in m]

    def close(self):
        self.socket.close()
        for _, fd in self.store:
            os.close(fd)


class Systemd(Case):
    def setUp(self):
        super().setUp()
        self.manager = FakeSystemd(os.path.join(self.dir, "systemd"))
        self.port = free_port()

    def tearDown(self):
        self.manager.close()
        super().tearDown()

    def begin(self, *args, env=None, **more):
        return self.start(["--listen", "web=127.0.0.1:%d" % self.port, "--ready", "notify", "--linger", "0.1",
                           "--name", "web", *args],
                          env=dict({"NOTIFY_SOCKET": self.manager.path}, **(env or {})), **more)

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

    def test_the_port_never_closes_when_the_store_holds_the_sockets(self):
        s = self.begin()
        s.wait_active()
        wait_until(lambda: len(self.manager.pump()) and len(self.manager.store) == 4, "the sockets")
        child = s.pid_of()
        s.send(signal.SIGKILL)
        s.wait()
        wait_until(lambda: not alive(child), "the child to end")
        # Nobody runs; a client connects and waits.
        c = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        c.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        store = list(self.manager.store)

        def pass_fds():
            # What systemd does before exec: descriptors from 3 on, and whose they are.
            high = [os.dup2(fd, 200 + i) for i, (_, fd) in enumerate(store)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
            os.environ["LISTEN_PID"] = str(os.getpid())

        names = ":".join(n for n, _ in store)
        shell = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"]
        again = self.begin(env={"LISTEN_FDS": "4", "LISTEN_FDNAMES": names}, wrapper=shell, dir=s.dir,
                           preexec_fn=pass_fds, close_fds=False)
        again.wait_active()
        self.assertIn(b"200 OK", c.recv(65536))
        c.close()
        self.assertIn("200 OK", get(self.port))
        self.assertEqual(again.reload().returncode, 0)
        self.assertIn("gen 2", get(self.port))

    def test_a_socket_of_the_manager_is_used_by_name(self):
        l = socket.socket()
        l.bind(("127.0.0.1", 0))
        l.listen(64)
        port = l.getsockname()[1]
        fd = l.fileno()
        s = self.start(["--listen", "fd:web", "--ready", "probe:/", "--linger", "0.1"],
                       wrapper=["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
                       env={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"},
                       preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
        s.wait_active()
        self.assertIn("gen 1", get(port))
        self.assertEqual(s.reload().returncode, 0)
        wait_until(lambda: "gen 2" in get(port), "the new generation alone")
        l.close()


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
