#!/usr/bin/python3
"""A small HTTP server whose bad habits can be chosen: what the supervisor's tests supervise.

Reads LISTEN_FDS like any well-behaved server. Behaviour comes from $APP_MODE, or from the file
$APP_MODE_FILE (read at start), so that a test can change it between two releases:
  ok             serves; on TERM drains: answers what it has, then exits
  fast           on TERM closes everything at once
  crash          exits 3 at start, with a word on stderr
  hang           never accepts, never says it is ready
  crashlater     serves, dies 0.5 s after it became ready
  503            serves, answers 503
  hanglater      serves until $APP_HANG_FILE exists, then stops answering
Words may be added: `ok,ignoreterm` ignores TERM, `ok,slots8` accepts at most 8 connections at a
time, `ok,feeds` feeds the watchdog until SIGUSR2, `ok,noready` does not notify, `ok,leave` leaves a child behind, `ok,daemon` daemonizes.
"""
import os, select, signal, socket, sys, threading, time

DELAY = float(os.environ.get("APP_START", "0.1"))
WORK = float(os.environ.get("APP_WORK", "0.002"))


def mode_words():
    path = os.environ.get("APP_MODE_FILE")
    text = open(path).read() if path else os.environ.get("APP_MODE", "ok")
    return text.strip().split(",")


def notify(text):
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        s.sendto(text.encode(), "\0" + path[1:] if path[0] == "@" else path)
    except OSError:
        pass
    s.close()


class App:
    def __init__(self):
        self.words = mode_words()
        self.mode = self.words[0]
        self.stopping = False
        self.gate = threading.Semaphore(8) if "slots8" in self.words else None
        self.connections = set()
        self.lock = threading.Lock()
        n = int(os.environ.get("LISTEN_FDS", "0"))
        pid = os.environ.get("LISTEN_PID")
        if pid and int(pid) != os.getpid():
            print("LISTEN_PID is not mine", file=sys.stderr)
            sys.exit(5)
        self.listeners = []
        for fd in range(3, 3 + n):
            s = socket.socket(fileno=fd)
            self.listeners.append(s)
        if n == 0 and os.environ.get("APP_PORT"):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("127.0.0.1", int(os.environ["APP_PORT"])))
            s.listen(1024)
            self.listeners.append(s)

    def on_term(self, *_):
        if "ignoreterm" in self.words:
            return
        if self.mode == "fast":
            os._exit(0)
        self.stopping = True

    def body(self):
        return ("gen %s pid %d mode %s env %s cwd %s\n" % (
            os.environ.get("GENERATION"), os.getpid(), self.mode, os.environ.get("APP_NOTE", ""),
            os.environ.get("PWD", ""))).encode()

    def serve(self, c):
        try:
            c.settimeout(30)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    # An idle connection is kept for a while after TERM: a client may be about to use it.
                    limit = time.monotonic() + (0.6 if self.stopping else 30)
                    while not select.select([c], [], [], 0.05)[0]:
                        if self.stopping:
                            limit = min(limit, time.monotonic() + 0.6)
                        if time.monotonic() > limit:
                            return
                    chunk = c.recv(65536)
                    if not chunk:
                        return
                    data += chunk
                head, data = data.split(b"\r\n\r\n", 1)
                hang = os.environ.get("APP_HANG_FILE")
                if self.mode == "hanglater" and hang and os.path.exists(hang):
                    time.sleep(3600)
                time.sleep(WORK)
                body = self.body()
                close = self.stopping or b"connection: close" in head.lower()
                status = b"503 Busy" if self.mode == "503" else b"200 OK"
                c.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: " + str(len(body)).encode() +
                          (b"\r\nConnection: close" if close else b"") + b"\r\n\r\n" + body)
                if close:
                    return
        except OSError:
            pass
        finally:
            c.close()
            with self.lock:
                self.connections.discard(c)
            if self.gate:
                self.gate.release()

    def run(self):
        signal.signal(signal.SIGTERM, self.on_term)
        note = os.environ.get("APP_SAY")
        if note:
            print(note, file=sys.stderr, flush=True)
        if self.mode == "crash":
            time.sleep(DELAY)
            print("cannot import the application\nboom", file=sys.stderr, flush=True)
            sys.exit(3)
        if self.mode == "hang":
            while True:
                time.sleep(3600)
        if "daemon" in self.words and os.fork():
            os._exit(0)
        if "leave" in self.words and os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in self.words else signal.SIG_DFL)
            if "setsid" in self.words:
                os.setsid()
            while True:
                time.sleep(3600)
        time.sleep(DELAY)
        for s in self.listeners:
            s.setblocking(True)
        if "noready" not in self.words:
            notify("READY=1\nSTATUS=serving")
        fd = os.environ.get("NOTIFY_FD")
        if fd:
            os.write(int(fd), b"\n")
            os.close(int(fd))
        if "feeds" in self.words:
            self.fed = True
            signal.signal(signal.SIGUSR2, lambda *_: setattr(self, "fed", False))
            threading.Thread(target=self.feed, daemon=True).start()
        if self.mode == "crashlater":
            threading.Timer(0.5, lambda: os._exit(9)).start()
        while not self.stopping:
            ready = select.select(self.listeners, [], [], 0.05)[0]
            self.accept_from(ready)
        # What is queued already came in before the end.
        for _ in range(2):
            self.accept_from(select.select(self.listeners, [], [], 0.02)[0])
        for s in self.listeners:
            s.close()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with self.lock:
                if not self.connections:
                    break
            time.sleep(0.01)

    def feed(self):
        while self.fed:
            notify("WATCHDOG=1")
            time.sleep(int(os.environ["WATCHDOG_USEC"]) / 4e6)

    def accept_from(self, ready):
        for s in ready:
            if self.gate:
                self.gate.acquire()
            # Slots share no description, but a shared socket may be taken by the other generation.
            try:
                s.settimeout(0.5)
                c, _ = s.accept()
                s.setblocking(True)
            except OSError:
                if self.gate:
                    self.gate.release()
                continue
            with self.lock:
                self.connections.add(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()


if __name__ == "__main__":
    App().run()
    os._exit(0)
