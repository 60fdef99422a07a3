"""The way to Airflow's metrics: all that asyncrun knows of it stands here, and may be missing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from asyncrun.triggers.metrics.catalogue import Kind
from asyncrun.triggers.metrics.sampling import Value


class Backend(msgspec.Struct, frozen=True):
    """
    Where Airflow's metrics go.

    :param tagged: whether tags arrive there. StatsD itself has none, and drops them.
    """

    tagged: bool


def find_backend() -> Backend | None:
    """What ``[metrics]`` of Airflow's configuration says, in Airflow's own order; None if it sends no metrics."""
    try:
        from airflow.sdk.configuration import conf
        from airflow.sdk.observability import stats  # noqa: F401 - whether it is there
    except ImportError:
        return None

    def is_on(name: str, fallback: bool = False) -> bool:
        return bool(conf.getboolean("metrics", name, fallback=fallback))

    if is_on("statsd_datadog_enabled"):
        return Backend(tagged=is_on("statsd_datadog_metrics_tags", fallback=True))
    if is_on("statsd_on"):
        return Backend(tagged=is_on("statsd_influxdb_enabled"))
    return Backend(tagged=True) if is_on("otel_on") else None


def send(values: Iterable[Value]) -> None:
    """
    Hand the values to Airflow.

    Blocking: the first call makes the backend's client (imports, a look-up of the host's address) and reads a file.
    """
    from airflow.sdk.observability import stats

    for one in values:
        tags = one.tags or None
        match one.kind:
            case Kind.GAUGE:
                stats.gauge(one.name, round(one.value, 3), tags=tags)
            case Kind.COUNTER:
                stats.incr(one.name, int(one.value), tags=tags)
            case Kind.TIMING:
                stats.timing(one.name, timedelta(milliseconds=one.value), tags=tags)
