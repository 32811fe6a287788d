"""The HTTP engine beside nginx, h2o and Node: CPU per request, one at a time and pipelined, TLS;
instructions; idle connections; a broadcast.

usage: http_bench.py BUILD_FOLDER     (SECONDS and ROUNDS from the environment)
"""
import base64
import json
import os
import re
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import load

SECONDS = float(os.environ.get("SECONDS", "2"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
IDLE = int(os.environ.get("IDLE", "10000"))
SOCKETS = int(os.environ.get("SOCKETS", "5000"))

BODY = '{"data":"' + "x" * 400 + '"}'
HEADERS = {
    "ETag": '"1700000000123"', "Cache-Control": "no-cache, no-store",
    "Access-Control-Expose-Headers": "Backoff, Retry-After, Content-Length, Alert",
    "X-Content-Type-Options": "nosniff",
}


class Contestant:
    def __init__(self, name, command, port, scheme="http"):
        self.name, self.port = name, port
        self.process = load.pinned(command)
        limit = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > limit:
                    raise
                time.sleep(0.05)
        self.url = f"{scheme}://127.0.0.1:{port}/"

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def godwit(build, *tls):
    port = load.free_port()
    scheme = "https" if tls else "http"
    return Contestant("godwit", [f"{build}/bench/http_server_peer", f"{scheme}://127.0.0.1:{port}", *tls], port,
                      scheme)


def nginx(folder, *tls):
    port = load.free_port()
    add = "".join(f"add_header {k} '{v}';" for k, v in HEADERS.items())
    ssl = f"ssl_certificate {tls[0]}; ssl_certificate_key {tls[1]};" if tls else ""
    path = f"{folder}/nginx-{port}.conf"
    with open(path, "w", encoding="ascii") as f:
        f.write(f"""worker_processes 1; daemon off; pid {folder}/nginx-{port}.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; default_type application/json;
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
scgi_temp_path {folder}/s; {ssl}
server {{ listen 127.0.0.1:{port}{' ssl' if tls else ''}; location / {{ {add} return 200 '{BODY}'; }} }} }}""")
    return Contestant("nginx", ["nginx", "-c", path, "-p", folder], port, "https" if tls else "http")


def h2o(folder):
    port = load.free_port()
    os.makedirs(f"{folder}/h2o", exist_ok=True)
    os.chmod(folder, 0o755)  # started by root, h2o becomes nobody
    with open(f"{folder}/h2o/index.json", "w", encoding="ascii") as f:
        f.write(BODY)
    with open(f"{folder}/h2o.conf", "w", encoding="ascii") as f:
        f.write(f"""num-threads: 1
listen: {{host: 127.0.0.1, port: {port}}}
hosts: {{default: {{paths: {{"/": {{file.dir: {folder}/h2o}}}}}}}}
file.index: [index.json]
header.add: "Access-Control-Expose-Headers: {HEADERS['Access-Control-Expose-Headers']}"
header.set: "Cache-Control: {HEADERS['Cache-Control']}"
header.setifempty: "X-Content-Type-Options: nosniff"
""")
    return Contestant("h2o", ["h2o", "-m", "worker", "-c", f"{folder}/h2o.conf"], port)


def node(folder):
    port = load.free_port()
    with open(f"{folder}/server.js", "w", encoding="ascii") as f:
        f.write(f"""const body = {json.dumps(BODY)}, head = {json.dumps({**HEADERS, 'Content-Type': 'application/json',
                                                                            'Content-Length': len(BODY)})};
const s = require('http').createServer((q, r) => {{ r.writeHead(200, head); r.end(body); }});
s.keepAliveTimeout = 3600000; s.listen({port}, '127.0.0.1');""")
    return Contestant("node", ["node", f"{folder}/server.js"], port)


def drive(build, c, depth, seconds, connections=64):
    """Requests answered, CPU seconds of the server."""
    before = load.cpu_seconds(c.process.pid)
    out = subprocess.run(
        ["taskset", "-c", load.CLIENT_CORE, f"{build}/bench/http_load_peer", "127.0.0.1", str(c.port), "/",
         str(connections), str(depth), str(seconds)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return int(out[0]), load.cpu_seconds(c.process.pid) - before, int(out[2])


def microseconds(build, contestants, depth):
    rounds = {c.name: [] for c in contestants}
    size = {}
    for _ in range(ROUNDS):
        for c in contestants:
            done, cpu, size[c.name] = drive(build, c, depth, SECONDS)
            rounds[c.name].append(cpu / done * 1e6)
    return {n: statistics.median(v) for n, v in rounds.items()}, size


def plain(build, folder):
    contestants = [godwit(build), nginx(folder)]
    for name, make in (("h2o", h2o), ("node", node)):
        if shutil.which(name):
            contestants.append(make(folder))
    try:
        single, size = microseconds(build, contestants, 1)
        pipelined, _ = microseconds(build, contestants, 16)
    finally:
        for c in contestants:
            c.close()
    print("| server | response bytes | CPU us/request | x nginx | 16 per write, us each |")
    print("|---|---|---|---|---|")
    for n in single:
        print(f"| {n} | {size[n]} | {single[n]:.2f} | {single[n] / single['nginx']:.2f} | {pipelined[n]:.2f} |")


def tls(build, folder):
    cert, key = f"{folder}/c.pem", f"{folder}/k.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True,
                   capture_output=True)
    contestants = [godwit(build, cert, key), nginx(folder, cert, key)]
    rounds = {c.name: [] for c in contestants}
    try:
        for _ in range(ROUNDS):
            for c in contestants:
                before = load.cpu_seconds(c.process.pid)
                done, _, bad, _, _ = load.wrk(c.url, max(1, round(SECONDS)), 64)
                assert bad == 0, (c.name, bad)
                rounds[c.name].append((load.cpu_seconds(c.process.pid) - before) / done * 1e6)
    finally:
        for c in contestants:
            c.close()
    ours, theirs = (statistics.median(rounds[n]) for n in ("godwit", "nginx"))
    print(f"TLS keep-alive: godwit {ours:.2f} us, nginx {theirs:.2f} us ({ours / theirs:.2f} x)")


def instructions(build, folder):
    """User instructions per request: what callgrind counts with load, less what it counts without."""
    if not shutil.which("valgrind"):
        return

    def count(seconds):
        port = load.free_port()
        out = f"{folder}/callgrind.{port}"
        server = Contestant("callgrind", ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                                          f"{build}/bench/http_server_peer", f"http://127.0.0.1:{port}"], port)
        done = 64
        try:
            # The load generator's first request per connection warms up in both runs.
            done += drive(build, server, 1, seconds)[0] if seconds else drive(build, server, 1, 0.01)[0]
        finally:
            server.close()
        with open(out, encoding="ascii", errors="replace") as f:
            return int(re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M).group(1)), done

    idle, few = count(0)
    busy, many = count(6)
    print(f"user instructions per request (callgrind): {(busy - idle) / (many - few):,.0f}")


def idle(build):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, hard - 200)
    server = godwit(build)
    pid = server.process.pid
    try:
        before = load.rss_mib(pid)
        sockets = []
        for i in range(count):
            s = socket.socket()
            # One client address has some 28,000 ports; enough here.
            s.connect(("127.0.0.1", server.port))
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sockets.append(s)
            if i % 100 == 99:
                for t in sockets[-100:]:
                    t.recv(4096)
        for t in sockets[count // 100 * 100:]:
            t.recv(4096)
        after = load.rss_mib(pid)
        cpu = load.cpu_seconds(pid)
        time.sleep(5)
        cpu = load.cpu_seconds(pid) - cpu
        print(f"{count} idle keep-alive connections: {after - before:.1f} MiB more, {after:.1f} MiB in all, "
              f"{(after - before) * 1024 / count:.2f} KiB each; CPU in 5 s: {cpu * 1000:.0f} ms")
        for s in sockets:
            s.close()
    finally:
        server.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def broadcast(build):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(SOCKETS, hard - 200)
    server = godwit(build)
    try:
        sockets = {}
        poll = select.epoll()
        key = base64.b64encode(os.urandom(16)).decode()
        for i in range(count):
            s = socket.create_connection(("127.0.0.1", server.port), 20)
            s.sendall((f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
            assert b" 101 " in s.recv(4096)
            sockets[s.fileno()] = [s, 0]
            poll.register(s.fileno(), select.EPOLLIN)
        rss = load.rss_mib(server.process.pid)
        times = []
        for _ in range(3):
            for entry in sockets.values():
                entry[1] = 0
            left = count
            began = time.monotonic()
            ask = socket.create_connection(("127.0.0.1", server.port), 20)
            ask.sendall(b"GET /broadcast HTTP/1.1\r\nHost: x\r\n\r\n")
            while left and time.monotonic() - began < 20:
                for fd, _ in poll.poll(1):
                    entry = sockets[fd]
                    entry[1] += len(entry[0].recv(4096))
                    if entry[1] >= 504:
                        left -= 1
            times.append(time.monotonic() - began)
            assert left == 0, left
            ask.close()
        print(f"{count} WebSocket clients hear a broadcast of 500 bytes within {max(times) * 1000:.0f} ms "
              f"(worst of 3); RSS {rss:.1f} MiB")
        for s, _ in sockets.values():
            s.close()
    finally:
        server.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main():
    build = sys.argv[1]
    parts = sys.argv[2:] or ["plain", "tls", "instructions", "idle", "broadcast"]
    with tempfile.TemporaryDirectory(prefix="godwit-bench-") as folder:
        for name, part in (("plain", lambda: plain(build, folder)), ("tls", lambda: tls(build, folder)),
                           ("instructions", lambda: instructions(build, folder)), ("idle", lambda: idle(build)),
                           ("broadcast", lambda: broadcast(build))):
            if name in parts:
                part()
                sys.stdout.flush()


if __name__ == "__main__":
    main()
