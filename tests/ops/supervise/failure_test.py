#!/usr/bin/python3
"""What goes wrong with releases, children and the supervisor itself, and what it costs: nothing."""
import os, signal, socket, subprocess, threading, time, unittest
from harness import *
from load import Load


def read(path):
    with open(path) as f:
        return f.read()


class BadRelease(Case):
    def attempt(self, bad, extra=(), expect=1, ready="probe:/"):
        """A reload to a bad release under load, then to a good one."""
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", ready, "--linger", "0.2",
                        *extra])
        s.wait_active()
        pid = s.pid_of()
        with Load(("127.0.0.1", port), new=3, keep=2) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            self.mode(bad)
            result = s.reload()
            self.assertEqual(result.returncode, expect, result.stdout + result.stderr)
            self.assertEqual(s.pid_of(), pid, "the old generation must go on serving")
            self.assertEqual(set(l.generations), {"1"})
            self.mode("ok")
            wait_until(lambda: len(s.status()["generations"]) == 1, "the failed one to be gone")
            self.assertEqual(s.reload().returncode, 0)
            seen = str(s.active())
            wait_until(lambda: seen in l.generations, "answers of the good release")
            s.wait_idle()
        print("  %s: %s" % (self.id().split(".")[-1], l.report()))
        self.no_failures(l, 20)
        return result

    def test_a_release_that_crashes_at_start_changes_nothing_and_says_why(self):
        r = self.attempt("crash")
        self.assertIn("exit 3", r.stderr)
        self.assertIn("cannot import the application\nboom", r.stderr)

    def test_a_release_that_hangs_never_takes_traffic(self):
        r = self.attempt("hang", ["--ready-timeout", "6"])
        self.assertIn("not ready after", r.stderr)

    def test_a_release_that_crashes_soon_after_it_was_ready_never_takes_traffic(self):
        r = self.attempt("crashlater", ["--soak", "1.5"])
        # Whichever is noticed first: its exit, or the probe that was cut off by it.
        self.assertRegex(r.stderr, "exit 9|a probe failed")

    def test_a_release_that_answers_503_never_takes_traffic(self):
        r = self.attempt("503", ["--ready-timeout", "6"])
        self.assertIn("status 503", r.stderr)

    def test_a_command_that_is_gone_is_a_failed_reload(self):
        port = free_port()
        script = os.path.join(self.dir, "start")
        with open(script, "w") as f:
            f.write("#!/bin/sh\nexec %s %s\n" % (PYTHON, APP))
        os.chmod(script, 0o755)
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"], [script])
        s.wait_active()
        os.rename(script, script + ".away")
        r = s.reload()
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot execute", r.stderr)
        self.assertIn("200 OK", get(port))

    def test_a_check_that_fails_starts_nothing(self):
        port = free_port()
        good = os.path.join(self.dir, "good")
        open(good, "w").close()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--check",
                        "echo looking; test -e " + good])
        s.wait_active()
        os.unlink(good)
        r = s.reload()
        self.assertEqual(r.returncode, 1)
        self.assertIn("looking", r.stderr)
        self.assertEqual(len(s.status()["generations"]), 1)

    def test_a_death_after_promotion_rolls_back_and_reload_says_so(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "5"])
        s.wait_active()
        self.mode("crashlater")
        r = s.reload()
        self.assertEqual(r.returncode, 6, r.stderr)
        status = s.status()
        self.assertEqual(status["active"], 1)
        self.assertEqual(status["rolled_back_from"], 2)
        self.assertIn("gen 1 ", get(port))

    def test_the_last_good_release_comes_back_with_its_directory_and_environment(self):
        port = free_port()
        releases = []
        for n in ("a", "b"):
            d = os.path.join(self.dir, n)
            os.mkdir(d)
            releases.append(d)
        current = os.path.join(self.dir, "current")
        note = os.path.join(self.dir, "env")
        with open(note, "w") as f:
            f.write("APP_NOTE=first\n")
        os.symlink("a", current)
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--release-link", current, "--cwd", current, "--env-file", note])
        s.wait_active()
        self.assertEqual(os.readlink("/proc/%d/cwd" % s.pid_of()), releases[0])
        with open(note, "w") as f:
            f.write("APP_NOTE=second\n")
        os.symlink("b", current + ".new")
        os.rename(current + ".new", current)
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("env second", get(port))
        self.assertEqual(os.readlink("/proc/%d/cwd" % s.pid_of()), releases[1])
        s.wait_idle()
        os.kill(s.pid_of(), signal.SIGKILL)
        wait_until(lambda: s.active() == 3, "the restart")
        self.assertIn("env first", get(port))
        self.assertEqual(os.readlink("/proc/%d/cwd" % s.pid_of()), releases[0])
        self.assertEqual(s.status()["rolled_back_from"], 2)
        self.assertEqual(s.reload().returncode, 0)
        self.assertIn("env second", get(port))


class Children(Case):
    def test_a_storm_of_reloads_becomes_a_few_and_harms_nobody(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"])
        s.wait_active()
        most = []
        with Load(("127.0.0.1", port), new=3, keep=2) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            watch = threading.Thread(target=lambda: [
                most.append(len(s.status()["generations"])) or time.sleep(0.01) for _ in range(40)])
            watch.start()
            for _ in range(50):
                s.send(signal.SIGHUP)
                time.sleep(0.02)
            watch.join()
            end = s.wait_idle() and s.status()
        print("  storm: %s, most generations %d, last %d" % (l.report(), max(most), end["active"]))
        self.no_failures(l, 20)
        self.assertLessEqual(max(most), 3, "two beyond the active one")
        self.assertLess(end["active"], 25)

    def test_a_child_that_ignores_term_is_killed_on_time(self):
        self.mode("ok,ignoreterm")
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--kill-after", "4"])
        s.wait_active()
        old = s.pid_of()
        with Load(("127.0.0.1", port), new=3, keep=0) as l:
            wait_until(lambda: l.ok > 20, "the first answers")
            self.assertEqual(s.reload().returncode, 0)
            wait_until(lambda: not alive(old), "the old generation to be killed")
        self.no_failures(l, 20)
        self.assertIn("killing generation", s.text())
        self.assertEqual(s.stop(), 0)

    def test_a_stopped_child_is_ended_too(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1"])
        s.wait_active()
        old = s.pid_of()
        os.kill(old, signal.SIGSTOP)
        self.assertEqual(s.reload().returncode, 0)
        wait_until(lambda: not alive(old), "the stopped generation to end")

    def test_a_dead_child_is_replaced_and_its_clients_only_wait(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--rollback", "off"])
        s.wait_active()
        os.kill(s.pid_of(), signal.SIGKILL)
        # Sent while nobody is there: it queues in the socket that the next one gets.
        self.assertIn("200 OK", get(port))
        self.assertEqual(s.active(), 2)
        self.assertEqual(s.status()["restarts"], 1)

    def test_what_a_child_leaves_behind_is_ended(self):
        for words in ("ok,leave", "ok,leave,setsid", "ok,leave,stubborn"):
            with self.subTest(words):
                self.mode(words)
                port = free_port()
                s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify"])
                s.wait_active()
                below = descendants(s.pid)
                self.assertEqual(len(below), 2)
                self.assertEqual(s.stop(), 0)
                self.assertEqual([p for p in below if alive(p)], [])

    def test_a_command_that_daemonizes_is_told_not_to(self):
        self.mode("ok,daemon")
        s = self.start(["--listen", "127.0.0.1:%d" % free_port(), "--ready", "notify",
                        "--restart", "no"])
        self.assertEqual(s.wait(), 69)
        self.assertIn("daemonize", s.text())

    def test_a_hung_active_generation_is_replaced_gracefully(self):
        self.mode("hanglater")
        port = free_port()
        hang = os.path.join(self.dir, "hang")
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--rollback", "off",
                        "--liveness", "/,interval=200ms,timeout=300ms,fail=2", "--kill-after", "1",
                        "--linger", "0.1"], env={"APP_HANG_FILE": hang})
        s.wait_active()
        self.mode("ok")
        open(hang, "w").close()
        wait_until(lambda: s.active() >= 2, "the replacement")
        self.assertIn("200 OK", get(port))

    def test_a_generation_that_stops_feeding_its_watchdog_is_replaced(self):
        port = free_port()
        self.mode("ok,feeds")
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--watchdog", "1", "--rollback", "off",
                        "--linger", "0.1"])
        s.wait_active()
        child = s.pid_of()
        time.sleep(2.5)
        self.assertEqual(s.pid_of(), child, "it was fed")
        os.kill(child, signal.SIGUSR2)  # no longer
        wait_until(lambda: s.active() >= 2, "the replacement")
        self.assertIn("200 OK", get(port))
        wait_until(lambda: not alive(child), "the end of the hung one")

    def test_memory_age_and_a_watched_file_recycle_gracefully(self):
        port = free_port()
        watched = os.path.join(self.dir, "watched")
        os.symlink("a", watched)
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--watch", watched])
        s.wait_active()
        os.symlink("b", watched + ".new")
        os.rename(watched + ".new", watched)
        wait_until(lambda: s.active() == 2, "the reload by the watched link")
        s.stop()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--max-age", "1s"])
        wait_until(lambda: s.active() == 2, "the reload by age")
        s.stop()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--linger", "0.1",
                        "--max-rss", "1M"])
        wait_until(lambda: s.active() == 2, "the reload by memory")


class Death(Case):
    def test_children_end_and_the_port_is_free_when_the_supervisor_is_killed(self):
        port = free_port()
        args = ["--listen", "127.0.0.1:%d" % port, "--ready", "notify"]
        s = self.start(args)
        s.wait_active()
        child = s.pid_of()
        s.send(signal.SIGKILL)
        s.wait()
        wait_until(lambda: not alive(child), "the child to end")
        again = self.start(args, dir=s.dir)
        again.wait_active()
        self.assertIn("200 OK", get(port))
        self.assertEqual(again.stop(), 0)

    def test_on_death_leave_keeps_the_child(self):
        port = free_port()
        s = self.start(["--listen", "127.0.0.1:%d" % port, "--ready", "notify", "--on-death", "leave"])
        s.wait_active()
        child = s.pid_of()
        s.send(signal.SIGKILL)
        s.wait()
        self.assertIn("200 OK", get(port))
        self.assertTrue(alive(child))
        os.kill(child, signal.SIGKILL)

    def test_a_second_instance_is_75_and_a_taken_port_73(self):
        port = free_port()
        args = ["--listen", "127.0.0.1:%d" % port, "--ready", "notify"]
        s = self.start(args)
        s.wait_active()
        self.assertEqual(self.start(args, dir=s.dir).wait(), 75)
        self.assertEqual(self.start(args).wait(), 73)
        pidfile = os.path.join(self.dir, "pid")
        a = self.start(["--pidfile", pidfile], ["/bin/sleep", "100"])
        a.wait_active()
        self.assertEqual(read(pidfile), "%d\n" % a.pid)
        self.assertEqual(self.start(["--pidfile", pidfile], ["/bin/sleep", "100"]).wait(), 75)
        self.assertEqual(read(pidfile), "%d\n" % a.pid)
        a.stop()
        self.assertFalse(os.path.exists(pidfile))
        path = os.path.join(self.dir, "u.sock")
        self.start(["--listen", "unix:" + path, "--ready", "notify"]).wait_active()
        self.assertEqual(self.start(["--listen", "unix:" + path, "--ready", "notify"]).wait(), 75)

    def test_a_pidfile_that_cannot_be_written_is_73(self):
        s = self.start(["--pidfile", "/nonexistent/pid"], ["/bin/sleep", "100"])
        self.assertEqual(s.wait(), 73)
        if os.path.exists("/dev/full"):
            link = os.path.join(self.dir, "full")
            os.symlink("/dev/full", link)
            self.assertEqual(self.start(["--pidfile", link], ["/bin/sleep", "100"]).wait(), 73)

    def test_exit_codes(self):
        run = lambda args, command: self.start(args, command).wait()
        self.assertEqual(run(["--nope"], ["true"]), 64)
        self.assertEqual(run([], None), 64)
        self.assertEqual(run([], ["/nonexistent/command"]), 127)
        self.assertEqual(run([], [self.mode_file]), 126)
        self.assertEqual(run(["--restart", "no", "-w", "0.1"], ["/bin/sh", "-c", "sleep 0.5; exit 7"]), 7)
        self.assertEqual(run(["--restart", "no", "-w", "0.1"],
                             ["/bin/sh", "-c", "sleep 0.5; kill -SEGV $$"]), 128 + 11)
        self.assertEqual(run(["-w", "0.1"], ["/bin/sleep", "0.5"]), 0)
        self.assertEqual(run(["--restart", "no"], ["/bin/false"]), 69)
        self.assertEqual(run(["--max-restarts", "2/60s"], ["/bin/false"]), 69)
        s = self.start(["--strict-stop", "--kill-after", "0.2", "--ready", "notify",
                        "--listen", "127.0.0.1:%d" % free_port()],
                       env={"APP_MODE_FILE": "", "APP_MODE": "ok,ignoreterm"})
        s.wait_active()
        self.assertEqual(s.stop(), 124)

    def test_interrupt_twice_kills(self):
        s = self.start(["--ready", "notify", "--listen", "127.0.0.1:%d" % free_port()],
                       env={"APP_MODE_FILE": "", "APP_MODE": "ok,ignoreterm"})
        s.wait_active()
        s.send(signal.SIGINT)
        wait_until(lambda: "stopping" in s.text(), "the stop")
        time.sleep(0.2)
        self.assertIsNone(s.process.poll())
        s.send(signal.SIGINT)
        self.assertEqual(s.wait(), 0)


if __name__ == "__main__":
    main()
