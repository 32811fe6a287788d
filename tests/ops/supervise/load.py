"""A closed-loop HTTP client that counts every answer that is not a complete 200.

`new` clients open a connection for each request, `keep` clients reuse theirs. A kept connection
that the server closed while it was idle, before one byte of an answer, is counted apart (stale):
RFC 9112 section 9.3.1 lets clients retry that, and only the server could avoid it.
"""
import collections, socket, threading, time


class Load:
    def __init__(self, address, new=8, keep=4, think=0.002, timeout=10, family=None):
        self.address = address
        self.family = family or (socket.AF_UNIX if isinstance(address, str) else
                                 socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.new, self.keep, self.think, self.timeout = new, keep, think, timeout
        self.ok = 0
        self.stale = 0
        self.failed = collections.Counter()
        self.generations = collections.Counter()
        self.slowest = 0.0
        self.first_seen = {}
        self.lock = threading.Lock()
        self.stop_flag = threading.Event()
        self.threads = []

    def __enter__(self):
        for i in range(self.new + self.keep):
            t = threading.Thread(target=self.client, args=(i >= self.new,), daemon=True)
            self.threads.append(t)
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stop_flag.set()
        for t in self.threads:
            t.join(self.timeout + 5)

    def connect(self):
        s = socket.socket(self.family, socket.SOCK_STREAM)
        s.settimeout(self.timeout)
        s.connect(self.address)
        return s

    @staticmethod
    def exchange(s, keep):
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"" if keep else b"Connection: close\r\n") + b"\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = s.recv(65536)
            if not chunk:
                return "eof_in_head" if data else "eof_before_answer", b"", True
            data += chunk
        head, body = data.split(b"\r\n\r\n", 1)
        lower = head.lower()
        length = None
        for line in lower.split(b"\r\n")[1:]:
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while length is None or len(body) < length:
            chunk = s.recv(65536)
            if not chunk:
                break
            body += chunk
        if length is not None and len(body) != length:
            return "short", body, True
        status = head.split(b" ", 2)[1]
        close = b"connection: close" in lower or not keep or length is None
        return ("ok" if status == b"200" else "status_" + status.decode()), body, close

    def client(self, keep):
        s = None
        used = False
        while not self.stop_flag.is_set():
            begin = time.monotonic()
            result, body, close = "ok", b"", True
            try:
                if s is None:
                    s = self.connect()
                    used = False
                result, body, close = self.exchange(s, keep)
            except socket.timeout:
                result = "timeout"
            except ConnectionRefusedError:
                result = "refused"
            except FileNotFoundError:
                result = "no_such_path"
            except (ConnectionResetError, BrokenPipeError):
                result = "reset"
            except OSError as e:
                result = "os_%s" % e.errno
            stale = used and result in ("eof_before_answer", "reset")
            with self.lock:
                if result == "ok":
                    self.ok += 1
                    words = body.split()
                    if len(words) > 1 and words[0] == b"gen":
                        self.generations[words[1].decode()] += 1
                        self.first_seen.setdefault(words[1].decode(), time.monotonic())
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                elif stale:
                    self.stale += 1
                else:
                    self.failed[result] += 1
            if close or result != "ok":
                if s:
                    s.close()
                s = None
            else:
                used = True
            if result != "ok" and not stale:
                time.sleep(0.005)
            time.sleep(self.think)
        if s:
            s.close()

    @property
    def failures(self):
        return sum(self.failed.values())

    def report(self):
        return "%d ok, %d failed %s, %d stale, slowest %.0f ms, generations %s" % (
            self.ok, self.failures, dict(self.failed), self.stale, self.slowest * 1e3,
            len(self.generations))
