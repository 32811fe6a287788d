"""Middleware and decorator: what Flask-Kadabra recorded, under WSGI, gunicorn and Flask."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import urllib.request
from wsgiref.util import setup_testing_defaults

import godwit_metrics
from godwit_metrics import MetricsMiddleware, current_metrics, record_metrics
from support import SpoolTest, frames


def request(app, path="/"):
    environ = {}
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = path
    status = []
    body = app(environ, lambda line, headers, exc_info=None: status.append(line))
    try:
        return status, b"".join(body)
    finally:
        body.close()


def values(message):
    return {c["name"]: c["value"] for c in message["counters"]}


def dimensions(message):
    return {d["name"]: d["value"] for d in message["dimensions"]}


class Wsgi(SpoolTest):
    def app(self, answer, **kwargs):
        @record_metrics
        def view(environ, start_response):
            start_response(answer, [])
            current_metrics().add_count("visits", 2)
            return [b"ok"]

        return MetricsMiddleware(view, self.client(), **kwargs)

    def test_a_recorded_request_has_time_failure_error_and_method(self):
        self.assertEqual(request(self.app("200 OK")), (["200 OK"], b"ok"))
        (m,) = self.messages()
        self.assertEqual(values(m), {"visits": 2.0, "Failure": 0.0, "ClientError": 0.0})
        self.assertEqual(dimensions(m), {"method": "view"})
        (t,) = m["timers"]
        self.assertEqual((t["name"], t["unit"]["name"]), ("RequestTime", "milliseconds"))
        self.assertGreater(t["value"], 0)

    def test_status_decides_between_failure_and_client_error(self):
        for status, failure, client_error in (("404 Not Found", 0, 1), ("503 Busy", 1, 0), ("302 Found", 0, 0)):
            request(self.app(status))
            m = self.messages()[-1]
            self.assertEqual((values(m)["Failure"], values(m)["ClientError"]), (failure, client_error), status)
            shutil.rmtree(self.spool, ignore_errors=True)

    def test_an_exception_is_a_failure_and_passes_through(self):
        @record_metrics
        def boom(environ, start_response):
            raise KeyError("x")

        with self.assertRaises(KeyError):
            request(MetricsMiddleware(boom, self.client()))
        (m,) = self.messages()
        self.assertEqual((values(m)["Failure"], dimensions(m)), (1.0, {"method": "boom"}))
        self.assertIsNone(current_metrics())

    def test_work_done_while_the_body_is_sent_counts(self):
        @record_metrics
        def slow(environ, start_response):
            start_response("200 OK", [])

            def body():
                time.sleep(0.02)
                current_metrics().add_count("late", 1)
                yield b"x"

            return body()

        request(MetricsMiddleware(slow, self.client()))
        (m,) = self.messages()
        self.assertEqual(values(m)["late"], 1)
        self.assertGreaterEqual(m["timers"][0]["value"], 20)

    def test_only_decorated_requests_are_sent_unless_all_are_wanted(self):
        def plain(environ, start_response):
            start_response("200 OK", [])
            return [b"ok"]

        request(MetricsMiddleware(plain, self.client()))
        self.assertEqual(self.messages() if os.path.exists(self.spool) else [], [])
        request(MetricsMiddleware(plain, self.client(), record_all=True))
        self.assertEqual(len(self.messages()), 1)

    def test_the_decorator_alone_changes_nothing(self):
        self.assertEqual(record_metrics(lambda x: x + 1)(1), 2)


class Flask(SpoolTest):
    def setUp(self):
        super().setUp()
        try:
            import flask
        except ImportError:
            self.skipTest("Flask is not installed")
        from godwit_metrics.flask import Kadabra

        self.flask = flask
        self.app = flask.Flask(__name__)
        kadabra = Kadabra()
        kadabra.init_app(self.app, self.config(CLIENT_DEFAULT_DIMENSIONS={"app": "shop"}))
        self.addCleanup(self.app.kadabra.close)

        @self.app.route("/")
        @record_metrics
        def index():
            flask.g.metrics.add_count("visits", 1)
            return "hello"

        @self.app.route("/quiet")
        def quiet():
            return "hello"

        @self.app.route("/boom")
        @record_metrics
        def boom():
            raise RuntimeError

        @self.app.route("/gone")
        @record_metrics
        def gone():
            flask.abort(410)

    def test_recorded_views_are_sent_and_others_are_not(self):
        web = self.app.test_client()
        for path in ("/", "/quiet", "/boom", "/gone", "/nowhere"):
            web.get(path)
        got = {dimensions(m)["method"]: m for m in self.messages()}
        self.assertEqual(set(got), {"index", "boom", "gone"})
        self.assertEqual(values(got["index"]), {"visits": 1.0, "Failure": 0.0, "ClientError": 0.0})
        self.assertEqual(values(got["boom"]), {"Failure": 1.0, "ClientError": 0.0})
        self.assertEqual(values(got["gone"]), {"Failure": 0.0, "ClientError": 1.0})
        self.assertEqual(dimensions(got["index"]), {"app": "shop", "method": "index"})

    def test_it_can_be_switched_off(self):
        self.app.config["DISABLE_KADABRA"] = True
        self.app.test_client().get("/")
        self.assertFalse(os.path.exists(self.spool) and self.messages())


APP = """
    import os, sys
    from godwit_metrics import Client, MetricsMiddleware, current_metrics, record_metrics

    client = Client({"CLIENT_CHANNEL_ARGS": {"dir": os.environ["SPOOL"], "min_free": -1}})
    served = client.counter("served")

    @record_metrics
    def hello(environ, start_response):
        served.inc()
        current_metrics().add_count("requests", 1)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    application = MetricsMiddleware(hello, client)
"""


@unittest.skipUnless(shutil.which("gunicorn"), "gunicorn is not installed")
class Gunicorn(SpoolTest):
    def test_preloaded_workers_that_are_recycled_lose_nothing(self):
        with open(os.path.join(self.dir, "app.py"), "w") as f:
            f.write(textwrap.dedent(APP))
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        path = os.pathsep.join([self.dir, os.environ["PYTHONPATH"]])
        server = subprocess.Popen(
            ["gunicorn", "--preload", "--workers", "4", "--max-requests", "25", "--log-level", "error",
             "--bind", "127.0.0.1:%d" % port, "app:application"],
            cwd=self.dir, env={**os.environ, "SPOOL": self.spool, "PYTHONPATH": path})
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        url = "http://127.0.0.1:%d/" % port
        deadline = time.monotonic() + 60
        answered = 0
        while answered < 200 and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(url, timeout=20) as r:
                    answered += r.status == 200
            except OSError:  # not yet listening, or a worker that ends just now
                time.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(60), 0)
        self.assertEqual(answered, 200)
        total = {}
        for message in self.messages():
            for name, value in values(message).items():
                total[name] = total.get(name, 0) + value
        # A worker that is told to stop may have served a request whose answer we did not see.
        self.assertGreaterEqual(total["requests"], 200)
        self.assertEqual(total["served"], total["requests"])
        self.assertEqual(total["Failure"], 0)


if __name__ == "__main__":
    unittest.main()
