"""Metrics of a web application: RequestTime, Failure and ClientError of every recorded request.

    from godwit_metrics import MetricsMiddleware, record_metrics, current_metrics

    @record_metrics
    def signup(environ, start_response):
        current_metrics().add_count("userSignup", 1)
        ...

    application = MetricsMiddleware(application)

As with Flask-Kadabra only requests that pass through something decorated with record_metrics are
sent, and their dimension "method" is the decorated function's name. For Flask itself use
godwit_metrics.flask, with the same decorator.
"""

import contextvars
import datetime
import functools
import time

from .client import Client, CollectorClosedError
from .metrics import Units

_current = contextvars.ContextVar("godwit_metrics_request", default=None)


class Request:
    """One request being measured."""

    __slots__ = ("collector", "start", "enabled")

    def __init__(self, collector, enabled=False):
        self.collector = collector
        self.start = time.perf_counter_ns()
        self.enabled = enabled

    def finish(self, client, status, disabled=False):
        """Records and sends, if the request was to be recorded. Never raises."""
        if not self.enabled:
            return
        elapsed = datetime.timedelta(microseconds=(time.perf_counter_ns() - self.start) / 1000)
        try:
            self.collector.set_timer("RequestTime", elapsed, Units.MILLISECONDS)
            self.collector.add_count("Failure", 1 if status >= 500 else 0)
            self.collector.add_count("ClientError", 1 if 400 <= status < 500 else 0)
            closed = self.collector.close()
        except CollectorClosedError:
            return  # the application sent it itself
        if not disabled:
            client.send(closed)


def enter(request):
    return _current.set(request)


def leave(token):
    try:
        _current.reset(token)
    except ValueError:  # ended in another context than it began in
        _current.set(None)


def current_metrics():
    """The collector of the request being served, or None."""
    request = _current.get()
    return request.collector if request is not None else None


def record_metrics(func):
    """Records requests that this function handles, under dimension method = its name."""

    @functools.wraps(func)
    def recorded(*args, **kwargs):
        request = _current.get()
        if request is not None and not request.collector.closed:
            request.enabled = True
            request.collector.set_dimension("method", func.__name__)
        return func(*args, **kwargs)

    return recorded


class MetricsMiddleware:
    """Wraps a WSGI application. record_all=True records requests without the decorator, too."""

    def __init__(self, application, client=None, config=None, record_all=False):
        self.application = application
        self.client = client if client is not None else Client(config)
        self.record_all = record_all

    def __call__(self, environ, start_response):
        request = Request(self.client.metrics(), self.record_all)
        environ["godwit.metrics"] = request.collector
        # Without any call of start_response the server answers 500.
        status = [500]

        def started(line, headers, exc_info=None):
            try:
                status[0] = int(line[:3])
            except ValueError:
                status[0] = 500
            if exc_info is not None:
                return start_response(line, headers, exc_info)
            return start_response(line, headers)

        token = enter(request)
        try:
            body = self.application(environ, started)
        except BaseException:
            request.finish(self.client, 500)
            raise
        finally:
            leave(token)
        return _Body(body, request, self.client, status)


class _Body:
    """Passes the response on. The request is over when the server closes it."""

    def __init__(self, body, request, client, status):
        self._body = body
        self._iterator = None
        self._request = request
        self._client = client
        self._status = status
        self._failed = False

    def __iter__(self):
        return self

    def __next__(self):
        token = enter(self._request)
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException:
            self._failed = True
            raise
        finally:
            leave(token)

    def __len__(self):
        return len(self._body)  # servers take the length of one-part responses from here

    def close(self):
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._request.finish(self._client, 500 if self._failed else self._status[0])
            self._request.enabled = False  # close() may be called twice
