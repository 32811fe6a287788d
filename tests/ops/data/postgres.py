"""A private PostgreSQL for a test: one cluster in a temporary folder, on a free loopback port."""
import glob
import os
import pwd
import subprocess
import tempfile
import time

from tool import free_port


def binary(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else None


class Cluster:
    """Use with `with`; None of it outlives the block."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-pg-", ignore_cleanup_errors=True)
        self.port = free_port()
        self.owner = pwd.getpwuid(os.geteuid()).pw_name
        self.demote = {}
        if os.geteuid() == 0:  # initdb refuses root
            self.owner = "postgres"
            who = pwd.getpwnam(self.owner)
            os.chown(self.folder.name, who.pw_uid, who.pw_gid)
            self.demote = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        data = os.path.join(self.folder.name, "data")
        self.log = open(os.path.join(self.folder.name, "log"), "ab")
        common = {"stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": self.log, "cwd": self.folder.name, **self.demote}
        subprocess.run([binary("initdb"), "-D", data, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
                        f"--username={self.owner}"], check=True, **common)
        self.process = subprocess.Popen(
            [binary("postgres"), "-D", data, "-k", self.folder.name, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", "timezone=UTC", "-c", "fsync=off"], **common)
        end = time.monotonic() + 60
        while subprocess.run([binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < end, open(self.log.name, encoding="utf-8").read()
            time.sleep(0.02)  # it tells nobody when it is ready
        return self

    def __exit__(self, *_):
        self.process.send_signal(2)
        self.process.wait(60)
        self.log.close()
        self.folder.cleanup()

    def url(self, database):
        return f"postgresql://{self.owner}@127.0.0.1:{self.port}/{database}"

    def sql(self, text, database="postgres"):
        done = subprocess.run([binary("psql"), "-qtAX", "-v", "ON_ERROR_STOP=1", self.url(database)], input=text,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
