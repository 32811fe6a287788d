"""libgodwit_metrics.so through ctypes."""

import ctypes
import ctypes.util
import os

ABI = 1

SPOOLED, BUFFERED, DROPPED = 0, 1, 2
ON_FULL = {"drop_oldest": 0, "drop_newest": 1, "block": 2}
CHANNELS = {"spool": 0, "redis": 1}


class Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("spool_dir", ctypes.c_char_p),
        ("timestamp_format", ctypes.c_char_p),
        ("default_dimensions", ctypes.POINTER(ctypes.c_char_p)),
        ("channel", ctypes.c_int),
        ("on_full", ctypes.c_int),
        ("block_timeout_ms", ctypes.c_uint32),
        ("flush_interval_ms", ctypes.c_uint32),
        ("max_bytes", ctypes.c_uint64),
        ("max_lane_bytes", ctypes.c_uint64),
        ("segment_size", ctypes.c_uint64),
        ("ring_bytes", ctypes.c_uint64),
        ("max_handles", ctypes.c_uint64),
        ("min_free", ctypes.c_double),
    ]


class Stats(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + [
        (name, ctypes.c_uint64)
        for name in (
            "frames", "samples", "bytes", "dropped_full", "dropped_oversize", "dropped_nan",
            "dropped_unavailable", "buffered_frames", "spool_unavailable", "lane_bytes",
            "ts_ahead_us", "handles",
        )
    ]


def _candidates():
    given = os.environ.get("GODWIT_METRICS_LIBRARY")
    if given:
        yield given
        return
    yield os.path.join(os.path.dirname(os.path.abspath(__file__)), "libgodwit_metrics.so")
    found = ctypes.util.find_library("godwit_metrics")
    if found:
        yield found
    yield "libgodwit_metrics.so.0"


def _declare(lib):
    p, s, z = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    dims = ctypes.POINTER(ctypes.c_char_p)
    for name, result, arguments in (
        ("open", p, [ctypes.POINTER(Options)]),
        ("close", None, [p]),
        ("now", ctypes.c_int64, [p]),
        ("send_encoded", ctypes.c_int, [p, s, z]),
        ("send_json", ctypes.c_int, [p, s, z]),
        ("refused", None, [p, ctypes.c_uint64]),
        ("counter_get", p, [p, s, dims]),
        ("timer_get", p, [p, s, dims]),
        ("gauge_get", p, [p, s, dims]),
        ("counter_inc", None, [p, ctypes.c_double]),
        ("timer_record", None, [p, ctypes.c_int64]),
        ("gauge_set", None, [p, ctypes.c_double]),
        ("flush", ctypes.c_int, [p]),
        ("get_stats", ctypes.c_int, [p, ctypes.POINTER(Stats)]),
        ("lane", z, [p, s, z]),
        ("last_error", z, [p, s, z]),
    ):
        f = getattr(lib, "godwit_metrics_" + name)
        f.restype, f.argtypes = result, arguments
    return lib


_loaded = {}


def load(waits=False):
    """The library. OSError with a hint when it cannot be found. `waits`: calls may block (on_full
    "block"), so the interpreter lock is given away around each; else it is kept, because giving it
    away costs more than the call."""
    if waits not in _loaded:
        reason = None
        for path in _candidates():
            try:
                lib = (ctypes.CDLL if waits else ctypes.PyDLL)(path)
            except OSError as e:
                reason = reason or e
                continue
            if lib.godwit_metrics_abi() != ABI:
                raise OSError("%s has another interface version" % path)
            _loaded[waits] = _declare(lib)
            break
        else:
            raise OSError("cannot load libgodwit_metrics.so: %s "
                          "(hint: set GODWIT_METRICS_LIBRARY to its path)" % reason)
    return _loaded[waits]


def string_list(pairs):
    """{"a": "b"} as the NULL-terminated array that the library takes."""
    flat = [str(x).encode("utf-8", "replace") for pair in pairs.items() for x in pair]
    return (ctypes.c_char_p * (len(flat) + 1))(*flat, None)
