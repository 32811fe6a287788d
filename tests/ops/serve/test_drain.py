"""SIGTERM under load: what the server has read it answers, and then it ends by itself."""
import asyncio
import json
import os
import re
import socket
import sys
import time

from harness import Broken, Connection, Server, free_port, promise, run_tests, signal

CLIENTS = 48


async def load(server, seconds, writes):
    """Closed loop on keep-alive connections that reconnect when told to close; SIGTERM half-way."""
    answered, unfinished, stale, refused, bad = 0, 0, 0, 0, []
    stop_at = time.monotonic() + seconds
    signalled = asyncio.Event()

    async def client(number):
        nonlocal answered, unfinished, stale, refused
        serial = 0
        while time.monotonic() < stop_at + 10:
            try:
                connection = await Connection(server.port).open()
            except OSError:
                if signalled.is_set():
                    refused += 1
                    return
                raise
            try:
                while True:
                    serial += 1
                    if writes and number % 2:
                        path = f"/buckets/ops/collections/items/records/c{number}-{serial}"
                        status, payload = await connection.ask("PUT", path, b'{"data":{"a":1}}')
                        good = (201,)
                    else:
                        status, payload = await connection.ask("GET", "/buckets/ops/collections/items")
                        good = (200,)
                    if status in good:
                        answered += 1
                    elif status == 503 and signalled.is_set():
                        answered += 1  # an answer: late requests are told to come back
                    else:
                        bad.append((status, payload[:200]))
                    if connection.last:
                        break
            except Broken as e:
                if e.started or not signalled.is_set():
                    unfinished += 1
                else:
                    stale += 1  # nothing came back: the server had closed before it read the request
            finally:
                connection.close()

    tasks = [asyncio.create_task(client(i)) for i in range(CLIENTS)]
    await asyncio.sleep(seconds / 2)  # the length of the load, not a wait for an event
    server.send(signal.SIGTERM)
    signalled.set()
    await asyncio.gather(*tasks)
    return answered, unfinished, stale, refused, bad


def check_drain(writes):
    with Server() as server:
        server.make_collection()
        answered, unfinished, stale, refused, bad = asyncio.run(load(server, 3, writes))
        code = server.wait()
        line = re.search(r"drained.*", server.output())
        assert code == 0, f"exit {code}: {server.output()[-2000:]}"
        assert not bad, bad[:3]
        assert unfinished == 0, f"{unfinished} answers were cut off"
        assert line and re.search(r"\b0 aborted|aborted\"?[=:] ?0", line.group(0)), line and line.group(0)
        assert answered > 100
        return f"{answered} answered, {stale} found their idle connection closed, {refused} refused after the stop"


@promise
def sigterm_under_read_load_cuts_no_answer():
    return check_drain(writes=False)


@promise
def sigterm_under_write_load_cuts_no_answer():
    return check_drain(writes=True)


@promise
def a_half_read_request_is_finished_during_drain():
    with Server() as server:
        server.make_collection()
        body = json.dumps({"data": {"pad": "y" * 5000}}).encode()
        from harness import AUTH
        head = (f"PUT /v1/buckets/ops/collections/items/records/half HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.settimeout(20)
            s.sendall(head + body[:2000])
            # A second request on another connection proves that the first part has been read by now.
            server.request("GET", "/")
            server.send(signal.SIGTERM)
            s.sendall(body[2000:])
            answer = b""
            while chunk := s.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 201"), answer[:200]
        assert b"onnection: close" in answer
        assert server.wait() == 0


@promise
def a_second_signal_stops_now():
    with Server() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(b"GET /v1/ HTTP/1.1\r\nHost: x\r\n")  # never finished
            server.request("GET", "/")
            started = time.monotonic()
            server.send(signal.SIGTERM)
            while "drain" not in server.output():
                assert time.monotonic() - started < 20, "drain was not announced"
                time.sleep(0.01)
            server.send(signal.SIGTERM)
            server.wait(20)
            assert time.monotonic() - started < 9, "the second signal waited for the first one's deadline"


@promise
def a_taken_port_is_said_in_one_line_and_ends_with_1():
    port = free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        server = Server()
        server.port = port
        try:
            server.start()
            raise AssertionError("it started on a taken port")
        except RuntimeError:
            pass
        finally:
            code = server.process.poll() if server.process else None
            text = server.output()
            server.kill()
            server.folder.cleanup()
        assert code == 1, code
        assert str(port) in text and "in use" in text, text


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(run_tests(globals()))
