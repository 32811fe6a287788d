"""Programs under test, load, and files of deploy/ with their paths replaced. Standard library only."""
import http.client
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "tests"))
from ports import free_port  # noqa: E402

DEPLOY = os.path.join(ROOT, "deploy")
GODWIT = os.environ["GODWIT_BIN"]
RUN = os.environ["GODWIT_RUN_BIN"]
AGENT = os.environ["GODWIT_AGENT_BIN"]


def deploy_file(name, replace=()):
    """Text of a file of deploy/, the programs being those under test."""
    with open(os.path.join(DEPLOY, name), encoding="utf-8") as f:
        text = f.read()
    for program, path in (("godwit-run", RUN), ("godwit-agent", AGENT), ("godwit", GODWIT)):
        text = re.sub(rf"/usr/bin/{program}(?![\w-])", path, text)
    for old, new in replace:
        assert old in text, f"{name} does not hold {old!r}"
        text = text.replace(old, new)
    return text


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def configuration(folder, port):
    """The shipped /etc/godwit below `folder`, listening on `port`."""
    etc = f"{folder}/etc"
    write(f"{etc}/godwit.ini", deploy_file("etc/godwit.ini"))
    write(f"{etc}/godwit-run.conf", deploy_file("etc/godwit-run.conf", [
        ("/etc/godwit/", f"{etc}/"), ("/run/godwit/", f"{folder}/"), ("127.0.0.1:8888", f"127.0.0.1:{port}")]))
    os.makedirs(f"{folder}/state/spool", exist_ok=True)
    return f"{etc}/godwit-run.conf"


def wait_for(url, timeout=60):
    limit = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as r:
                if r.status == 200:
                    return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.02)  # between two attempts to connect: there is no event to wait for


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=options.pop("timeout", 120), **options)
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


class Load:
    """Clients that see every refused, reset, short or wrong answer: half keep connections, half do not."""

    def __init__(self, port, path="/v1/", clients=6):
        self.port, self.path = port, path
        self.answers, self.failures, self.stopping = 0, [], False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(i % 2 == 0,)) for i in range(clients)]

    def client(self, keep):
        connection = None
        while not self.stopping:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                connection.request("GET", self.path)
                answer = connection.getresponse()
                answer.read()
                problem = None if answer.status == 200 else f"status {answer.status}"
                if not keep or answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as e:
                problem, connection = repr(e), None
            with self.lock:
                self.answers += 1
                if problem:
                    self.failures.append(problem)
        if connection:
            connection.close()

    def more(self, n=50):
        """Waits for n answers more than there are."""
        want = self.answers + n
        limit = time.monotonic() + 60
        while self.answers < want:
            if time.monotonic() > limit:
                raise AssertionError("no more answers")
            time.sleep(0.01)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join()
