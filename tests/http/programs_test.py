#!/usr/bin/env python3
"""The example programs, run as their users would run them.

usage: programs_test.py FOLDER_OF_EXAMPLES [unittest arguments]
"""
import base64
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAMS = sys.argv.pop(1)
PATIENCE = 30


class Program:
    def __init__(self, name, *args, url="http://127.0.0.1:0", env=None, pass_fds=(), prefix=()):
        self.process = subprocess.Popen(
            [*prefix, os.path.join(PROGRAMS, name), url, *args], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        line = self.process.stdout.readline()
        match = re.match(r"listening on (\S+),", line)
        if not match:
            self.process.kill()
            raise AssertionError(line + self.process.stdout.read())
        self.url = match.group(1)
        if self.url.startswith("unix:"):
            self.address = self.url[5:]
        else:
            host, port = self.url.split("//")[1].rsplit(":", 1)
            self.address = (host, int(port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def term(self):
        self.process.send_signal(signal.SIGTERM)

    def end(self):
        """Waits for the exit; what was printed since the first line."""
        out = self.process.stdout.read()
        code = self.process.wait(PATIENCE)
        assert code == 0, (code, out)
        return out

    def connect(self):
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        s = socket.socket(family)
        s.settimeout(PATIENCE)
        try:
            s.connect(self.address)
        except OSError:
            s.close()
            raise
        return s

    def raw(self, request, until=None):
        with self.connect() as s:
            s.sendall(request)
            return receive(s, until)

    def ask(self, method, target, body=b"", headers=""):
        text = (f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n{headers}\r\n").encode() + body
        head, _, rest = self.raw(text).partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode(), rest


def receive(s, until=None):
    """Everything until the peer closes, or until `until` has come."""
    data = b""
    while until is None or until not in data:
        more = s.recv(65536)
        if not more:
            break
        data += more
    return data


def request(target):
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def ws_frame(first, payload):
    mask = b"\1\2\3\4"
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + mask + bytes(
        b ^ mask[i % 4] for i, b in enumerate(payload))


def ws_open(program, target="/"):
    s = program.connect()
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall((f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    assert b" 101 " in receive(s, b"\r\n\r\n")
    return s


class Examples(unittest.TestCase):
    def test_hello(self):
        with Program("hello") as p:
            self.assertEqual(p.ask("GET", "/")[2], b"hello\n")
            p.term()
            self.assertRegex(p.end(), r"drained \d+ requests in [\d.]+ s, 0 aborted")

    def test_rest(self):
        auth = "Authorization: Basic " + base64.b64encode(b"a:b").decode() + "\r\n"
        with Program("rest") as p:
            self.assertEqual(p.ask("POST", "/notes", b"buy milk")[0], 401)
            status, head, _ = p.ask("POST", "/notes", b"buy milk", auth)
            self.assertEqual(status, 201)
            self.assertIn("Location: /notes/1", head)
            p.ask("POST", "/notes", b"call home", auth)
            self.assertEqual(p.ask("GET", "/notes/1")[2], b"buy milk")
            self.assertEqual(p.ask("GET", "/notes?contains=call%20h")[2], b"2 call home\n")
            self.assertEqual(p.ask("DELETE", "/notes/1")[0], 204)
            self.assertEqual(p.ask("GET", "/notes/1")[0], 404)
            self.assertEqual(p.ask("PUT", "/notes")[0], 405)

    def test_static(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "a.txt"), "w") as f:
                f.write("0123456789")
            with Program("static", folder) as p:
                self.assertIn(b"a.txt", p.ask("GET", "/")[2])
                self.assertEqual(p.ask("GET", "/a.txt", headers="Range: bytes=2-4\r\n")[2], b"234")
                self.assertEqual(p.ask("GET", "/../../etc/passwd")[0], 404)

    def test_upload(self):
        with Program("upload") as p, tempfile.NamedTemporaryFile() as f:
            f.write(os.urandom(50_000_000))
            f.flush()
            out = subprocess.run(
                ["curl", "-sS", "-F", "note=hi", "-F", f"big=@{f.name};filename=big.bin",
                 p.url + "/upload"], capture_output=True, timeout=PATIENCE * 2)
            self.assertEqual(out.stdout, b"note  2 bytes\nbig big.bin 50000000 bytes\n")
            with open(f"/proc/{p.process.pid}/status") as status:
                peak = int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))
            if not os.environ.get("GODWIT_SANITIZED"):
                self.assertLess(peak, 30_000, "an upload must not be held in memory")
            self.assertEqual(p.ask("POST", "/upload", b"x")[0], 415)

    def test_sse_clock(self):
        with Program("sse_clock") as p, p.connect() as s:
            s.sendall(request("/"))
            self.assertRegex(receive(s, b"event: tick"), rb"id: \d+\nevent: tick")
            p.term()
            self.assertIn(b"retry: 2000\n", receive(s))
            self.assertIn(" 0 aborted", p.end())

    def test_websocket_chat(self):
        with Program("websocket_chat") as p, ws_open(p) as a, ws_open(p) as b:
            time.sleep(0.1)
            a.sendall(ws_frame(0x81, b"hello all"))
            for s in (a, b):
                self.assertIn(b"hello all", receive(s, b"hello all"))
            p.term()
            for s in (a, b):
                self.assertIn(struct.pack("!H", 1001), receive(s, struct.pack("!H", 1001)))
                s.sendall(ws_frame(0x88, struct.pack("!H", 1001)))
            a.close()
            b.close()
            self.assertIn(" 0 aborted", p.end())

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = os.path.join(folder, "c.pem"), os.path.join(folder, "k.pem")

            def make(name):
                subprocess.run(
                    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                     "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                    check=True, capture_output=True, timeout=PATIENCE)

            def get():
                return subprocess.run(["curl", "-sS", "--cacert", cert, p.url], capture_output=True,
                                      text=True, timeout=PATIENCE).stdout

            make("one")
            with Program("tls", cert, key, url="https://127.0.0.1:0") as p:
                self.assertEqual(get(), "hello over TLS\n")
                make("two")
                self.assertEqual(get(), "", "the new file does not verify the old certificate")
                p.process.send_signal(signal.SIGHUP)
                deadline = time.monotonic() + PATIENCE
                while get() != "hello over TLS\n":
                    self.assertLess(time.monotonic(), deadline)

    def test_worker_pool(self):
        with Program("worker_pool") as p:
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(p.ask("GET", "/")[0]))
                       for _ in range(20)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(answers, [200] * 20)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            with Program("unix_socket", url="unix:" + path) as p:
                self.assertEqual(os.stat(path).st_mode & 0o777, 0o660)
                self.assertEqual(p.ask("GET", "/", headers="X-Forwarded-For: me\r\n")[2],
                                 b"hello me\n")
                p.term()
                p.end()
                self.assertFalse(os.path.exists(path))


class Hostile(unittest.TestCase):
    """Malformed, endless and slow clients: the server stays up and its memory stays flat."""

    def rss(self, p):
        with open(f"/proc/{p.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def attack(self, p, data, repeat=1):
        """Sends until the server has enough of it."""
        with p.connect() as s:
            s.settimeout(5)
            try:
                for _ in range(repeat):
                    s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                receive(s)
            except OSError:
                pass

    def test_memory_stays_flat(self):
        head = b"POST / HTTP/1.1\r\nHost: x\r\n"
        attacks = [
            (head + b"X: " + b"a" * 1_000_000, 20),                     # header bomb
            (head, 1), (b"X: y\r\n", 100_000),                           # never-ending head
            (head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000, 20),
            (head + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"e" * 1_000_000, 20),
            (head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"T: u\r\n" * 100_000, 20),
            (head + b"Content-Length: 9000000\r\n\r\n", 1),
            (head + b"Content-Length: 8000000\r\n\r\n" + b"x" * 8_000_000, 1),
            (request("/") * 20_000, 5),                                 # pipelining bomb
            (b"\0" * 1_000_000, 5), (os.urandom(1_000_000), 5), (b"\r\n" * 500_000, 5),
            (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" * 1000, 5),
        ]
        with Program("hello") as p:
            peaks = []
            for _ in range(4):
                for data, repeat in attacks:
                    self.attack(p, data, repeat)
                silent = [p.connect() for _ in range(500)]              # connection flood
                for s in silent[::2]:
                    s.sendall(b"GET / HT")
                self.assertEqual(p.ask("GET", "/")[0], 200)
                for s in silent:
                    s.close()
                peaks.append(self.rss(p))
            self.assertEqual(p.ask("GET", "/")[2], b"hello\n")
            if not os.environ.get("GODWIT_SANITIZED"):
                # The first rounds fill the allocator's arenas, one per loop, with the largest bodies
                # that were held at once; a leak would add some 60 MB per round.
                self.assertLess(peaks[-1] - peaks[1], 16_000, peaks)
                self.assertLess(peaks[-1], 80_000, peaks)
            p.term()
            p.end()


class Stopping(unittest.TestCase):
    def test_every_kind_at_once_under_load(self):
        with Program("graceful") as p:
            kinds = {name: p.connect() for name in
                     ("idle", "half head", "half body", "slow", "download", "events", "pipelined")}
            kinds["idle"].sendall(request("/"))
            receive(kinds["idle"], b"quick\n")
            kinds["half head"].sendall(b"GET / HT")
            kinds["half body"].sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
            kinds["slow"].sendall(request("/slow"))
            kinds["download"].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            kinds["download"].sendall(request("/download"))
            kinds["events"].sendall(request("/events"))
            kinds["pipelined"].sendall(request("/slow") + request("/") * 3)
            ws = ws_open(p, "/ws")
            receive(kinds["events"], b"tick")
            load = {"answered": 0, "odd": []}
            stop = threading.Event()

            def client():
                while not stop.is_set():
                    try:
                        s = p.connect()
                    except OSError:
                        return  # the port is closed: nothing was lost
                    with s:
                        while True:
                            try:
                                s.sendall(request("/"))
                                head = receive(s, b"quick\n")
                            except OSError:
                                head = b""
                            if not head:
                                break  # never read
                            if b" 200 OK" not in head or not head.endswith(b"quick\n"):
                                load["odd"].append(head)
                            load["answered"] += 1
                            if b"Connection: close" in head:
                                break

            clients = [threading.Thread(target=client) for _ in range(4)]
            for c in clients:
                c.start()
            time.sleep(0.3)
            began = time.monotonic()
            p.term()
            time.sleep(0.2)
            kinds["half head"].sendall(b"TP/1.1\r\nHost: x\r\n\r\n")
            kinds["half body"].sendall(b"b")
            self.assertIn(b"quick\n", receive(kinds["half head"]))
            self.assertIn(b" 405 ", receive(kinds["half body"]))
            self.assertEqual(receive(kinds["idle"]), b"")
            self.assertIn(b"retry: 2000", receive(kinds["events"]))
            self.assertIn(struct.pack("!H", 1001), receive(ws, struct.pack("!H", 1001)))
            ws.sendall(ws_frame(0x88, struct.pack("!H", 1001)))
            self.assertEqual(receive(ws), b"")
            self.assertTrue(receive(kinds["slow"]).endswith(b"slow\n"))
            pipelined = receive(kinds["pipelined"])
            self.assertEqual(pipelined.count(b" 200 OK"), 4)
            self.assertEqual(pipelined.count(b"Connection: close"), 1)
            self.assertEqual(len(receive(kinds["download"]).partition(b"\r\n\r\n")[2]), 20_000_000)
            for s in [*kinds.values(), ws]:
                s.close()
            out = p.end()
            self.assertLess(time.monotonic() - began, 10)
            stop.set()
            for c in clients:
                c.join()
            self.assertEqual(load["odd"], [])
            self.assertGreater(load["answered"], 0)
            self.assertTrue(out.startswith("draining\nclosing the database\n"), out)
            self.assertIn(" 0 aborted", out)

    def test_the_deadline_holds_and_is_told(self):
        with Program("graceful") as p, p.connect() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.sendall(request("/download"))
            receive(s, b"\r\n\r\n")
            began = time.monotonic()
            p.term()
            self.assertIn(" 1 aborted", p.end())
            self.assertLess(time.monotonic() - began, 15)

    def test_a_second_signal_stops_now(self):
        with Program("graceful") as p, p.connect() as s:
            s.sendall(request("/slow"))
            time.sleep(0.2)
            p.term()
            self.assertIn("draining", p.process.stdout.readline())
            p.process.send_signal(signal.SIGINT)
            self.assertIn(" 1 aborted", p.end())

    def test_inherited_listeners_and_notification(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as listener, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(os.path.join(folder, "notify"))
            notify.settimeout(PATIENCE)
            listener.bind(("127.0.0.1", 0))
            listener.listen(64)
            # LISTEN_PID must be the program's own: a shell sets it and becomes the program.
            with Program("hello", env={"LISTEN_FDS": "1", "NOTIFY_SOCKET": notify.getsockname()},
                         pass_fds=(listener.fileno(),),
                         prefix=("sh", "-c", f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ exec "$@"',
                                 "sh")) as p:
                self.assertEqual(p.address, listener.getsockname())
                self.assertEqual(notify.recv(4096), b"READY=1")
                self.assertEqual(p.ask("GET", "/")[0], 200)
                p.term()
                self.assertIn(b"STOPPING=1", notify.recv(4096))
                p.end()
            # The listener is not ours to close: the next generation serves who waits in its queue.
            with socket.create_connection(listener.getsockname(), PATIENCE):
                pass

    def test_no_reset_for_whoever_connects_while_stopping(self):
        """Connections made until the port closes are answered or refused, never reset unanswered."""
        with Program("hello") as p:
            reset, served = [], []
            began = threading.Event()

            def client():
                while True:
                    s = socket.socket()
                    s.settimeout(0.8)  # a dropped SYN is repeated after a second: as good as refused
                    try:
                        s.connect(p.address)
                    except OSError:
                        s.close()
                        return
                    try:
                        s.settimeout(PATIENCE)
                        s.sendall(request("/"))
                        if b"hello\n" in receive(s, b"hello\n"):
                            served.append(1)
                        else:
                            reset.append("closed")
                    except OSError as e:
                        reset.append(repr(e))
                    finally:
                        s.close()
                    began.set()

            threads = [threading.Thread(target=client) for _ in range(8)]
            for t in threads:
                t.start()
            began.wait(PATIENCE)
            time.sleep(0.2)
            p.term()
            for t in threads:
                t.join()
            p.end()
            self.assertEqual(reset, [])
            self.assertGreater(len(served), 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
