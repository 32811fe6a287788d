"""An OpenID provider and a Firefox Accounts server for tests, and a client that follows no redirect."""
import base64
import contextlib
import http.client
import http.server
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ops", "serve"))
import harness  # noqa: E402
from harness import free_port, promise, run_tests  # noqa: E402


class Server(harness.Server):
    """With GODWIT_TEST_CACHE, a URL, what logins leave behind is kept there, under a name of this server's own."""

    def __init__(self, *flags, settings=None):
        url = os.environ.get("GODWIT_TEST_CACHE")
        if url:
            settings = settings | {"kinto.cache_backend": url.split(":")[0], "kinto.cache_url": url,
                                   "kinto.cache_prefix": secrets.token_hex(4)}
        super().__init__(*flags, settings=settings)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An RSA key, made and used by the openssl program."""

    def __init__(self, folder, kid):
        self.kid = kid
        self.file = os.path.join(folder, kid + ".pem")
        subprocess.run(["openssl", "genrsa", "-out", self.file, "2048"], check=True, capture_output=True)
        out = subprocess.run(["openssl", "rsa", "-in", self.file, "-noout", "-modulus"],
                             check=True, capture_output=True, text=True).stdout
        modulus = bytes.fromhex(out.strip().split("=")[1])
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": b64(modulus), "e": "AQAB"}

    def sign(self, claims):
        head = b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": self.kid}).encode())
        text = head + "." + b64(json.dumps(claims).encode())
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.file],
                              input=text.encode(), check=True, capture_output=True).stdout
        return text + "." + b64(made)


class Web:
    """An HTTP server on a thread. Subclasses answer; `asked` counts by path."""

    def __init__(self):
        self.port = free_port()
        self.asked = {}
        self.hanging = threading.Event()  # set: takes requests and does not answer
        self.release = threading.Event()
        self.httpd = None

    def start(self):
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                path = urllib.parse.urlsplit(self.path).path
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                web.asked[path] = web.asked.get(path, 0) + 1
                if web.hanging.is_set():
                    web.release.wait(60)
                    self.close_connection = True
                    return
                status, document = web.reply(self.command, path, self.headers, body)
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True

            do_GET = do_POST = answer

        self.release.clear()
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self):
        self.release.set()
        if self.httpd:
            self.httpd.shutdown()
            self.httpd.server_close()
            self.httpd = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Provider(Web):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="godwit-provider-")
        self.key = Key(self.folder.name, "first")
        self.keys = [self.key]
        self.users = {}   # access token -> user information
        self.trades = []  # forms posted to the token endpoint
        self.trade = (200, {"access_token": "traded", "token_type": "bearer"})

    def rotate(self, kid):
        self.key = Key(self.folder.name, kid)
        self.keys = [self.key]

    def token(self, sub, key=None, **claims):
        """A signed token that the user information endpoint knows."""
        now = int(time.time())
        every = {"iss": self.url, "aud": "records", "sub": sub, "iat": now, "exp": now + 600, **claims}
        made = (key or self.key).sign(every)
        self.users[made] = {"sub": sub, "email": sub + "@example.com"}
        return made

    def reply(self, method, path, headers, body):
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "authorization_endpoint": self.url + "/authorize",
                         "token_endpoint": self.url + "/token", "userinfo_endpoint": self.url + "/userinfo",
                         "jwks_uri": self.url + "/jwks"}
        if path == "/jwks":
            return 200, {"keys": [k.jwk for k in self.keys]}
        if path == "/userinfo":
            token = (headers.get("Authorization") or "").removeprefix("Bearer ")
            return (200, self.users[token]) if token in self.users else (401, {"error": "invalid_token"})
        if path == "/token" and method == "POST":
            self.trades.append(dict(urllib.parse.parse_qsl(body.decode())))
            return self.trade
        return 404, {}


class Accounts(Web):
    def __init__(self):
        super().__init__()
        self.tokens = {}  # token -> (user, scopes)
        self.trades = []
        self.trade = (200, {"access_token": "traded"})

    def reply(self, method, path, headers, body):
        if path == "/v1/verify" and method == "POST":
            known = self.tokens.get(json.loads(body)["token"])
            if not known:
                return 400, {"code": 400, "errno": 108, "message": "Invalid token"}
            return 200, {"user": known[0], "scope": known[1], "client_id": "abc"}
        if path == "/v1/token" and method == "POST":
            self.trades.append(json.loads(body))
            return self.trade
        return 404, {}


def ask(server, method, path, headers=None, body=None, prefix="/v1"):
    """(status, headers, parsed body or text). Redirects are answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        data = None if body is None else json.dumps(body).encode()
        sent = dict(headers or {})
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, prefix + path, data, sent)
        answer = connection.getresponse()
        raw = answer.read().decode()
        with contextlib.suppress(ValueError):
            return answer.status, answer.headers, json.loads(raw)
        return answer.status, answer.headers, raw


def bearer(token, scheme="Bearer"):
    return {"Authorization": f"{scheme} {token}"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def user_of(server, headers):
    """The id hello shows, or None."""
    status, _, body = ask(server, "GET", "/", headers)
    assert status == 200, (status, body)
    return body.get("user", {}).get("id")


__all__ = ["Accounts", "Key", "Provider", "Server", "ask", "b64", "basic", "bearer", "promise", "run_tests",
           "user_of"]
