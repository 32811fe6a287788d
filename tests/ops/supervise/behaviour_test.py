#!/usr/bin/python3
"""What godwit-run promises of the command's surroundings, its output, signals and the control socket."""
import fcntl, json, os, re, signal, socket, stat, subprocess, termios, threading, time, unittest
from harness import *
from load import Load


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


class Surroundings(Case):
    def test_sockets_are_described_in_every_dialect(self):
        out = os.path.join(self.dir, "out")
        path = os.path.join(self.dir, "s.sock")
        port = free_port()
        s = self.start(["--listen", "web=127.0.0.1:%d" % port, "--listen", "admin=unix:" + path,
                        "--compat", "server-starter,einhorn,nginx", "--no-listen-pid", "-w", "0.1"],
                       ["/bin/sh", "-c", "env > %s.new; echo $0 $1 $2 $3 >> %s.new; mv %s.new %s; exec sleep 100"
                        % (out, out, out, out), "{fd:admin}", "{port:web}", "{path:admin}", "{gen}{x}"])
        s.wait_active()
        text = read(out)
        for line in ("LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin", "NGINX=3;4;", "EINHORN_FD_COUNT=2",
                     "EINHORN_FD_1=4", "SERVER_STARTER_GENERATION=1", "GENERATION=1",
                     "SERVER_STARTER_PORT=127.0.0.1:%d=3;%s=4" % (port, path),
                     "4 %d %s 1{x}" % (port, path)):
            self.assertIn(line, text)
        self.assertNotIn("LISTEN_PID=", text)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        fds = sorted(int(f) for f in os.listdir("/proc/%d/fd" % s.pid_of()))
        self.assertEqual(fds, [0, 1, 2, 3, 4])

    def test_the_sockets_are_for_this_process_only(self):
        out = os.path.join(self.dir, "out")
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "-w", "0.1"],
                       [PYTHON, "-c", "import os,time\nopen(%r,'w').write(repr((os.getpid(),"
                        "os.fstat(os.pidfd_open(os.getpid())).st_ino,dict(os.environ))))\ntime.sleep(100)" % out])
        s.wait_active()
        pid, inode, env = eval(read(out))
        self.assertEqual(env["LISTEN_PID"], str(pid))
        if "LISTEN_PIDFDID" in env:
            self.assertEqual(env["LISTEN_PIDFDID"], str(inode))

    def test_variables_that_vanish_from_envdir_vanish(self):
        port = free_port()
        envdir = os.path.join(self.dir, "env")
        os.mkdir(envdir)
        with open(os.path.join(envdir, "APP_NOTE"), "w") as f:
            f.write("here\n")
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--env-dir", envdir])
        s.wait_active()
        self.assertIn("env here", get(port))
        os.unlink(os.path.join(envdir, "APP_NOTE"))
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("env  cwd", get(port))

    def test_a_link_in_the_working_directory_is_followed_anew(self):
        port = free_port()
        for n in ("a", "b"):
            os.mkdir(os.path.join(self.dir, n))
        link = os.path.join(self.dir, "current")
        os.symlink("a", link)
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1"],
                       cwd=link)
        s.wait_active()
        self.assertEqual(os.readlink("/proc/%d/cwd" % s.pid), "/", "it must not pin a release")
        os.symlink("b", link + ".new")
        os.rename(link + ".new", link)
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("cwd " + link, get(port))
        self.assertEqual(os.readlink("/proc/%d/cwd" % s.pid_of()), os.path.join(self.dir, "b"))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_user_limits_and_umask(self):
        out = os.path.join(self.dir, "out")
        os.chmod(self.dir, 0o777)
        s = self.start(["--user", "nobody", "--umask", "077", "--nice", "5", "--rlimit", "nofile=123",
                        "--no-new-privs", "--setsid", "--ready", "exec:test -e " + out],
                       ["/bin/sh", "-c", "(id -u; id -G; umask; ulimit -n; nice; grep NoNewPrivs "
                        "/proc/self/status; ps -o sid= -p $$) > %s.new; mv %s.new %s; exec sleep 100"
                        % (out, out, out)])
        s.wait_active()
        lines = read(out).split("\n")
        self.assertEqual(lines[0], "65534")
        self.assertEqual(lines[1], "65534")
        self.assertEqual(int(lines[2], 8), 0o77)
        self.assertEqual(lines[3:5], ["123", "5"])
        self.assertEqual(lines[5].split()[1], "1")
        self.assertEqual(int(lines[6]), s.pid_of())

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_notify_works_for_another_user(self):
        port = free_port()
        os.chmod(self.dir, 0o755)
        app = os.path.join(self.dir, "app.py")
        with open(app, "w") as f:
            f.write(read(APP))
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--user", "nobody"],
                       [PYTHON, app], env={"APP_MODE_FILE": "", "APP_MODE": "ok"})
        os.chmod(s.dir, 0o755)
        s.wait_active()
        self.assertIn("200 OK", get(port))

    def test_foreign_notifications_are_ignored(self):
        self.mode("ok,noready")
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"])
        wait_until(lambda: "generation starting" in s.text(), "the start")
        found = []
        for root, _, files in os.walk(s.dir):
            found += [os.path.join(root, f) for f in files if f.startswith("notify.")]
        self.assertEqual(len(found), 1)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(found[0])).st_mode), 0o700)
        c = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        c.sendto(b"READY=1", found[0])
        c.close()
        wait_until(lambda: "foreign" in s.text(), "the refusal")
        self.assertEqual(s.active(), 0)

    def test_every_readiness_condition(self):
        port = free_port()
        marker = os.path.join(self.dir, "ready")
        sock = os.path.join(self.dir, "own.sock")
        listener = "import socket,time,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen(5)\ntime.sleep(100)"
        cases = [
            (["--ready", "fd", "--listen", "127.0.0.1:%d" % port], [PYTHON, APP]),
            (["--ready", "fd:9", "--listen", "127.0.0.1:%d" % port], [PYTHON, APP]),
            (["--ready", "probe-tcp", "--listen", "127.0.0.1:%d" % port], [PYTHON, APP]),
            (["--ready", "probe:/", "--ready", "notify", "--ready", "delay:0.1", "--soak", "0",
              "--listen", "127.0.0.1:%d" % port], [PYTHON, APP]),
            (["--ready", "http:127.0.0.1:%d/" % port], [PYTHON, APP]),
            (["--ready", "tcp:127.0.0.1:%d" % port], [PYTHON, APP]),
            (["--ready", "unix:" + sock + "{gen}"], [PYTHON, "-c", listener, sock + "{gen}"]),
            (["--ready", "exec:test -d /proc/$CHILD_PID && test $GENERATION = 1"], ["/bin/sleep", "100"]),
            (["--ready", "exec:test -e " + marker], ["/bin/sh", "-c", "sleep 0.3; >%s; exec sleep 100" % marker]),
            (["--ready", "auto", "-w", "0.2"], ["/bin/sleep", "100"]),
            (["--ready", "delay:0.2"], ["/bin/sleep", "100"]),
        ]
        for args, command in cases:
            with self.subTest(args=args):
                s = self.start(args, command, env={"APP_PORT": str(port)})
                s.wait_active()
                s.stop()
        s = self.start(["--ready", "probe-tls", "--listen", "127.0.0.1:%d" % port, "--restart", "no",
                        "--ready-timeout", "1"])
        self.assertEqual(s.wait(), 69)
        self.assertIn("no answer yet", s.text())

    @unittest.skipUnless(os.path.exists("/usr/bin/openssl"), "openssl is not installed")
    def test_a_tls_server_is_ready_when_it_says_hello(self):
        key, cert = os.path.join(self.dir, "k"), os.path.join(self.dir, "c")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
                        cert, "-days", "1", "-subj", "/CN=x"], check=True, stderr=subprocess.DEVNULL)
        server = ("import socket,ssl\nc=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('%s','%s')\n"
                  "s=socket.socket(fileno=3)\n"
                  "while True:\n  a,_=s.accept()\n  try:\n    c.wrap_socket(a,server_side=True)\n  except OSError: pass\n"
                  % (cert, key))
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "--ready", "probe-tls:/"],
                       [PYTHON, "-c", server])
        s.wait_active()


class Output(Case):
    def test_output_passes_through_with_prefix_into_a_log_that_is_reopened(self):
        log = os.path.join(self.dir, "app.log")
        s = self.start(["--log", log, "--log-prefix", "-w", "0.1"],
                       ["/bin/sh", "-c", "trap 'echo again' USR1; echo out; echo err >&2; "
                        "while :; do sleep 0.05; done"])
        s.wait_active()
        pid = s.pid_of()
        wait_until(lambda: "err" in read(log), "the output")
        self.assertIn("[gen 1 pid %d] out\n" % pid, read(log))
        self.assertIn("[gen 1 pid %d] err\n" % pid, read(log))
        os.rename(log, log + ".1")
        s.send(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(log) and "again" in read(log), "the new log")
        self.assertNotIn("again", read(log + ".1"))
        self.assertIn("err", s.client("log").stdout)

    def test_a_reader_that_sleeps_stops_nobody_else(self):
        port = free_port()
        r, w = os.pipe()
        env = dict(os.environ, XDG_RUNTIME_DIR=self.dir, APP_MODE="ok", PWD=self.dir)
        control = os.path.join(self.dir, "c.sock")
        noise = "import sys,threading\nexec(open('%s').read().replace('App().run()', " \
                "'threading.Thread(target=lambda:[sys.stderr.write(chr(120)*1000+chr(10)) for _ in range(10**6)],daemon=True).start();App().run()'))" % APP
        p = subprocess.Popen([BINARY, "--control", control, "--listen", "127.0.0.1:%d" % port, "--ready",
                              "notify", "--", PYTHON, "-c", noise], env=env, stderr=w, cwd=self.dir)
        os.close(w)
        try:
            wait_until(lambda: subprocess.run([BINARY, "status", "--control", control],
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0,
                       "the control socket")
            for _ in range(5):
                self.assertIn("200 OK", get(port))
            done = subprocess.run([BINARY, "stop", "--control", control], timeout=PATIENCE)
            self.assertEqual(done.returncode, 0)
            p.wait(PATIENCE)
        finally:
            p.kill()
            p.wait()
            os.close(r)

    def test_metrics_pidfiles_and_hooks(self):
        port = free_port()
        metrics = os.path.join(self.dir, "m.prom")
        pid = os.path.join(self.dir, "child.pid")
        hooks = os.path.join(self.dir, "hooks")
        say = "echo $EVENT $GENERATION $OLD_GENERATION >> " + hooks
        s = self.start(["--listen", "web=127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--metrics-file", metrics, "--child-pidfile", pid, "--on", "promote=" + say,
                        "--on", "fail=" + say, "--on", "exit=" + say])
        s.wait_active()
        self.assertEqual(int(read(pid)), s.pid_of())
        self.mode("crash")
        self.assertEqual(s.reload().returncode, 1)
        self.mode("ok")
        self.assertEqual(s.reload().returncode, 0)
        s.wait_idle()
        self.assertEqual(int(read(pid)), s.pid_of())
        want = ["promote 1 0", "fail 2 1", "exit 2 0", "promote 3 1", "exit 1 0"]
        wait_until(lambda: sorted(read(hooks).split("\n")[:-1]) == sorted(want), "the hooks")
        text = s.client("metrics").stdout
        for line in ('godwit_run_generation{service="NAME"} 3', 'godwit_run_kills_total{service="NAME"} 0',
                     'godwit_run_reload_total{service="NAME",result="failed",reason="exit"} 1',
                     'godwit_run_child_exits_total{service="NAME",code="3"} 1',
                     'godwit_run_accept_queue{service="NAME",listen="web",slot="0"} 0',
                     'godwit_run_leftover_reset_total{service="NAME"} 0'):
            self.assertIn(line.replace("NAME", s.status()["service"]), text)
        self.assertEqual(text.count("# TYPE godwit_run_reload_seconds histogram"), 1)
        wait_until(lambda: "godwit_run_generation" in read(metrics), "the metrics file")
        s.stop()
        self.assertFalse(os.path.exists(pid))


class Control(Case):
    def begin(self, *args, **more):
        self.port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % self.port, "--ready", "notify", *args], **more)
        s.wait_active()
        return s

    def test_canary_promote_and_rollback(self):
        s = self.begin("--soak", "manual", "--linger", "0.1", "--keep-old", "30")
        s.send(signal.SIGHUP)
        wait_until(lambda: any(g["state"] == "soaking" for g in s.status()["generations"]), "the soak")
        self.assertIn("gen 1 ", get(self.port))
        self.assertEqual(s.client("canary", "50").returncode, 0)
        seen = [re.search(r"gen (\d)", get(self.port)).group(1) for _ in range(60)]
        self.assertGreater(seen.count("2"), 5)
        self.assertGreater(seen.count("1"), 5)
        self.assertEqual(s.client("promote").returncode, 0)
        self.assertEqual({re.search(r"gen (\d)", get(self.port)).group(1) for _ in range(20)}, {"2"})
        self.assertEqual(s.client("rollback").returncode, 0)
        self.assertEqual({re.search(r"gen (\d)", get(self.port)).group(1) for _ in range(20)}, {"1"})
        self.assertEqual(s.client("promote").returncode, 5)
        self.assertEqual(s.client("canary", "101").returncode, 64)

    def test_rollback_without_a_running_old_one_starts_the_last_good_release(self):
        note = os.path.join(self.dir, "env")
        with open(note, "w") as f:
            f.write("APP_NOTE=old\n")
        s = self.begin("--linger", "0.1", "--env-file", note)
        self.assertEqual(s.client("rollback").returncode, 5)
        with open(note, "w") as f:
            f.write("APP_NOTE=new\n")
        self.assertEqual(s.reload().returncode, 0)
        s.wait_idle()
        self.assertEqual(s.client("rollback", "--wait").returncode, 0)
        self.assertIn("env old", get(self.port))

    def test_reload_now_and_wait_tell_who_won(self):
        self.mode("hang")
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "--ready", "notify", "--linger", "0.1",
                        "--ready-timeout", "40"])
        wait_until(lambda: s.status(), "the control socket")
        s.stop()
        self.mode("ok")
        s = self.begin("--linger", "0.1")
        self.mode("hang")
        first = []
        t = threading.Thread(target=lambda: first.append(s.reload()))
        t.start()
        wait_until(lambda: s.status()["state"] == "reloading", "the first reload")
        self.mode("ok")
        self.assertEqual(s.reload("--now").returncode, 0)
        t.join(PATIENCE)
        self.assertEqual(first[0].returncode, 3)

    def test_wait_times_out_and_a_dead_instance_is_4(self):
        s = self.begin()
        self.mode("hang")
        self.assertEqual(s.client("reload", "--wait", "--timeout", "0.3").returncode, 2)
        s.send(signal.SIGKILL)
        s.wait()
        self.assertEqual(s.client("status").returncode, 4)

    def test_a_stop_with_a_timeout_does_not_wait_for_the_stop_sequence(self):
        self.mode("ok,ignoreterm")
        s = self.begin("--kill-after", "1h")
        self.assertEqual(s.client("stop", "--timeout", "0.2").returncode, 0)
        self.assertEqual(s.wait(), 0)
        self.assertIn("killing everything", s.text())

    def test_pause_resume_signal_log_subscribe(self):
        s = self.begin(env={"APP_SAY": "hello from the child"})
        events = subprocess.Popen([BINARY, "subscribe", "--control", s.control], stdout=subprocess.PIPE, text=True)
        self.assertEqual(s.client("pause").returncode, 0)
        wait_until(lambda: read("/proc/%d/stat" % s.pid_of()).rsplit(")", 1)[1].split()[0] == "T", "the stop")
        self.assertEqual(s.client("resume").returncode, 0)
        self.assertIn("200 OK", get(self.port))
        self.assertIn("hello from the child", s.client("log").stdout)
        self.assertIn("APP_SAY", s.client("env").stdout)
        self.assertEqual(s.client("signal", "NOPE").returncode, 5)
        self.assertEqual(s.client("signal", "TERM", "9").returncode, 5)
        self.assertEqual(s.client("signal", "KILL").returncode, 0)
        wait_until(lambda: s.active() == 2, "the restart")
        self.assertEqual(s.client("stop").returncode, 0)
        self.assertEqual(s.wait(), 0)
        lines = [json.loads(l) for l in events.communicate(timeout=PATIENCE)[0].split("\n") if l]
        self.assertIn("crashed", [l["event"] for l in lines])
        self.assertIn("promoted", [l["event"] for l in lines])
        self.assertNotIn(s.control, os.listdir(s.dir))

    def test_bad_requests_are_refused_and_cut_off(self):
        s = self.begin()
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(PATIENCE)
        c.connect(s.control)
        self.assertEqual(stat.S_IMODE(os.stat(s.control).st_mode), 0o700 & ~0o077)
        f = c.makefile("rw")
        for text in ("nonsense", "[]", '{"cmd":"dance"}', '{"cmd":1}', "{}", '{"cmd":"reload","service":"x"}'):
            f.write(text + "\n")
            f.flush()
            self.assertFalse(json.loads(f.readline())["ok"], text)
        f.write('{"cmd":"status"}\n{"cmd":"status"}\n')
        f.flush()
        self.assertTrue(json.loads(f.readline())["ok"])
        self.assertTrue(json.loads(f.readline())["ok"])
        try:
            c.sendall(b"x" * 100000)
            while c.recv(65536):
                pass
        except OSError:
            pass
        clients = []
        for _ in range(80):
            k = socket.socket(socket.AF_UNIX)
            k.connect(s.control)
            clients.append(k)
        for k in clients:
            k.close()
        self.assertEqual(wait_until(lambda: s.active(), "an answer again"), 1)

    def test_signals_are_mapped_and_forwarded(self):
        out = os.path.join(self.dir, "got")
        s = self.start(["-w", "0.1", "--map", "RTMIN+3=forward:USR2,dump", "--map", "TTIN=reload"],
                       ["/bin/sh", "-c", "trap 'echo usr2 >> %s' USR2; trap 'echo winch >> %s' WINCH; "
                        "while :; do sleep 0.05; done" % (out, out)])
        s.wait_active()
        open(out, "w").close()
        s.send(signal.SIGRTMIN + 3)
        s.send(signal.SIGWINCH)
        wait_until(lambda: "usr2" in read(out) and "winch" in read(out), "the signals")
        self.assertIn("status service", s.text())
        s.send(signal.SIGTTIN)
        wait_until(lambda: s.active() == 2, "the reload by TTIN")

    def test_quit_stops_with_quit_and_usr1_reaches_the_child(self):
        out = os.path.join(self.dir, "got")
        s = self.start(["-w", "0.1"], ["/bin/sh", "-c", "trap 'echo quit >> %s; exit 0' QUIT; trap 'echo usr1 >> %s' USR1;"
                                       " trap '' TERM; while :; do sleep 0.05; done" % (out, out)])
        s.wait_active()
        open(out, "w").close()
        s.send(signal.SIGUSR1)
        wait_until(lambda: "usr1" in read(out), "the signal")
        self.assertEqual(s.stop(signal.SIGQUIT), 0)
        self.assertEqual(read(out).split(), ["usr1", "quit"])

    def terminal(self, *args):
        """Under a terminal, which is then closed: the kernel sends HUP."""
        master, slave = os.openpty()

        def own():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        s = self.begin(*args, preexec_fn=own)
        os.close(slave)
        os.close(master)
        return s

    def test_a_closed_terminal_stops_unless_it_is_to_reload(self):
        s = self.terminal()
        self.assertEqual(s.wait(), 0)
        self.assertIn("the terminal is gone", s.text())
        s = self.terminal("--tty-hup", "reload")
        wait_until(lambda: s.active() == 2, "the reload")
        s = self.begin()
        s.send(signal.SIGHUP)  # from a person: a reload
        wait_until(lambda: s.active() == 2, "the reload")

    def test_job_control(self):
        s = self.begin()
        state = lambda pid: read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()[0]
        child = s.pid_of()
        s.send(signal.SIGTSTP)
        wait_until(lambda: state(s.pid) == "T" and state(child) == "T", "both to stop")
        s.send(signal.SIGCONT)
        wait_until(lambda: state(child) != "T", "the child to go on")
        self.assertIn("200 OK", get(self.port))


if __name__ == "__main__":
    main()
