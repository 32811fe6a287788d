"""Ports on the loopback for servers that tests start and start again. Standard library only.

A port that is found free and let go of may be another test's by the time its server listens. So whoever is given
one keeps a name of the kernel's (an abstract unix socket, gone with the process) that all who give ports ask for
first: here, freePort() in tests/pg/cluster.cc and in tests/e2e/server.mjs.
"""
import fcntl
import os
import random
import socket

_held = {}


def free_port(kind=socket.SOCK_STREAM, host="127.0.0.1"):
    """Nobody else's until release() or the end of this process. Below the range from which the kernel takes ports for
    outgoing connections: one of those would sooner or later sit on the port of a server that is being restarted."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        low = int(f.read().split()[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(10_000):
        port = random.randrange(min(10_000, low - 1), low)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # As long as such a name can be: some runtimes know no shorter ones.
            name.bind("\0" + f"godwit-test-port-{port}".ljust(107, "-"))
            with socket.socket(family, kind) as s:
                s.bind((host, port))
        except OSError:
            name.close()
            continue
        # Out of the way of descriptors that a test hands on by number.
        _held[port] = fcntl.fcntl(name.fileno(), fcntl.F_DUPFD_CLOEXEC, 256)
        name.close()
        return port
    raise RuntimeError("no free port")


def release(port):
    held = _held.pop(port, None)
    if held is not None:
        os.close(held)


__all__ = ["free_port", "release"]
