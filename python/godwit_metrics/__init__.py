"""Metrics that cannot be lost, with the client interface of Kadabra.

    import datetime
    import godwit_metrics

    client = godwit_metrics.Client()
    metrics = client.metrics()
    metrics.set_dimension("method", "signup")
    metrics.add_count("userSignup", 1)
    metrics.set_timer("RequestTime", datetime.timedelta(milliseconds=12))
    client.send(metrics.close())

Programs written for Kadabra change one line: ``import godwit_metrics as kadabra``. See
docs/metrics.md. Needs libgodwit_metrics.so and nothing else.
"""

from .client import Client, Collector, CollectorClosedError, Kadabra, MetricsCollector
from .config import DEFAULT_CONFIG
from .metrics import Counter, Dimension, Metrics, Timer, Unit, Units
from .wsgi import MetricsMiddleware, current_metrics, record_metrics

__all__ = [
    "Client",
    "Collector",
    "CollectorClosedError",
    "Counter",
    "DEFAULT_CONFIG",
    "Dimension",
    "Kadabra",
    "Metrics",
    "MetricsCollector",
    "MetricsMiddleware",
    "Timer",
    "Unit",
    "Units",
    "current_metrics",
    "record_metrics",
]
