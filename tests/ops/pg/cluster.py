"""A private PostgreSQL for one test or benchmark: a free port, a temporary folder. Standard library only."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from ports import free_port, release  # noqa: E402


def binary(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else shutil.which(name)


def why_not():
    """Why there is no server here; "" when there is one."""
    return "" if binary("postgres") else "PostgreSQL is not installed (tools/install-deps)"


# initdb refuses root.
OWNER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def as_owner():
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam(OWNER)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def family(pid):
    """The process and its descendants."""
    pids = [pid]
    for p in pids:
        try:
            with open(f"/proc/{p}/task/{p}/children", encoding="ascii") as f:
                pids += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return pids


class Cluster:
    """durable: syncs to disk as a production server does."""

    def __init__(self, durable=False, max_connections=100, settings=(), data_mount=None):
        base = os.environ.get("BENCH_DIR") if durable else None
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-pg-", dir=base)
        os.chmod(self.folder.name, 0o755)
        self.data = data_mount or os.path.join(self.folder.name, "data")
        self.port = free_port()
        self.process = None
        self.settings = [f"max_connections={max_connections}", "timezone=UTC", "shared_buffers=64MB",
                         "max_wal_size=2GB", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder.name}",
                         *([] if durable else ["fsync=off", "full_page_writes=off"]), *settings]
        if os.geteuid() == 0:
            who = pwd.getpwnam(OWNER)
            os.chown(self.folder.name, who.pw_uid, who.pw_gid)
        self.log = open(os.path.join(self.folder.name, "log"), "ab")
        if data_mount is None:
            self.init()

    def init(self):
        self.run("initdb", "-D", self.data, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
                 f"--username={OWNER}")

    def run(self, name, *arguments):
        subprocess.run([binary(name), *arguments], check=True, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                       cwd=self.folder.name, **as_owner())

    def start(self, wait=30):
        settings = [a for s in self.settings for a in ("-c", s)]
        # After a SIGKILL the dead server's children may hold its shared memory for a moment.
        limit = time.monotonic() + wait
        while True:
            self.process = subprocess.Popen([binary("postgres"), "-D", self.data, "-p", str(self.port), *settings],
                                            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder.name,
                                            **as_owner())
            while self.process.poll() is None:
                ready = subprocess.run([binary("pg_isready"), "-q", "-h", self.folder.name, "-p", str(self.port)], check=False)
                if ready.returncode == 0:
                    return self
                if time.monotonic() > limit:
                    raise RuntimeError("PostgreSQL does not start:\n" + self.output())
                time.sleep(0.02)  # between two looks: there is no event to wait for
            if time.monotonic() > limit:
                raise RuntimeError("PostgreSQL does not start:\n" + self.output())

    def output(self):
        with open(os.path.join(self.folder.name, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def stop(self):
        """"fast": ends sessions."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def kill(self):
        if self.process and self.process.poll() is None:
            for pid in family(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()

    def signal_all(self, sig):
        for pid in family(self.process.pid):
            os.kill(pid, sig)

    def close(self):
        self.kill()
        self.log.close()
        self.folder.cleanup()
        release(self.port)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def url(self, database="postgres"):
        """Over the unix socket."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder.name}&port={self.port}"

    def tcp_url(self, database="postgres", port=None):
        return f"postgresql://{OWNER}@127.0.0.1:{port or self.port}/{database}"

    def sql(self, text, database="postgres", timeout=60):
        """Rows of the last statement, as lists of text."""
        done = subprocess.run([binary("psql"), "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1", self.url(database)],
                              input=text, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return [line.split("\t") for line in done.stdout.splitlines()]
