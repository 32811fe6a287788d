"""What `godwit up` and its siblings promise."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import BINARY, Stack, fetch  # noqa: E402
from harness import free_port, promise, run_tests  # noqa: E402


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def banner(stack):
    lines = stack.said.splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("godwit 0") or line.startswith("godwit 1"))
    return lines[start:start + 6]


@promise
def one_command_starts_a_stack_that_says_in_six_lines_where_it_is():
    with Stack() as s:
        s.up()
        lines = banner(s)
        assert len(lines) == 6 and [line.split()[0] for line in lines[1:]] == [
            "url", "admin", "data", "metrics", "stop"], lines
        url = re.search(r"http://\S+/v1/", lines[1]).group(0)
        assert fetch(url)[0] == 200
        for found in re.findall(r"http://\S+", lines[4]):
            assert fetch(found)[0] == 200, found
        for name in ("godwit.ini", "godwit-agent.ini", "godwit-run.conf"):
            path = os.path.join(s.folder, name)
            assert os.stat(path).st_mode & 0o777 == 0o600, path
            assert "# " in read(path)
        assert s.request("PUT", "/buckets/b")[0] == 201
        # Ctrl-C ends all of it.
        pids = [g["pid"] for v in s.status()["supervisor"]["services"] for g in v["generations"]]
        s.process.send_signal(signal.SIGINT)
        assert s.process.wait(60) == 0, s.said
        for pid in pids:
            assert not os.path.exists(f"/proc/{pid}"), pid
        # Data and settings are found again.
        s.up()
        assert s.request("GET", "/buckets/b")[0] == 200


@promise
def a_second_up_on_the_same_folder_is_told_what_runs_there():
    with Stack() as s:
        s.up()
        second = s.godwit("up")
        assert second.returncode == 8, second
        assert f"pid {s.process.pid}" in second.stderr and f":{s.port}/v1/" in second.stderr, second.stderr
        assert s.request("PUT", "/buckets/b")[0] == 201


@promise
def an_edited_file_is_never_written_over():
    with Stack() as s:
        s.up()
        s.down()
        agent, conf, ini = (os.path.join(s.folder, n) for n in ("godwit-agent.ini", "godwit-run.conf", "godwit.ini"))
        # What nobody touched follows the settings.
        before = read(conf)
        s.port = free_port()
        assert s.godwit("up", "--dry-run", *s.ports).returncode == 0
        assert read(conf) != before and f":{s.port}" in read(conf)
        for path in (agent, conf, ini):
            with open(path, "a", encoding="utf-8") as f:
                f.write("# mine\n")
        kept = [read(p) for p in (agent, conf, ini)]
        s.up("--host", "127.0.0.2")
        assert [read(p) for p in (agent, conf, ini)] == kept
        assert "was edited" in s.said, s.said


@promise
def it_refuses_to_be_reachable_with_default_secrets_and_the_command_it_names_fixes_that():
    with Stack() as s:
        s.up()
        s.request("PUT", "/buckets/b")
        s.down()
        refused = s.godwit("up", "--host", "0.0.0.0", "--dry-run")
        assert refused.returncode == 3, refused
        fix = re.search(r"\(fix: (.*)\)", refused.stderr).group(1)
        assert fix.startswith("godwit init ") and "create-user" in fix, fix
        env = {**os.environ, "PATH": os.path.dirname(BINARY) + ":" + os.environ["PATH"]}
        done = subprocess.run(["sh", "-c", fix], input="secret\nsecret\n", text=True, capture_output=True, env=env,
                              timeout=60)
        assert done.returncode == 0, done
        assert os.path.exists(os.path.join(s.folder, "godwit.ini.1"))
        accepted = s.godwit("up", "--host", "0.0.0.0", "--dry-run")
        assert accepted.returncode == 0 and "0.0.0.0" in accepted.stderr, accepted
        # It works as it says: the account is known, anybody else is not.
        s.up("--host", "127.0.0.1")
        out = subprocess.run(["curl", "-s", "-u", "admin:secret", f"http://127.0.0.1:{s.port}/v1/"],
                             capture_output=True, text=True, timeout=30).stdout
        assert '"account:admin"' in out, out
        out = subprocess.run(["curl", "-s", "-u", "me:secret", f"http://127.0.0.1:{s.port}/v1/"],
                             capture_output=True, text=True, timeout=30).stdout
        assert '"user"' not in out, out


@promise
def reload_swaps_generations_and_a_mistake_in_the_settings_changes_nothing():
    with Stack() as s:
        s.up()
        first = s.status()["server"]["generation"]
        done = s.reload()
        assert done.returncode == 0 and f"server: active, generation {first + 1}" in done.stderr, done
        ini = os.path.join(s.folder, "godwit.ini")
        good = read(ini)
        with open(ini, "w", encoding="utf-8") as f:
            f.write(good.replace("godwit.metrics_spool", "godwit.threads = many\ngodwit.metrics_spool"))
        bad = s.reload("server")
        assert bad.returncode == 1, bad
        assert s.status()["server"]["generation"] == first + 1
        assert fetch(f"http://127.0.0.1:{s.port}/v1/")[0] == 200
        with open(ini, "w", encoding="utf-8") as f:
            f.write(good)
        assert s.reload("server").returncode == 0


@promise
def status_and_down_say_by_their_exit_code_whether_it_runs():
    with Stack() as s:
        assert s.godwit("status").returncode == 4
        assert s.godwit("reload").returncode == 4
        assert s.godwit("down").returncode == 0
        detached = s.godwit("up", "--detach", *s.ports)
        assert detached.returncode == 0 and "  stop     godwit down" in detached.stderr, detached
        plain = s.godwit("status", "--watch")  # not a terminal: once
        assert plain.returncode == 0 and "\033" not in plain.stdout, plain
        for word in ("requests", "p99", "storage", "generations", "active", "lag"):
            assert word in plain.stdout, (word, plain.stdout)
        down = s.godwit("down")
        assert down.returncode == 0 and "stopped" in down.stderr, down
        assert s.godwit("status").returncode == 4
        # A start that fails says why, and not zero.
        with Stack() as other:
            other.port, taken = s.port, s
            taken.up()
            failed = other.godwit("up", "--detach", *other.ports)
            assert failed.returncode == 1 and str(s.port) in failed.stderr, failed


class Terminal:
    """`godwit status --watch` on a terminal of some size."""

    def __init__(self, stack, columns, env=None):
        self.master, slave = pty.openpty()
        self.resize(columns, slave)
        self.child = subprocess.Popen([BINARY, "status", "--watch", "--state-dir", stack.folder], stdin=slave,
                                      stdout=slave, stderr=slave, start_new_session=True,
                                      env={**os.environ, "TERM": "xterm", **(env or {})},
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""

    def resize(self, columns, fd=None):
        fcntl.ioctl(fd if fd is not None else self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def screen(self, wanted=b"metrics"):
        """The next whole screen."""
        self.seen = b""
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536)
            parts = self.seen.split(b"\033[H")
            if len(parts) >= 3 and wanted in parts[-2]:
                return parts[-2].decode()
        raise AssertionError(self.seen)

    def end(self):
        self.child.send_signal(signal.SIGINT)
        code = self.child.wait(20)
        rest = b""
        while select.select([self.master], [], [], 0.2)[0]:
            try:
                rest += os.read(self.master, 65536)
            except OSError:
                break
        os.close(self.master)
        return code, rest


def widths(screen):
    plain = re.sub(r"\033\[[0-9;?]*[a-zA-Z]", "", screen)
    return [len(line) for line in plain.replace("\r", "").split("\n")]


@promise
def the_watch_fits_its_terminal_and_gives_it_back():
    with Stack() as s:
        s.up()
        t = Terminal(s, 100)
        wide = t.screen()
        assert "\033[32m" in wide and max(widths(wide)) <= 100, wide
        t.resize(50)
        narrow = t.screen()
        while max(widths(narrow)) > 50:
            narrow = t.screen()  # one may have been under way
        code, rest = t.end()
        assert code == 0 and b"\033[?1049l" in rest and b"\033[?25h" in rest, (code, rest)
        t = Terminal(s, 80, {"NO_COLOR": "1"})
        assert not re.search(r"\033\[[0-9;]*m", t.screen())
        t.end()


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
