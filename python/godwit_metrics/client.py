"""Client and collector."""

import atexit
import contextlib
import ctypes
import datetime
import logging
import threading
import time
import weakref

from . import _lib
from .config import CHANNEL_ARGS, DEFAULT_CONFIG
from .encode import encode
from .metrics import DEFAULT_TIMESTAMP_FORMAT, Counter, Dimension, Metric, Metrics, Timer, Units

_log = logging.getLogger("godwit_metrics")


class CollectorClosedError(Exception):
    """A collector was used after close()."""

    def __init__(self):
        super().__init__("MetricsCollector object has been closed")


class _Gauge(Metric):
    __slots__ = ("value",)

    def __init__(self, name, timestamp, value):
        super().__init__(name, timestamp, None)
        self.value = value


def _copy(timestamp):
    # An integer would be taken for one of the library's own stamps.
    return timestamp if isinstance(timestamp, datetime.datetime) else timestamp.replace()


class Collector:
    """Gathers the metrics of one request. May be shared by threads.

    Counters of one name are summed and keep their first timestamp; timers and dimensions are
    overwritten. Metadata that is not empty replaces what was there. After close() every call
    raises CollectorClosedError. Values that are NaN or infinite are refused and counted.
    """

    def __init__(self, timestamp_format=DEFAULT_TIMESTAMP_FORMAT, dimensions=None, client=None):
        self.counters = {}
        self.timers = {}
        self.gauges = {}
        self.dimensions = dict(dimensions) if dimensions else {}
        self.timestamp_format = timestamp_format
        self.closed = False
        self.lock = threading.Lock()
        self._client = client
        self._now = client._now if client is not None else _wall_clock

    def set_dimension(self, name, value):
        with self.lock:
            if self.closed:
                raise CollectorClosedError()
            self.dimensions[name] = value

    def add_count(self, name, value, timestamp=None, metadata=None, replace_timestamp=False):
        value = float(value)
        with self.lock:
            if self.closed:
                raise CollectorClosedError()
            counter = self.counters.get(name)
            total = value if counter is None else counter["value"] + value
            if total - total != 0:  # NaN or infinite
                return self._refuse()
            if counter is None:
                self.counters[name] = {
                    "metadata": dict(metadata) if metadata else {},
                    "timestamp": self._now() if timestamp is None else _copy(timestamp),
                    "value": total,
                }
                return
            counter["value"] = total
            if metadata:
                counter["metadata"] = dict(metadata)
            if replace_timestamp:
                counter["timestamp"] = self._now() if timestamp is None else _copy(timestamp)

    def set_timer(self, name, value, unit=Units.MILLISECONDS, timestamp=None, metadata=None):
        with self.lock:
            if self.closed:
                raise CollectorClosedError()
            timer = self.timers.get(name)
            if timer is None:
                timer = self.timers[name] = {"metadata": {}}
            timer["unit"] = unit
            timer["timestamp"] = self._now() if timestamp is None else _copy(timestamp)
            timer["value"] = value
            if metadata:
                timer["metadata"] = dict(metadata)

    def set_gauge(self, name, value, timestamp=None):
        value = float(value)
        with self.lock:
            if self.closed:
                raise CollectorClosedError()
            if value - value != 0:
                return self._refuse()
            stamp = self._now() if timestamp is None else _copy(timestamp)
            self.gauges[name] = _Gauge(name, stamp, value)

    @contextlib.contextmanager
    def time(self, name, unit=Units.MILLISECONDS):
        """``with metrics.time("query"): …`` sets a timer, also when the block raises."""
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            elapsed = datetime.timedelta(microseconds=(time.perf_counter_ns() - start) / 1000)
            with contextlib.suppress(CollectorClosedError):
                self.set_timer(name, elapsed, unit)

    def close(self):
        """A Metrics of what was gathered."""
        with self.lock:
            if self.closed:
                raise CollectorClosedError()
            self.closed = True
            return Metrics(
                [Dimension(n, v) for n, v in self.dimensions.items()],
                [Counter(n, c["timestamp"], c["metadata"], c["value"])
                 for n, c in self.counters.items()],
                [Timer(n, t["timestamp"], t["metadata"], t["value"], t["unit"])
                 for n, t in self.timers.items()],
                self.timestamp_format,
                None,
                list(self.gauges.values()),
            )

    def _refuse(self):
        if self._client is not None:
            self._client._refused()


def _wall_clock():
    return time.time_ns() // 1000 * 1000


class _Handle:
    """A counter, timer or gauge that is aggregated in the process."""

    __slots__ = ("_call", "_pointer", "_client")

    def __init__(self, client, call, pointer):
        self._client = client  # keeps the library's object alive
        self._call = call
        self._pointer = pointer


class CounterHandle(_Handle):
    def inc(self, by=1.0):
        if self._client._open:
            self._call(self._pointer, by)


class TimerHandle(_Handle):
    def record(self, delta):
        """Takes a timedelta, or a number of seconds."""
        if isinstance(delta, datetime.timedelta):
            ns = (delta.days * 86400 + delta.seconds) * 10**9 + delta.microseconds * 1000
        else:
            ns = int(delta * 1e9)
        if self._client._open:
            self._call(self._pointer, ns)

    @contextlib.contextmanager
    def time(self):
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            if self._client._open:
                self._call(self._pointer, time.perf_counter_ns() - start)


class GaugeHandle(_Handle):
    def set(self, value):
        if self._client._open:
            self._call(self._pointer, value)


class Client:
    """Hands metrics over. Keep one for the life of the program; threads and forks may share it.

    `configuration` overrides DEFAULT_CONFIG. send() never raises and never waits.
    """

    def __init__(self, configuration=None):
        config = dict(DEFAULT_CONFIG)
        if configuration:
            config.update(configuration)
        channel = config["CLIENT_CHANNEL_TYPE"]
        if channel not in CHANNEL_ARGS:
            raise Exception("Unrecognized channel type: '%s'" % channel)
        args = dict(CHANNEL_ARGS[channel])
        for name, value in (config["CLIENT_CHANNEL_ARGS"] or {}).items():
            if name not in args:
                raise TypeError("unknown argument '%s' of channel '%s'" % (name, channel))
            args[name] = value
        self.channel_args = args
        self.default_dimensions = dict(config.get("CLIENT_DEFAULT_DIMENSIONS") or {})
        self.timestamp_format = config["CLIENT_TIMESTAMP_FORMAT"]

        lib = self._lib = _lib.load(args["on_full"] == "block")
        options = _lib.Options(size=ctypes.sizeof(_lib.Options))
        options.channel = _lib.CHANNELS[channel]
        options.timestamp_format = self.timestamp_format.encode("utf-8", "replace")
        if args["dir"]:
            options.spool_dir = str(args["dir"]).encode("utf-8", "surrogateescape")
        if args["on_full"] is not None:
            if args["on_full"] not in _lib.ON_FULL:
                raise ValueError("on_full must be one of %s" % ", ".join(_lib.ON_FULL))
            options.on_full = _lib.ON_FULL[args["on_full"]]
        for name in ("max_bytes", "max_lane_bytes", "segment_size", "ring_bytes"):
            setattr(options, name, int(args[name] or 0))
        options.min_free = float(args["min_free"] or 0)
        options.block_timeout_ms = int((args["block_timeout"] or 0) * 1000)
        options.flush_interval_ms = int((args["flush_interval"] or 0) * 1000)
        # Handles get the default dimensions from the library; collectors carry their own.
        dims = _lib.string_list(self.default_dimensions)
        options.default_dimensions = ctypes.cast(dims, ctypes.POINTER(ctypes.c_char_p))
        self._open = lib.godwit_metrics_open(ctypes.byref(options))
        if not self._open:
            raise MemoryError("godwit_metrics")
        self._send = lib.godwit_metrics_send_encoded
        self._stamp = lib.godwit_metrics_now
        _all.add(self)

    def metrics(self):
        """A new collector with the default dimensions."""
        return Collector(self.timestamp_format, self.default_dimensions, self)

    def send(self, metrics):
        """True when the metrics are safe (or in memory, waiting for the spool). Never raises: what
        cannot be sent is counted in stats() and logged once a second at most."""
        try:
            encoded = encode(metrics)
            handle = self._open
            if handle:
                return self._send(handle, encoded, len(encoded)) != _lib.DROPPED
            self._complain("a client was used after close()")
        except Exception as e:  # a value that is no number, a timer without a unit, …
            self._complain(e)
            if self._open:
                self._refused()
        return False

    def counter(self, name, dimensions=None):
        get, inc = self._lib.godwit_metrics_counter_get, self._lib.godwit_metrics_counter_inc
        return CounterHandle(self, inc, self._handle(get, name, dimensions))

    def timer(self, name, dimensions=None):
        get, record = self._lib.godwit_metrics_timer_get, self._lib.godwit_metrics_timer_record
        return TimerHandle(self, record, self._handle(get, name, dimensions))

    def gauge(self, name, dimensions=None):
        get, put = self._lib.godwit_metrics_gauge_get, self._lib.godwit_metrics_gauge_set
        return GaugeHandle(self, put, self._handle(get, name, dimensions))

    def flush(self):
        """Sends what the handles hold. True when nothing is left in memory."""
        return bool(self._open and self._lib.godwit_metrics_flush(self._open))

    def stats(self):
        """Counters of this process as a dictionary."""
        out = _lib.Stats(size=ctypes.sizeof(_lib.Stats))
        text = ctypes.create_string_buffer(4096)
        result = {}
        if self._open:
            self._lib.godwit_metrics_get_stats(self._open, ctypes.byref(out))
            self._lib.godwit_metrics_lane(self._open, text, len(text))
            result["lane"] = text.value.decode("utf-8", "surrogateescape")
            self._lib.godwit_metrics_last_error(self._open, text, len(text))
            result["last_error"] = text.value.decode("utf-8", "replace")
        result.update((name, getattr(out, name)) for name, _ in out._fields_ if name != "size")
        return result

    def close(self):
        """Flushes and ends the client. Done at exit for those that are still open."""
        handle, self._open = self._open, None
        if handle:
            self._lib.godwit_metrics_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def __del__(self):
        if getattr(self, "_open", None):
            self.close()

    def _now(self):
        handle = self._open
        return self._stamp(handle) if handle else _wall_clock()

    def _refused(self):
        if self._open:
            self._lib.godwit_metrics_refused(self._open, 1)

    def _handle(self, get, name, dimensions):
        if not self._open:
            raise ValueError("the client has been closed")
        return get(self._open, str(name).encode("utf-8", "replace"),
                   _lib.string_list(dimensions or {}))

    _last_complaint = 0.0

    def _complain(self, what):
        now = time.monotonic()
        if now - Client._last_complaint >= 1:
            Client._last_complaint = now
            _log.warning("metrics dropped: %s", what)


# The names of the predecessor.
Kadabra = Client
MetricsCollector = Collector

_all = weakref.WeakSet()


@atexit.register
def _close_all():
    for client in list(_all):
        client.close()
