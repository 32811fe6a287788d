"""The agent from end to end: usage: agent_bench.py BUILD_FOLDER [PART ...]

Only ratios inside one run count: InfluxDB alone, Redis alone and a bare recvmmsg loop are measured
beside the agent. Parts: spool redis statsd memory recovery stop.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
PARTS = sys.argv[2:] or ["spool", "redis", "statsd", "memory", "recovery", "stop"]
AGENT = BUILD / "bin/godwit-agent"
TOOL = str(BUILD / "bench/agent_bench")
sys.argv = [sys.argv[0], str(AGENT)]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests/agent"))
if os.path.exists("/usr/lib/python3/dist-packages"):
    sys.path.append("/usr/lib/python3/dist-packages")  # python3-redis
from harness import *  # noqa: E402
import harness  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / TICK


def row(what, value, unit, note=""):
    print(f"| {what} | {value:,.0f} | {unit} | {note} |", flush=True)


def spool(case, folder):
    n, samples = 400_000, 3
    for name, config in (("debug", "[publisher:p]\ntype = debug\noutput = /dev/null\n"),
                         ("prometheus", "[publisher:p]\ntype = prometheus\n")):
        home = pathlib.Path(folder) / name
        home.mkdir()
        a = case.keep(Agent(home, ""))
        a.configure(config, spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB\nsync = 0")
        subprocess.run([TOOL, "fill", str(a.spool), str(n), str(samples)], check=True)
        begin = time.monotonic()
        a.start()
        eventually("done", lambda: a.publisher("p")["published"] == n * samples)
        wall, used = time.monotonic() - begin, cpu(a.process.p.pid)
        row(f"spool -> {name}", n * samples / used, "metrics/s per core", f"{n * samples / wall:,.0f}/s wall")
        a.stop()


def redis(case, folder):
    import redis as client
    n = 200_000
    r = case.keep(Redis(folder))
    influx = case.keep(Influx(folder))
    influx.create()
    base = 1_600_000_000_000_000
    dims = [("app", "kinto"), ("method", "get"), ("host", "web1.example.org")]

    def load():
        r.client.flushall()
        for i in range(0, n, 1000):
            p = r.client.pipeline(transaction=False)
            p.lpush("kadabra_queue", *[message("Failure", base + k, 0.0, dims,
                                               [("RequestTime", 12.5), ("DbTime", 1.25)])
                                       for k in range(i, i + 1000)])
            p.execute()
    # InfluxDB alone: the same points, in the same batches.
    tags = ",app=kinto,host=web1.example.org,method=get"
    batches = []
    for i in range(0, 500_000, 5000):
        batches.append("\n".join(f'Alone{tags} value=12.5,unit="milliseconds" {(base + k) * 1000}'
                                 for k in range(i, i + 5000)).encode())
    c = http.client.HTTPConnection("127.0.0.1", influx.port)
    begin = time.monotonic()
    for b in batches:
        c.request("POST", "/write?db=test&precision=ns", b)
        c.getresponse().read()
    alone = 500_000 / (time.monotonic() - begin)
    row("InfluxDB alone", alone, "points/s", "one connection, 5,000 lines, no agent")
    size = len(message("Failure", base, 0.0, dims, [("RequestTime", 12.5), ("DbTime", 1.25)]))
    for name, publisher in (("debug", "[publisher:p]\ntype = debug\noutput = /dev/null\n"),
                            ("InfluxDB", influx_publisher(influx.port, os.environ.get("INFLUX_MORE", "")).replace("publisher:influx", "publisher:p"))):
        load()
        home = pathlib.Path(folder) / name
        home.mkdir()
        a = case.keep(Agent(home, ""))
        a.configure(publisher + f"[redis]\nenabled = on\nport = {r.port}\n",
                    spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB")
        begin = time.monotonic()
        a.start()
        eventually("done", lambda: a.publisher("p")["published"] == 3 * n, 180)
        wall = time.monotonic() - begin
        note = f"{size} B messages, 3 metrics; agent {cpu(a.process.p.pid):.2f} s CPU"
        if name == "InfluxDB":
            note += f"; {3 * n / wall / alone:.0%} of InfluxDB alone in points"
            assert influx.count("Failure") == n and influx.count("RequestTime") == n
        row(f"Redis -> {name}", n / wall, "messages/s", note)
        a.stop()


def statsd(case, folder):
    a = case.keep(Agent(folder, ""))
    path = folder + "/dg"
    a.configure("[publisher:p]\ntype = prometheus\n", spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB",
                statsd=f"unix_dgram = {path}\nflush_interval = 10s")
    a.start()

    def run_agent(target, packets, lines, rate=0):
        before = a.stats()
        used = cpu(a.process.p.pid)
        sent, seconds = subprocess.run([TOOL, "blast", target, str(packets), str(lines), str(rate)],
                                       capture_output=True, text=True, check=True).stdout.split()
        eventually("all are aggregated", lambda: a.stats()["aggregation"]["spooled"] == 0)
        time.sleep(0.3)
        after = a.stats()
        got = after["statsd"]["packets"] - before["statsd"]["packets"]
        good = after["aggregation"]["good"] - before["aggregation"]["good"]
        drops = after["statsd"]["kernel_drops"] - before["statsd"]["kernel_drops"]
        assert good == got * lines, (good, got, lines)
        return got, int(sent), float(seconds), cpu(a.process.p.pid) - used, drops

    def run_sink(packets, lines):
        port = free_port(socket.SOCK_DGRAM)
        s = subprocess.Popen([TOOL, "sink", str(port)], stdout=subprocess.PIPE, text=True)
        s.stdout.readline()
        sent, seconds = subprocess.run([TOOL, "blast", str(port), str(packets), str(lines)],
                                       capture_output=True, text=True, check=True).stdout.split()
        time.sleep(0.5)
        s.terminate()
        # The loop looks at its flag when a datagram comes.
        subprocess.run([TOOL, "blast", str(port), "1", "1"], capture_output=True)
        return int(s.communicate()[0]) - 1, int(sent), float(seconds)
    for lines, packets in ((1, 400_000), (25, 200_000)):
        best_sink = best_agent = 0
        note = ""
        for _ in range(3):
            got, sent, seconds = run_sink(packets, lines)
            best_sink = max(best_sink, got * lines / seconds)
            got, sent, seconds, used, drops = run_agent(str(a.statsd), packets, lines)
            if got * lines / seconds > best_agent:
                best_agent = got * lines / seconds
                note = (f"lost {1 - got / sent:.2%} (kernel {drops}), {used / got / lines * 1e9:.0f} ns CPU per line, journaled")
        row(f"bare recvmmsg loop, {lines} lines/packet", best_sink, "lines/s", "counts only")
        row(f"StatsD UDP, {lines} lines/packet", best_agent, "lines/s", f"{best_agent / best_sink:.2f} of the loop; {note}")
        half = best_agent / lines / 2
        got, sent, seconds, used, drops = run_agent(str(a.statsd), packets // 2, lines, half)
        row(f"StatsD UDP at half rate, {lines} lines/packet", got * lines / seconds, "lines/s", f"lost {sent - got} of {sent}")
        got, sent, seconds, used, drops = run_agent(path, packets, lines)
        row(f"StatsD unix datagram, {lines} lines/packet", got * lines / seconds, "lines/s", f"lost {sent - got}")
    a.stop()
    statsd_npm(folder)


def statsd_npm(folder):
    """npm's statsd beside it: the one in STATSD_NPM, else it is installed below the build folder."""
    where = os.environ.get("STATSD_NPM") or str(BUILD / "npm")
    program = where + "/node_modules/statsd/stats.js"
    if not os.path.exists(program) and shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", where, "statsd"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    if not shutil.which("node") or not os.path.exists(program):
        print("| npm statsd | - | - | cannot be installed here |", flush=True)
        return
    port, admin = free_port(socket.SOCK_DGRAM), free_port()
    config = pathlib.Path(folder) / "statsd.js"
    config.write_text(f'{{port: {port}, mgmt_port: {admin}, mgmt_address: "127.0.0.1", address: "127.0.0.1", '
                      'backends: [], flushInterval: 100000}')
    p = subprocess.Popen(["node", program, str(config)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def ask(what):
            with socket.create_connection(("127.0.0.1", admin), 10) as s:
                s.sendall(what.encode() + b"\n")
                out = b""
                while b"END" not in out:
                    out += s.recv(65536)
                return out.decode()
        eventually("statsd answers", lambda: "messages" in ask("stats"))
        for lines, packets in ((1, 200_000), (25, 100_000)):
            def total():
                import re
                return sum(int(float(x)) for x in re.findall(r"'?app\.requests\.handler[^:]*'?: (\d+)", ask("counters")))
            before = total()
            sent, seconds = subprocess.run([TOOL, "blast", str(port), str(packets), str(lines)],
                                           capture_output=True, text=True).stdout.split()
            time.sleep(3)
            got = total() - before
            row(f"npm statsd, {lines} lines/packet", got / float(seconds), "lines/s",
                f"lost {1 - got / (packets * lines):.1%}, kernel default buffer")
    finally:
        p.terminate()


def memory(case, folder):
    a = case.keep(Agent(folder, ""))
    a.configure("[publisher:p]\ntype = prometheus\n")
    a.start()
    time.sleep(1)
    row("RSS idle", a.rss_kib(), "KiB")
    a.stop()
    for n in (100_000, 1_000_000):
        home = pathlib.Path(folder) / str(n)
        home.mkdir()
        a = case.keep(Agent(home, ""))
        path = str(home / "dg")
        a.configure("[publisher:p]\ntype = prometheus\n", statsd=f"unix_dgram = {path}",
                    spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB")
        a.start()
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(path)
        peak = 0
        for i in range(0, n, 20):
            s.send(b"\n".join(b"flood.%d:1|c|#id:%d" % (k % 20, k) for k in range(i, i + 20)))
            if i % 50_000 == 0:
                peak = max(peak, a.rss_kib())
        eventually("in", lambda: a.stats()["aggregation"]["good"] == n)
        def total():
            body = request(a.http, "GET", "/metrics")[1].decode()
            return sum(float(l.rsplit(" ", 1)[1]) for l in body.splitlines() if l.startswith("flood_") and "_total{" in l)
        eventually("totals", lambda: total() == n)
        peak = max(peak, a.rss_kib())
        row(f"RSS, {n:,} series", peak, "KiB", "totals exact")
        a.stop()


def recovery(case, folder):
    a = case.keep(Agent(folder, ""))
    seen = []

    def answer(path, headers, body):
        if not seen:
            seen.append(time.monotonic())
        return 204, {}, b""
    t = case.keep(Target(answer))
    a.configure(f"[publisher:p]\ntype = influxdb\nurl = http://127.0.0.1:{t.port}\n",
                spool="max_bytes = 4GiB\nmax_lane_bytes = 4GiB")
    subprocess.run([TOOL, "fill", str(a.spool), "7400000", "3"], check=True)
    size = sum(f.stat().st_size for f in a.spool.glob("lanes/*/*.seg"))
    begin = time.monotonic()
    a.start(wait=False)
    eventually("first publish", lambda: seen)
    row("recovery to first publish", (seen[0] - begin) * 1000, "ms", f"spool of {size / 2**30:.2f} GiB")
    a.kill()


def stop(case, folder):
    a = case.keep(Agent(folder, "[publisher:p]\ntype = debug\noutput = /dev/null\n"))
    a.start()
    begin = time.monotonic()
    assert a.stop() == 0
    row("SIGTERM idle", (time.monotonic() - begin) * 1000, "ms")
    a.start()
    p = subprocess.Popen([TOOL, "blast", str(a.statsd), "2000000", "5", "50000"], stdout=subprocess.DEVNULL)
    f = subprocess.Popen([TOOL, "fill", str(a.spool), "3000000", "3", "50000"])
    time.sleep(1.5)
    begin = time.monotonic()
    assert a.stop() == 0
    row("SIGTERM loaded", (time.monotonic() - begin) * 1000, "ms", "under 250,000 StatsD lines/s and 150,000 metrics/s of a program")
    p.kill()
    f.kill()


print("| what | figure | unit | |\n|---|---|---|---|")
for part in PARTS:
    folder = tempfile.mkdtemp(prefix="godwit-bench-")
    case = Case()
    try:
        globals()[part](case, folder)
    finally:
        case.close()
        shutil.rmtree(folder, ignore_errors=True)
