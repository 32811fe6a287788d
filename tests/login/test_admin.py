#!/usr/bin/env python3
"""The admin application: served from a folder, and nothing but that folder."""
import os
import sys
import tempfile

from provider import Server, ask, promise, run_tests

BASE = {"kinto.includes": "kinto.plugins.admin", "kinto.storage_backend": "memory",
        "multiauth.policies": "basicauth", "kinto.userid_hmac_secret": "secret"}


class Assets(tempfile.TemporaryDirectory):
    """A folder with an application inside another one with a secret."""

    def __init__(self):
        super().__init__(prefix="godwit-admin-")
        self.path = os.path.join(self.name, "build")
        os.makedirs(os.path.join(self.path, "assets"))
        for name, text in {"build/index.html": "<html>mine!</html>", "build/VERSION": "42.0.0\n",
                           "build/script.js": "kiddy()", "build/assets/app.css": "a{}",
                           "build/assets/logo.svg": "<svg/>", "build/.hidden": "no", "secret": "no"}.items():
            with open(os.path.join(self.name, name), "w", encoding="utf-8") as f:
                f.write(text)
        os.symlink(os.path.join(self.name, "secret"), os.path.join(self.path, "link.txt"))

    def settings(self):
        return BASE | {"kinto.admin_assets_path": self.path}


ASSETS = Assets()


@promise
def test_the_application_is_served_with_its_types_and_its_own_policy():
    with Server(settings=ASSETS.settings()) as s:
        _, _, body = ask(s, "GET", "/")
        assert body["capabilities"]["admin"] == {
            "version": "42.0.0", "description": "Serves the admin console.",
            "url": "https://github.com/Kinto/kinto-admin/"}, body
        assert "permissions_endpoint" in body["capabilities"]
        for path, kind, text in (("", "text/html; charset=utf-8", "<html>mine!</html>"),
                                 ("script.js", "text/javascript; charset=utf-8", "kiddy()"),
                                 ("assets/app.css", "text/css; charset=utf-8", "a{}"),
                                 ("assets/logo.svg", "image/svg+xml", "<svg/>"),
                                 ("index.html", "text/html; charset=utf-8", "<html>mine!</html>")):
            status, headers, body = ask(s, "GET", "/admin/" + path)
            assert (status, body, headers["Content-Type"]) == (200, text, kind), (path, status, body, headers)
            assert len(headers.get_all("Content-Security-Policy")) == 1, path
            assert "default-src 'self'" in headers["Content-Security-Policy"], path
            assert headers.get_all("X-Content-Type-Options") == ["nosniff"], path
            assert headers["Content-Length"] == str(len(text)), path
            status, _, body = ask(s, "GET", "/admin/" + path, {"If-None-Match": headers["ETag"]})
            assert status == 304 and body == "", path
            status, again, body = ask(s, "HEAD", "/admin/" + path)
            assert (status, body, again["Content-Length"]) == (200, "", str(len(text))), path
        # All other answers keep theirs.
        assert "default-src 'none'" in ask(s, "GET", "/")[1]["Content-Security-Policy"]


@promise
def test_the_way_there_ends_with_a_slash():
    with Server(settings=ASSETS.settings()) as s:
        here = f"http://127.0.0.1:{s.port}/v1/admin/"
        status, headers, _ = ask(s, "GET", "/admin")
        assert (status, headers["Location"]) == (307, here), headers
        status, headers, _ = ask(s, "GET", "/admin/", prefix="")
        assert (status, headers["Location"]) == (307, here), headers
        assert ask(s, "POST", "/admin/", None, {})[0] == 405


@promise
def test_nothing_outside_of_the_folder_is_served():
    with Server(settings=ASSETS.settings()) as s:
        for path in ("../secret", "..%2fsecret", "%2e%2e/secret", "assets/../../secret", "./script.js", "/etc/passwd",
                     "//etc/passwd", ".hidden", "link.txt", "assets", "assets/", "missing.js", "script.js/",
                     "script.js%00.html", "..\\secret", "assets//app.css"):
            status, headers, body = ask(s, "GET", "/admin/" + path)
            assert "no" != body and "root:" not in str(body), (path, body)
            if path == "assets":  # a folder's address ends with a slash
                assert status == 301, status
                continue
            assert status in (400, 404, 307) and headers["Content-Type"] != "text/plain; charset=utf-8", (path, status)
            if status == 404:
                assert body["errno"] == 111, (path, body)


@promise
def test_without_an_application_a_page_says_how_to_get_one():
    with Server(settings=BASE) as s:
        status, headers, body = ask(s, "GET", "/admin/")
        assert status == 200 and headers["Content-Type"].startswith("text/html"), headers
        assert "<html>" in body and "kinto.admin_assets_path" in body, body
        assert "default-src 'self'" in headers["Content-Security-Policy"], headers
        assert ask(s, "GET", "/admin/script.js")[0] == 404
        assert "version" in ask(s, "GET", "/")[2]["capabilities"]["admin"]
    with Server(settings={k: v for k, v in BASE.items() if k != "kinto.includes"}) as s:
        assert ask(s, "GET", "/admin/")[0] in (307, 404)
        assert "admin" not in ask(s, "GET", "/")[2]["capabilities"]


@promise
def test_a_folder_that_is_not_there_ends_the_start():
    try:
        with Server(settings=BASE | {"kinto.admin_assets_path": "/nowhere/at/all"}):
            raise AssertionError("started")
    except RuntimeError as e:
        assert "admin_assets_path" in str(e) and "/nowhere/at/all" in str(e), e


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
