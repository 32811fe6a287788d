"""The status page in a real browser. PICTURES=folder keeps screenshots to look at."""
import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.error

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stack import Stack, fetch  # noqa: E402
from harness import promise, run_tests  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM", "chromium")


def browse(url, *more, size="1100,900"):
    """What chromium says on standard output, and its console on standard error."""
    with tempfile.TemporaryDirectory(prefix="godwit-chromium-") as profile:
        done = subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}", f"--window-size={size}",
             "--virtual-time-budget=4000", *more, url],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


class Load:
    def __init__(self, stack):
        self.stop = threading.Event()
        self.stack = stack
        self.thread = threading.Thread(target=self.run)

    def run(self):
        n = 0
        while not self.stop.is_set():
            n += 1
            self.stack.request("PUT", f"/buckets/b{n % 50}")
            self.stack.request("GET", f"/buckets/b{n % 50}")
            try:
                self.stack.request("GET", "/buckets/nobody")
            except urllib.error.HTTPError:
                pass
            self.stop.wait(0.004)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@promise
def the_page_shows_the_run_in_a_browser_and_loads_nothing_from_elsewhere():
    with Stack() as s:
        s.up()
        assert s.reload().returncode == 0
        url = f"http://127.0.0.1:{s.admin}/__status__"
        with Load(s) as load:
            load.stop.wait(4)  # the picture is of the last complete seconds
            status, headers, body = fetch(url)
            assert status == 200
            page = body.decode()
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy, policy
            for kind in ("script", "style"):
                [inline] = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.S)
                digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
                assert f"{kind}-src 'sha256-{digest}'" in policy, policy
            assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page), "an external asset"

            dom, console = browse(url, "--dump-dom")
            assert 'data-shown="yes"' in dom, console[-2000:]
            refused = [line for line in console.splitlines() if "CONSOLE" in line]
            assert not refused, refused
            text = html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<(script|style)>.*?</\1>", "", dom, flags=re.S)))
            numbers = json.loads(fetch(url + ".json")[2])
            for word in ("per second", "serving", "server", "agent", "active", "reads", "writes", "prometheus",
                         str(numbers["server"]["pid"]), numbers["server"]["storage"]["place"]):
                assert word in text, (word, text)
            rate = float(re.search(r'id="rate">([\d.]+)', dom).group(1))
            assert rate > 5, rate
            assert re.search(r'class="line" d="M0 [\d.]+L1 ', dom), "no line was drawn"

            pictures = os.environ.get("PICTURES")
            sizes = []
            for name, flags, size in (("light", [], "1100,800"), ("dark", ["--force-dark-mode",
                                      "--blink-settings=preferredColorScheme=0"], "1100,800"),
                                      ("phone", [], "500,1300")):
                with tempfile.TemporaryDirectory(prefix="godwit-page-") as folder:
                    path = os.path.join(pictures or folder, f"status-{name}.png")
                    browse(url, f"--screenshot={path}", *flags, size=size)
                    with open(path, "rb") as f:
                        picture = f.read()
                assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 10_000, (name, len(picture))
                sizes.append(len(picture))
            assert len(set(sizes)) == 3, "dark and light look the same"
    return f"{rate} requests/s shown"


@promise
def the_admin_listener_answers_this_machine_only_and_only_what_it_has():
    with Stack() as s:
        s.up()
        base = f"http://127.0.0.1:{s.admin}"
        for path in ("/v1/", "/__status__x"):
            try:
                fetch(base + path)
                raise AssertionError(path)
            except urllib.error.HTTPError as e:
                assert e.code == 404
        out = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example",
                              base + "/__status__.json"], capture_output=True, text=True, timeout=30).stdout
        assert out == "421", out  # a name that was made to mean 127.0.0.1
        assert fetch(f"http://127.0.0.1:{s.port}/v1/")[0] == 200
        try:
            fetch(f"http://127.0.0.1:{s.port}/__status__")
            raise AssertionError("the public listener has the page")
        except urllib.error.HTTPError as e:
            assert e.code == 404
        s.down()
        ini = os.path.join(s.folder, "godwit.ini")
        with open(ini, encoding="utf-8") as f:
            text = f.read()
        with open(ini, "w", encoding="utf-8") as f:
            f.write(re.sub(r"(?m)^godwit.admin_listen = .*$", "godwit.admin_listen = 0.0.0.0:9", text))
        refused = s.godwit("up")
        assert refused.returncode == 3 and "no authentication" in refused.stderr, refused


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
