"""Metrics-binary: docs/formats/spool.md, type 1."""

import struct

from .metrics import DEFAULT_TIMESTAMP_FORMAT, to_ns, total_microseconds

_COUNTER, _TIMER, _GAUGE = 1, 2, 3
_EXPLICIT, _UNIT, _META = 1, 4, 8
_UNITS = {("seconds", 1.0): 1, ("milliseconds", 1e3): 2, ("microseconds", 1e6): 3,
          ("nanoseconds", 1e9): 4}

_value_and_time = struct.Struct("<dq").pack
_double = struct.Struct("<d").pack
_int64 = struct.Struct("<q").pack
_SMALL = [bytes((n,)) for n in range(128)]


def _varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _text(s):
    raw = (s if type(s) is str else str(s)).encode("utf-8", "replace")
    n = len(raw)
    return (_SMALL[n] if n < 128 else _varint(n)) + raw


def _meta_value(v):
    if v is None:
        return b"\0"
    if v is False:
        return b"\1"
    if v is True:
        return b"\2"
    if isinstance(v, int) and -(2**63) <= v < 2**63:
        return b"\3" + _int64(v)
    if isinstance(v, float) and v - v == 0:  # finite
        return b"\4" + _double(v)
    return b"\5" + _text(v)


def _metadata(meta):
    parts = [_varint(len(meta))]
    for key, value in meta.items():
        parts.append(_text(key))
        parts.append(_meta_value(value))
    return b"".join(parts)


def _unit(unit):
    offset = unit.seconds_offset
    code = None if isinstance(offset, int) else _UNITS.get((unit.name, offset))
    if code:
        return _SMALL[code]
    return b"\0" + _text(unit.name) + _double(offset) + (b"\1" if isinstance(offset, int) else b"\0")


def encode(metrics):
    """The bytes, with slot 0; the library fills in the lane's."""
    counters, timers, gauges = metrics.counters, metrics.timers, metrics.gauges
    flags = 0
    dimensions = metrics.dimensions
    parts = [b"", _varint(len(counters) + len(timers) + len(gauges)), _varint(len(dimensions))]
    add = parts.append
    for d in dimensions:
        add(_text(d.name))
        add(_text(d.value))
    if metrics.timestamp_format != DEFAULT_TIMESTAMP_FORMAT:
        flags = 1
        add(_text(metrics.timestamp_format))
    if metrics.serialized_at is not None:
        flags |= 2
        add(_text(metrics.serialized_at))
    for kind, samples in ((_COUNTER, counters), (_GAUGE, gauges)):
        for s in samples:
            stamp, meta = s.stamp, s.metadata
            # Integers are the library's own stamps: unique, and to be completed with the slot.
            f = 0 if type(stamp) is int else _EXPLICIT
            if meta:
                f |= _META
            add(bytes((kind, f)))
            add(_text(s.name))
            add(_value_and_time(s.value, stamp if type(stamp) is int else to_ns(stamp)))
            if meta:
                add(_metadata(meta))
    for s in timers:
        stamp, meta, unit = s.stamp, s.metadata, s.unit
        f = _UNIT if type(stamp) is int else _UNIT | _EXPLICIT
        if meta:
            f |= _META
        add(bytes((_TIMER, f)))
        add(_text(s.name))
        add(_value_and_time(total_microseconds(s.value) / 10.0**6 * unit.seconds_offset,
                            stamp if type(stamp) is int else to_ns(stamp)))
        add(_unit(unit))
        if meta:
            add(_metadata(meta))
    parts[0] = bytes((1, flags, 0, 0))
    return b"".join(parts)
