"""What a collector yields: plain objects, with Kadabra's serialisation."""

import datetime

DEFAULT_TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def to_ns(timestamp):
    """Unix nanoseconds of a datetime; one without a zone is UTC. Integers are taken as they are."""
    if isinstance(timestamp, int):
        return timestamp
    if timestamp.tzinfo is not None:
        timestamp = timestamp.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return (timestamp - _EPOCH) // _MICROSECOND * 1000


def to_datetime(timestamp):
    """The other way round; nanoseconds are cut to microseconds."""
    if isinstance(timestamp, int):
        return _EPOCH + datetime.timedelta(microseconds=timestamp // 1000)
    return timestamp


def total_microseconds(delta):
    return (delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds


class Dimension:
    __slots__ = ("name", "value")

    def __init__(self, name, value):
        self.name = name
        self.value = value

    def serialize(self):
        return {"name": self.name, "value": self.value}

    @staticmethod
    def deserialize(value):
        return Dimension(value["name"], value["value"])


class Metric:
    """Name, time and metadata. `stamp` is the time as given: a datetime, or an integer that the
    library made (nanoseconds, unique in the process)."""

    __slots__ = ("name", "stamp", "metadata")

    def __init__(self, name, timestamp, metadata):
        self.name = name
        self.stamp = timestamp
        self.metadata = metadata

    @property
    def timestamp(self):
        return to_datetime(self.stamp)


class Counter(Metric):
    __slots__ = ("value",)

    def __init__(self, name, timestamp, metadata, value):
        super().__init__(name, timestamp, metadata)
        self.value = value

    def serialize(self, timestamp_format):
        return {
            "name": self.name,
            "metadata": self.metadata,
            "timestamp": self.timestamp.strftime(timestamp_format),
            "value": float(self.value),
        }

    @staticmethod
    def deserialize(value, timestamp_format):
        return Counter(
            value["name"],
            datetime.datetime.strptime(value["timestamp"], timestamp_format),
            value["metadata"],
            value["value"],
        )


class Timer(Metric):
    """`value` is a timedelta."""

    __slots__ = ("value", "unit")

    def __init__(self, name, timestamp, metadata, value, unit):
        super().__init__(name, timestamp, metadata)
        self.value = value
        self.unit = unit

    def serialize(self, timestamp_format):
        return {
            "name": self.name,
            "unit": self.unit.serialize(),
            "metadata": self.metadata,
            "timestamp": self.timestamp.strftime(timestamp_format),
            # In this order: it decides the last digit.
            "value": total_microseconds(self.value) / 10.0**6 * self.unit.seconds_offset,
        }

    @staticmethod
    def deserialize(value, timestamp_format):
        unit = Unit.deserialize(value["unit"])
        return Timer(
            value["name"],
            datetime.datetime.strptime(value["timestamp"], timestamp_format),
            value["metadata"],
            datetime.timedelta(seconds=value["value"] / unit.seconds_offset),
            unit,
        )


class Unit:
    """A number in this unit is seconds * seconds_offset."""

    __slots__ = ("name", "seconds_offset")

    def __init__(self, name, seconds_offset):
        self.name = name
        self.seconds_offset = seconds_offset

    def serialize(self):
        return {"name": self.name, "seconds_offset": self.seconds_offset}

    @staticmethod
    def deserialize(value):
        return Unit(value["name"], value["seconds_offset"])


class Units:
    SECONDS = Unit("seconds", 1.0)
    MILLISECONDS = Unit("milliseconds", 1000.0)
    MICROSECONDS = Unit("microseconds", 1000000.0)
    NANOSECONDS = Unit("nanoseconds", 1000000000.0)


class Metrics:
    """A closed collector. Not to be changed any more."""

    __slots__ = ("dimensions", "counters", "timers", "gauges", "timestamp_format", "serialized_at")

    def __init__(self, dimensions, counters, timers, timestamp_format=DEFAULT_TIMESTAMP_FORMAT,
                 serialized_at=None, gauges=()):
        self.dimensions = dimensions
        self.counters = counters
        self.timers = timers
        self.gauges = gauges
        self.timestamp_format = timestamp_format
        self.serialized_at = serialized_at

    def serialize(self):
        """The dictionary whose JSON is Kadabra's message. Gauges have no place in it."""
        at = self.serialized_at
        if at is None:
            now = datetime.datetime.now(datetime.timezone.utc)
            at = now.replace(tzinfo=None).strftime(self.timestamp_format)
        return {
            "dimensions": [d.serialize() for d in self.dimensions],
            "counters": [c.serialize(self.timestamp_format) for c in self.counters],
            "timers": [t.serialize(self.timestamp_format) for t in self.timers],
            "timestamp_format": self.timestamp_format,
            "serialized_at": at,
        }

    @staticmethod
    def deserialize(value):
        timestamp_format = value["timestamp_format"]
        return Metrics(
            [Dimension.deserialize(d) for d in value["dimensions"]],
            [Counter.deserialize(c, timestamp_format) for c in value["counters"]],
            [Timer.deserialize(t, timestamp_format) for t in value["timers"]],
            timestamp_format,
            value.get("serialized_at"),
        )
