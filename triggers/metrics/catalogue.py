"""
Every metric of asyncrun. docs/metrics.md is this table in words; a test compares them.

Names are below Airflow's own prefix (``[metrics] statsd_prefix`` and the like: ``airflow.asyncrun.ecs.runs``).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """How a metric's values belong together."""

    GAUGE = "gauge"
    """The present value."""
    COUNTER = "counter"
    """What was added since the last time."""
    TIMING = "timing"
    """One duration for each thing that happened."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """
    One metric.

    :param tags: which of them its values are told apart by, where Airflow's metrics carry tags.
    :param named_by: the tag that ends the name where they do not: it has few values.
    :param longest: values that fall together are not added, the largest counts.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    tags: tuple[str, ...] = ()
    named_by: str = ""
    longest: bool = False


_WATCHED = ("kind", "cluster")
_GROUP = ("region", "group")
_BUDGET = ("api", "region", "account")
_NAMESPACE = ("namespace",)

WATCHERS = Metric(
    name="asyncrun.ecs.watchers", kind=Kind.GAUGE, unit="pollers", tags=("kind",),
    meaning="shared pollers that are alive, one per API access and cluster",
)  # fmt: skip
SUBSCRIBERS = Metric(
    name="asyncrun.ecs.subscribers", kind=Kind.GAUGE, unit="triggers", tags=_WATCHED,
    meaning="triggers that wait for news of a poller",
)  # fmt: skip
RUNS = Metric(
    name="asyncrun.ecs.runs", kind=Kind.GAUGE, unit="ECS tasks", tags=("cluster",),
    meaning="ECS tasks that are asked for in each round; ended ones are not",
)  # fmt: skip
ROUND = Metric(
    name="asyncrun.ecs.round", kind=Kind.GAUGE, unit="s", tags=_WATCHED, longest=True,
    meaning="length of a poller's last round, waiting for the call budget included",
)  # fmt: skip
ROUNDS = Metric(
    name="asyncrun.ecs.rounds", kind=Kind.COUNTER, unit="rounds", tags=_WATCHED, meaning="rounds that were made"
)
FAULTS = Metric(
    name="asyncrun.ecs.faults", kind=Kind.COUNTER, unit="calls", tags=_WATCHED,
    meaning="calls of a poller that brought no answer, throttled ones included",
)  # fmt: skip
RENEWALS = Metric(
    name="asyncrun.ecs.renewals", kind=Kind.COUNTER, unit="attempts", tags=_WATCHED,
    meaning="attempts to renew the credentials because all calls of a round were refused, be it for their content",
)  # fmt: skip
CRASHES = Metric(
    name="asyncrun.ecs.crashes", kind=Kind.COUNTER, unit="crashes", tags=_WATCHED,
    meaning="crashes of a poller, each a defect of asyncrun; it was started again",
)  # fmt: skip
ENDED = Metric(
    name="asyncrun.ecs.ended", kind=Kind.COUNTER, unit="runs", tags=("verdict",), named_by="verdict",
    meaning="container runs that ended, by verdict",
)  # fmt: skip
DETECTION_LAG = Metric(
    name="asyncrun.ecs.detection_lag", kind=Kind.TIMING, unit="ms",
    meaning="from the end of a run, as ECS dates it, to our knowing; includes the difference of the clocks",
)  # fmt: skip

POD_WATCHERS = Metric(
    name="asyncrun.pods.watchers", kind=Kind.GAUGE, unit="watchers", tags=_NAMESPACE,
    meaning="shared watchers of pods that are alive, one per API access, namespace and label selector",
)  # fmt: skip
POD_SUBSCRIBERS = Metric(
    name="asyncrun.pods.subscribers", kind=Kind.GAUGE, unit="triggers", tags=_NAMESPACE,
    meaning="triggers that wait for news of a pod",
)  # fmt: skip
PODS = Metric(
    name="asyncrun.pods.runs", kind=Kind.GAUGE, unit="pods", tags=_NAMESPACE, meaning="pods that triggers wait for"
)
PODS_POLLED = Metric(
    name="asyncrun.pods.polled", kind=Kind.GAUGE, unit="pods", tags=_NAMESPACE,
    meaning="of those, the ones asked for one by one: list or watch is forbidden, or they lost our labels",
)  # fmt: skip
POD_LISTS = Metric(
    name="asyncrun.pods.lists", kind=Kind.COUNTER, unit="lists", tags=_NAMESPACE, meaning="complete listings"
)
POD_WATCHES = Metric(
    name="asyncrun.pods.watches", kind=Kind.COUNTER, unit="watches", tags=_NAMESPACE, meaning="watches that were opened"
)
POD_CUTS = Metric(
    name="asyncrun.pods.cuts", kind=Kind.COUNTER, unit="watches", tags=_NAMESPACE,
    meaning="watches that broke, or were replaced because nothing came",
)  # fmt: skip
POD_EXPIRED = Metric(
    name="asyncrun.pods.expired", kind=Kind.COUNTER, unit="answers", tags=_NAMESPACE,
    meaning="answers that a place in the watch or a page of a list is no longer kept (410): each leads to a listing",
)  # fmt: skip
POD_GETS = Metric(
    name="asyncrun.pods.gets", kind=Kind.COUNTER, unit="calls", tags=_NAMESPACE,
    meaning="calls for single pods, which are few where pods can be watched",
)  # fmt: skip
POD_FAULTS = Metric(
    name="asyncrun.pods.faults", kind=Kind.COUNTER, unit="requests", tags=_NAMESPACE,
    meaning="requests of a watcher that failed, cuts and 410 included",
)  # fmt: skip
POD_RENEWALS = Metric(
    name="asyncrun.pods.renewals", kind=Kind.COUNTER, unit="attempts", tags=_NAMESPACE,
    meaning="attempts to renew the credentials because requests were refused",
)  # fmt: skip
POD_CRASHES = Metric(
    name="asyncrun.pods.crashes", kind=Kind.COUNTER, unit="crashes", tags=_NAMESPACE,
    meaning="crashes of a watcher, each a defect of asyncrun; it was started again",
)  # fmt: skip
POD_WATCH_AGE = Metric(
    name="asyncrun.pods.watch_age", kind=Kind.GAUGE, unit="s", tags=_NAMESPACE, longest=True,
    meaning="since a watch moved on last; bookmarks come about every 60 s",
)  # fmt: skip
PODS_SHELVED = Metric(
    name="asyncrun.pods.shelved_bytes", kind=Kind.GAUGE, unit="bytes", tags=_NAMESPACE,
    meaning="pods that are kept in memory though no trigger waits for them yet, about",
)  # fmt: skip
PODS_ENDED = Metric(
    name="asyncrun.pods.ended", kind=Kind.COUNTER, unit="runs", tags=("verdict",), named_by="verdict",
    meaning="pods of ours that ended, by verdict",
)  # fmt: skip
PODS_DETECTION_LAG = Metric(
    name="asyncrun.pods.detection_lag", kind=Kind.TIMING, unit="ms",
    meaning="from the end of a container, as Kubernetes dates it in whole seconds, to our knowing; includes the "
    "kubelet's own delay and the difference of the clocks",
)  # fmt: skip

STREAMS = Metric(
    name="asyncrun.logs.streams", kind=Kind.GAUGE, unit="streams", tags=_GROUP, meaning="CloudWatch log streams read"
)
STREAMS_MISSING = Metric(
    name="asyncrun.logs.streams_missing", kind=Kind.GAUGE, unit="streams", tags=_GROUP,
    meaning="of those, the ones that do not exist, as far as is known",
)  # fmt: skip
LOG_FAULTS = Metric(
    name="asyncrun.logs.faults", kind=Kind.COUNTER, unit="calls", tags=_GROUP,
    meaning="calls to CloudWatch Logs that were answered by an error; looking for a missing stream is one",
)  # fmt: skip
EVENTS = Metric(
    name="asyncrun.logs.events", kind=Kind.COUNTER, unit="events", tags=_GROUP, meaning="log events that were new"
)
REPEATED = Metric(
    name="asyncrun.logs.repeated", kind=Kind.COUNTER, unit="events", tags=_GROUP,
    meaning="log events that were read again: rounds overlap, for events that come late",
)  # fmt: skip
FOLLOWED = Metric(
    name="asyncrun.logs.followed", kind=Kind.GAUGE, unit="containers",
    meaning="containers of pods whose log has a connection of its own",
)  # fmt: skip
IN_TURNS = Metric(
    name="asyncrun.logs.in_turns", kind=Kind.GAUGE, unit="containers",
    meaning="those beyond `pod_log_follows`, whose logs are read in turns",
)  # fmt: skip
LINES = Metric(
    name="asyncrun.logs.lines", kind=Kind.COUNTER, unit="lines", meaning="lines written to Airflow's task logs"
)
RECORDS = Metric(
    name="asyncrun.logs.records", kind=Kind.COUNTER, unit="records", meaning="records that these lines were joined into"
)
BYTES = Metric(
    name="asyncrun.logs.bytes",
    kind=Kind.COUNTER,
    unit="bytes",
    meaning="text of these records, and 128 each for what Airflow adds",
)
SKIPPED = Metric(
    name="asyncrun.logs.skipped", kind=Kind.COUNTER, unit="lines",
    meaning="lines that `log_rate` or `log_size_limit` kept out of the task logs",
)  # fmt: skip
UNWRITTEN = Metric(
    name="asyncrun.logs.unwritten", kind=Kind.COUNTER, unit="writes",
    meaning="writes to Airflow's log channel that failed",
)  # fmt: skip
BACKLOG_BYTES = Metric(
    name="asyncrun.logs.backlog_bytes", kind=Kind.GAUGE, unit="bytes",
    meaning="the same, of what was read and waits for Airflow's log channel",
)  # fmt: skip
BACKLOG_LINES = Metric(name="asyncrun.logs.backlog_lines", kind=Kind.GAUGE, unit="lines", meaning="the same in lines")
CHANNEL_WAIT = Metric(
    name="asyncrun.logs.waited", kind=Kind.COUNTER, unit="ms", meaning="time spent waiting for Airflow's log channel"
)

CALLS = Metric(
    name="asyncrun.calls", kind=Kind.COUNTER, unit="calls", tags=_BUDGET, named_by="api",
    meaning="calls to AWS, the SDK's own retries included, and to Kubernetes",
)  # fmt: skip
THROTTLED = Metric(
    name="asyncrun.calls_throttled", kind=Kind.COUNTER, unit="calls", tags=_BUDGET, named_by="api",
    meaning="answers that said \"too many calls\"",
)  # fmt: skip
CALLS_WAITED = Metric(
    name="asyncrun.calls_waited", kind=Kind.COUNTER, unit="ms", tags=_BUDGET, named_by="api",
    meaning="time that callers waited for the call budget",
)  # fmt: skip
CALLS_WAITING = Metric(
    name="asyncrun.calls_waiting", kind=Kind.GAUGE, unit="callers", tags=_BUDGET, named_by="api",
    meaning="callers that wait for the call budget now",
)  # fmt: skip
CALL_RATE = Metric(
    name="asyncrun.call_rate", kind=Kind.GAUGE, unit="calls/s", tags=_BUDGET, named_by="api",
    meaning="what the call budget allows now: less than the setting after throttled answers; a hash of the connection "
    "stands for the account until AWS tells it, and the API server's address for a cluster",
)  # fmt: skip

CATALOGUE: tuple[Metric, ...] = (
    WATCHERS, SUBSCRIBERS, RUNS, ROUND, ROUNDS, FAULTS, RENEWALS, CRASHES, ENDED, DETECTION_LAG,
    POD_WATCHERS, POD_SUBSCRIBERS, PODS, PODS_POLLED, POD_LISTS, POD_WATCHES, POD_CUTS, POD_EXPIRED, POD_GETS,
    POD_FAULTS, POD_RENEWALS, POD_CRASHES, POD_WATCH_AGE, PODS_SHELVED, PODS_ENDED, PODS_DETECTION_LAG,
    STREAMS, STREAMS_MISSING, LOG_FAULTS, EVENTS, REPEATED, FOLLOWED, IN_TURNS, LINES, RECORDS, BYTES, SKIPPED,
    UNWRITTEN, BACKLOG_BYTES, BACKLOG_LINES, CHANNEL_WAIT,
    CALLS, THROTTLED, CALLS_WAITED, CALLS_WAITING, CALL_RATE,
)  # fmt: skip
