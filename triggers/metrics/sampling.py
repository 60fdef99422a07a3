"""From the counters of asyncrun's shared parts to values that can be sent. No I/O."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from asyncrun.clients.budget import statistics as budget_statistics
from asyncrun.triggers.logs.cloudwatch import reader_statistics
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.pods.slots import slot_statistics
from asyncrun.triggers.metrics import catalogue as m
from asyncrun.triggers.metrics.catalogue import Kind, Metric
from asyncrun.triggers.metrics.endings import Endings, endings, pod_endings
from asyncrun.triggers.registry import WatcherStatistics, registry
from asyncrun.triggers.watch.pods.reflector import ReflectorStatistics
from asyncrun.triggers.watch.polling import PollerStatistics

# What every backend of Airflow takes in names and in tag values.
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")

TASKS = "ECS task"


class Sample(NamedTuple):
    """
    One value of one source.

    :param value: of a counter: the source's total.
    :param source: whose value it is: totals are compared with the same source's last ones.
    """

    metric: Metric
    value: float
    source: Hashable
    tags: Mapping[str, str]


class Value(NamedTuple):
    """
    What is sent.

    :param value: of a counter: what was added.
    """

    name: str
    kind: Kind
    value: float
    tags: dict[str, str]


def take_samples() -> list[Sample]:
    """Every counter of the running event loop, and the process's call budgets. Lags are given once only."""
    return [*_watchers(), *_endings(), *_readers(), *_emitter(), *_budgets()]


def _watchers() -> Iterator[Sample]:
    for key, one in registry().statistics().items():
        match one.watcher:
            case PollerStatistics() as poller:
                yield from _poller(key, one, poller)
            case ReflectorStatistics() as reflector:
                yield from _reflector(key, one, reflector)


def _poller(key: Hashable, one: WatcherStatistics, poller: PollerStatistics) -> Iterator[Sample]:
    tags = {"kind": poller.kind, "cluster": poller.cluster}
    yield Sample(m.WATCHERS, 1, key, tags)
    yield Sample(m.SUBSCRIBERS, one.subscribers, key, tags)
    yield Sample(m.CRASHES, one.restarts, key, tags)
    if poller.kind == TASKS:
        yield Sample(m.RUNS, poller.active, key, tags)
    yield Sample(m.ROUND, poller.last_round_seconds, key, tags)
    yield Sample(m.ROUNDS, poller.rounds, key, tags)
    yield Sample(m.FAULTS, poller.faults, key, tags)
    yield Sample(m.RENEWALS, poller.renewals, key, tags)


def _reflector(key: Hashable, one: WatcherStatistics, reflector: ReflectorStatistics) -> Iterator[Sample]:
    tags = {"namespace": reflector.namespace}
    yield Sample(m.POD_WATCHERS, 1, key, tags)
    yield Sample(m.POD_SUBSCRIBERS, one.subscribers, key, tags)
    yield Sample(m.POD_CRASHES, one.restarts, key, tags)
    yield Sample(m.PODS, reflector.subscribed, key, tags)
    yield Sample(m.PODS_POLLED, reflector.polled, key, tags)
    yield Sample(m.POD_LISTS, reflector.lists, key, tags)
    yield Sample(m.POD_WATCHES, reflector.watches, key, tags)
    yield Sample(m.POD_CUTS, reflector.cuts, key, tags)
    yield Sample(m.POD_EXPIRED, reflector.expired, key, tags)
    yield Sample(m.POD_GETS, reflector.gets, key, tags)
    yield Sample(m.POD_FAULTS, reflector.faults, key, tags)
    yield Sample(m.POD_RENEWALS, reflector.renewals, key, tags)
    yield Sample(m.POD_WATCH_AGE, reflector.resource_version_age, key, tags)
    yield Sample(m.PODS_SHELVED, reflector.shelved_bytes, key, tags)


def _endings() -> Iterator[Sample]:
    yield from _ended(endings(), m.ENDED, m.DETECTION_LAG)
    yield from _ended(pod_endings(), m.PODS_ENDED, m.PODS_DETECTION_LAG)


def _ended(ended: Endings, verdicts: Metric, lags: Metric) -> Iterator[Sample]:
    for verdict, count in ended.verdicts.items():
        yield Sample(verdicts, count, verdict, {"verdict": verdict.value})
    for number, lag in enumerate(ended.take_lags()):
        yield Sample(lags, lag * 1000, number, {})


def _readers() -> Iterator[Sample]:
    for key, one in reader_statistics().items():
        tags = {"region": one.region, "group": one.group}
        yield Sample(m.STREAMS, one.streams, key, tags)
        yield Sample(m.STREAMS_MISSING, one.streams - one.found, key, tags)
        yield Sample(m.LOG_FAULTS, one.failed, key, tags)
        yield Sample(m.EVENTS, one.events, key, tags)
        yield Sample(m.REPEATED, one.repeated, key, tags)
    slots = slot_statistics()
    yield Sample(m.FOLLOWED, slots.following, None, {})
    yield Sample(m.IN_TURNS, slots.in_turns, None, {})


def _emitter() -> Iterator[Sample]:
    one = emitter().statistics()
    yield Sample(m.LINES, one.lines, None, {})
    yield Sample(m.RECORDS, one.records, None, {})
    yield Sample(m.BYTES, one.bytes, None, {})
    yield Sample(m.SKIPPED, one.skipped, None, {})
    yield Sample(m.UNWRITTEN, one.failed, None, {})
    yield Sample(m.BACKLOG_BYTES, one.queued_bytes, None, {})
    yield Sample(m.BACKLOG_LINES, one.queued_lines, None, {})
    yield Sample(m.CHANNEL_WAIT, one.waited * 1000, None, {})


def _budgets() -> Iterator[Sample]:
    for (account, region, api), one in budget_statistics().items():
        key, tags = (account, region, api), {"api": api.value, "region": region, "account": str(account)}
        yield Sample(m.CALLS, one.calls, key, tags)
        yield Sample(m.THROTTLED, one.throttled, key, tags)
        yield Sample(m.CALLS_WAITED, one.waited * 1000, key, tags)
        yield Sample(m.CALLS_WAITING, one.waiting, key, tags)
        yield Sample(m.CALL_RATE, one.rate, key, tags)


_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # name and tags


class Ledger:
    """
    What was sent last, and so what is to be sent now.

    :param tagged: Airflow's metrics carry tags. Otherwise all values of a metric fall together but for its
        ``named_by`` tag and, for gauges, the host, which end its name: two triggerers must not overwrite each other.
    """

    def __init__(self, host: str, *, tagged: bool) -> None:
        self._host, self._tagged = fit(host).replace(".", "_"), tagged
        self._totals: dict[tuple[str, Hashable], float] = {}
        self._gauges: dict[_Key, Value] = {}

    def settle(self, samples: Iterable[Sample], *, last: bool = False) -> list[Value]:
        """
        The values to send. A gauge that has no value any more is sent as 0 once.

        :param last: nothing is sent for a while: all gauges have no value any more, or they would stay as they are.
        """
        earlier, self._totals = self._totals, {}
        out: dict[_Key, Value] = {}
        timings: list[Value] = []
        for one in samples:
            name, tags = self._named(one)
            kind = one.metric.kind
            if kind is Kind.TIMING:
                timings.append(Value(name, kind, one.value, tags))
                continue
            value = self._added(one, earlier) if kind is Kind.COUNTER else one.value
            key = (name, tuple(sorted(tags.items())))
            known = out[key].value if key in out else 0
            out[key] = Value(name, kind, max(known, value) if one.metric.longest else known + value, tags)
        gauges = {key: value for key, value in out.items() if value.kind is Kind.GAUGE and not last}
        ended = [value._replace(value=0) for key, value in self._gauges.items() if key not in gauges]
        self._gauges = gauges
        counted = [value for value in out.values() if value.kind is Kind.COUNTER and value.value > 0]
        return [*gauges.values(), *ended, *counted, *timings]

    def _added(self, one: Sample, earlier: Mapping[tuple[str, Hashable], float]) -> int:
        """What a counter's source added. Backends count in whole numbers: the rest is kept for the next time."""
        place = (one.metric.name, one.source)
        before = earlier.get(place, 0)
        added = one.value - before if one.value >= before else one.value  # less: a new source took the old one's place
        self._totals[place] = one.value - (added - int(added))
        return int(added)

    def _named(self, one: Sample) -> tuple[str, dict[str, str]]:
        metric = one.metric
        if self._tagged:
            tags = {name: fit(one.tags[name]) for name in metric.tags if one.tags.get(name)}
            return metric.name, {**tags, "hostname": self._host}
        name = metric.name
        if metric.named_by:
            name += "." + fit(one.tags[metric.named_by]).replace(".", "_")
        if metric.kind is Kind.GAUGE:
            name += "." + self._host
        return name, {}


def fit(text: str) -> str:
    """The text with nothing in it that a backend would refuse."""
    return _UNFIT.sub("_", text)
