"""nginx before the server: what is cached, for whom, and what happens when it is out of date."""
import json
import os
import subprocess
import tempfile
import time
import unittest
import urllib.request

import stack

COLLECTION = "/v1/buckets/b/collections/c"


class Nginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="godwit-deploy-")
        f = cls.folder.name
        os.chmod(f, 0o755)
        cls.server_port, cls.port = stack.free_port(), stack.free_port()
        stack.write(f"{f}/godwit.ini", """[app:main]
kinto.bucket_create_principals = system.Everyone
kinto.record_cache_expires_seconds = 1
kinto.includes = kinto.plugins.prometheus
""")
        cls.log = open(f"{f}/log", "ab")
        cls.server = subprocess.Popen(
            [stack.GODWIT, "serve", "--ini", f"{f}/godwit.ini", "--port", str(cls.server_port), "--data-dir", f],
            stdin=subprocess.DEVNULL, stdout=cls.log, stderr=cls.log)
        site = stack.deploy_file("nginx/godwit.conf", [
            ("/var/cache/nginx/godwit", f"{f}/cache"), ("127.0.0.1:8888", f"127.0.0.1:{cls.server_port}"),
            ("listen 80;", f"listen 127.0.0.1:{cls.port};")])
        temps = "".join(f"{k}_temp_path {f}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        stack.write(f"{f}/nginx.conf", f"daemon off; pid {f}/nginx.pid; error_log {f}/error.log;\n"
                    f"events {{}}\nhttp {{ access_log off; {temps}\n{site} }}\n")
        cls.nginx = subprocess.Popen(["nginx", "-e", f"{f}/error.log", "-c", f"{f}/nginx.conf"], stdin=subprocess.DEVNULL,
                                     stdout=cls.log, stderr=cls.log)
        stack.wait_for(f"http://127.0.0.1:{cls.server_port}/v1/__lbheartbeat__")
        stack.wait_for(f"http://127.0.0.1:{cls.port}/v1/__lbheartbeat__")
        for path, body in (("/v1/buckets/b", {"permissions": {"read": ["system.Everyone"], "write": ["system.Everyone"]}}),
                           (COLLECTION, {})):
            cls.ask("PUT", path, body)

    @classmethod
    def tearDownClass(cls):
        for process in (cls.nginx, cls.server):
            process.terminate()
            process.wait(60)
        cls.log.close()
        cls.folder.cleanup()

    @classmethod
    def ask(cls, method, path, body=None, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{cls.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as r:
                return r.status, json.loads(r.read() or b"null"), r.headers
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"null"), e.headers

    def put(self, record, **data):
        status, _, _ = self.ask("PUT", f"{COLLECTION}/records/{record}", {"data": data})
        self.assertIn(status, (200, 201))

    def cache_status(self, record, **headers):
        status, body, got = self.ask("GET", f"{COLLECTION}/records/{record}", **headers)
        self.assertEqual(status, 200)
        return got["X-Cache-Status"], body["data"]

    def until_out_of_date(self, record):
        """The first answer that is not simply taken from the cache."""
        limit = time.monotonic() + 30
        while True:
            found, data = self.cache_status(record)
            if found != "HIT":
                return found, data
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.05)  # the age of a cached answer has no event

    def test_a_public_answer_is_fetched_once_and_then_cached(self):
        self.put("hit", n=1)
        self.assertEqual(self.cache_status("hit"), ("MISS", self.cache_status("hit")[1]))
        self.assertEqual(self.cache_status("hit")[0], "HIT")

    def test_what_is_out_of_date_and_unchanged_is_confirmed_by_its_etag(self):
        self.put("same", n=1)
        self.assertEqual(self.cache_status("same")[0], "MISS")
        self.assertEqual(self.until_out_of_date("same")[0], "REVALIDATED")

    def test_what_is_out_of_date_and_changed_is_fetched_anew(self):
        self.put("changed", n=1)
        self.assertEqual(self.cache_status("changed")[0], "MISS")
        self.put("changed", n=2)
        found, data = self.until_out_of_date("changed")
        self.assertEqual((found, data["n"]), ("EXPIRED", 2))

    def test_answers_for_who_signed_in_are_never_cached_or_shared(self):
        self.put("own", n=1)
        for _ in range(2):
            found, _ = self.cache_status("own", Authorization="Basic YTpi")
            self.assertEqual(found, "BYPASS")
        self.assertEqual(self.cache_status("own")[0], "MISS")

    def test_lists_point_at_the_name_the_client_used(self):
        for i in range(3):
            self.put(f"page{i}", n=i)
        _, _, headers = self.ask("GET", f"{COLLECTION}/records?_limit=1&_sort=id")
        self.assertTrue(headers["Next-Page"].startswith(f"http://127.0.0.1:{self.port}/v1/"), headers["Next-Page"])

    def test_a_body_too_large_is_refused_in_the_words_of_the_api(self):
        status, body, _ = self.ask("PUT", f"{COLLECTION}/records/large", {"data": {"x": "y" * (8 * 1024 * 1024 + 10)}})
        self.assertEqual((status, body["errno"]), (413, 113))

    def test_an_answer_from_the_cache_outlives_the_server(self):
        self.put("stale", n=1)
        self.assertEqual(self.cache_status("stale")[0], "MISS")
        self.server.terminate()
        self.server.wait(60)
        try:
            limit = time.monotonic() + 30
            found = "HIT"
            while found == "HIT" and time.monotonic() < limit:
                found, data = self.cache_status("stale")
                time.sleep(0.05)
            self.assertEqual((found, data["n"]), ("STALE", 1))
        finally:
            f = self.folder.name
            type(self).server = subprocess.Popen(
                [stack.GODWIT, "serve", "--ini", f"{f}/godwit.ini", "--port", str(self.server_port), "--data-dir", f],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
            stack.wait_for(f"http://127.0.0.1:{self.server_port}/v1/__lbheartbeat__")


if __name__ == "__main__":
    unittest.main(verbosity=2)
