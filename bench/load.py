"""What every load benchmark needs: pinned servers, wrk, CPU time of a process tree. Standard library only."""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
from ports import free_port  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
SERVER_CORE = "0"
CLIENT_CORE = "1" if (os.cpu_count() or 1) > 1 else "0"


def pinned(command, **popen):
    popen.setdefault("stdin", subprocess.DEVNULL)
    popen.setdefault("stdout", subprocess.DEVNULL)
    popen.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(["taskset", "-c", SERVER_CORE, *command], **popen)


def tree(pid):
    """The process and its descendants."""
    pids = [pid]
    for p in pids:
        for task in os.listdir(f"/proc/{p}/task"):
            with open(f"/proc/{p}/task/{task}/children", encoding="ascii") as f:
                pids += [int(c) for c in f.read().split()]
    return pids


def cpu_seconds(pid):
    total = 0
    for p in tree(pid):
        with open(f"/proc/{p}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024


def wait_for(url, timeout=30):
    limit = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.002)


def wrk(url, seconds, connections, script=None, headers=(), pin=True):
    """(answers, answers per second, failed answers, p50 ms, p99 ms)"""
    command = [*(["taskset", "-c", CLIENT_CORE] if pin else []), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for h in headers:
        command += ["-H", h]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as f:
        if script:
            f.write(script)
            f.flush()
            command += ["-s", f.name]
        out = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    count = int(re.search(r"(\d+) requests in", out).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    bad = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", out))
    for kind in re.findall(r"(?:connect|read|write|timeout) (\d+)", out):
        bad += int(kind)

    def latency(which):
        value, unit = re.search(rf"{which}%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    return count, rate, bad, latency(50), latency(99)


class Nginx:
    """nginx with one worker that returns one constant answer."""

    def __init__(self, body, headers):
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-bench-")
        self.port = free_port()
        def quote(text):
            return text.replace("\\", "\\\\").replace("'", "\\'").replace("$", "${dollar}")

        quoted = quote(body)
        lines = "".join(f"add_header {k} '{quote(v)}' always;\n" for k, v in headers)
        with open(f"{self.folder.name}/nginx.conf", "w", encoding="utf-8") as f:
            f.write(f"""daemon off; worker_processes 1; pid {self.folder.name}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; default_type application/json; server_tokens off;
  geo $dollar {{ default "$"; }}
  client_body_temp_path {self.folder.name}/a; proxy_temp_path {self.folder.name}/b; fastcgi_temp_path {self.folder.name}/c;
  uwsgi_temp_path {self.folder.name}/d; scgi_temp_path {self.folder.name}/e;
  server {{ listen 127.0.0.1:{self.port}; location / {{ {lines} return 200 '{quoted}'; }} }} }}
""")
        self.process = pinned(["nginx", "-c", f"{self.folder.name}/nginx.conf"])
        self.url = f"http://127.0.0.1:{self.port}/"
        wait_for(self.url)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def median(values):
    return statistics.median(values)
