#!/usr/bin/python3
"""Joins two network namespaces by a pair of TUN devices with a delay in each direction.

usage: tun_delay.py NETNS_A ADDRESSES_A NETNS_B ADDRESSES_B DELAY_MS    (addresses: IPv4,IPv6)
Prints `ready` and forwards until its standard input is closed. Needs root."""
import collections, fcntl, os, select, struct, subprocess, sys, time


def tun(namespace, address, peer):
    """The device is made here and moved; its descriptor goes on working."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    name = "gwt%d%s" % (os.getpid() % 10000, namespace[-1])
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0001 | 0x1000))  # IFF_TUN, no header
    run = lambda *a: subprocess.run(a, check=True)
    run("ip", "link", "set", name, "netns", namespace)
    run("ip", "-n", namespace, "link", "set", name, "up", "txqueuelen", "10000")
    for mine, theirs in zip(address.split(","), peer.split(",")):
        # nodad: an address under duplicate detection could not be bound for a second.
        run("ip", "-n", namespace, "addr", "add", mine, "peer", theirs, "dev", name, *["nodad"] * (":" in mine))
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    os.set_blocking(fd, False)
    return fd


def main():
    a = tun(sys.argv[1], sys.argv[2], sys.argv[4])
    b = tun(sys.argv[3], sys.argv[4], sys.argv[2])
    delay = float(sys.argv[5]) / 1000
    other = {a: b, b: a}
    waiting = collections.deque()
    print("ready", flush=True)
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        readable = select.select([a, b, 0], [], [], timeout)[0]
        if 0 in readable and not os.read(0, 100):
            return
        now = time.monotonic()
        for fd in readable:
            if fd == 0:
                continue
            for _ in range(256):
                try:
                    waiting.append((now + delay, other[fd], os.read(fd, 65536)))
                except BlockingIOError:
                    break
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, fd, packet = waiting.popleft()
            try:
                os.write(fd, packet)
            except OSError:
                pass


main()
