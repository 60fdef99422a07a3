"""CloudWatch Logs: events, FilterLogEvents and GetLogEvents as AWS answers them.

Log groups and streams stay moto's objects, so that every other operation goes on working; only the events in them are
ours: moto re-sorts all events of a stream at each read, knows no ingestion order, and answers empty where AWS refuses.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asyncrun.local.aws.options import EmbeddedAwsOptions
from asyncrun.local.aws.wire import ACCOUNT, AwsError, AwsRequest

Position = tuple[int, int, int]
"""Where an event stands among all: timestamp, ingestion time, and a number that grows with each stored event."""

_START: Position = (-1, 0, 0)
_PAGE_BYTES = 1 << 20  # AWS: a page holds at most 1 MB
_EVENT_OVERHEAD = 26  # bytes that CloudWatch counts per event beside the message


@dataclass(slots=True, order=False)
class StoredEvent:
    """One event. The attributes of moto's LogEvent are all there, for the operations that moto serves."""

    timestamp: int
    ingestion_time: int
    event_id: int
    message: str
    visible_at: float

    @property
    def position(self) -> Position:
        return (self.timestamp, self.ingestion_time, self.event_id)

    def to_response_dict(self) -> dict[str, Any]:
        """As in the answer of GetLogEvents, which has no event ids."""
        return {"timestamp": self.timestamp, "message": self.message, "ingestionTime": self.ingestion_time}

    def to_filter_dict(self) -> dict[str, Any]:
        """As in the answer of FilterLogEvents, without the stream's name."""
        return {**self.to_response_dict(), "eventId": f"{self.event_id:056d}"}


class LogsApi:
    """The operations of CloudWatch Logs that moto does not answer as AWS does, and the writing of events.

    :param lock: the lock of the whole server; moto's dictionaries are only touched while it is held.
    """

    def __init__(self, options: EmbeddedAwsOptions, lock: threading.RLock) -> None:
        self._options = options
        self._lock = lock
        self._ids = itertools.count(1)
        self.operations: dict[str, Callable[[AwsRequest], dict[str, Any]]] = {
            "FilterLogEvents": self.filter_log_events,
            "GetLogEvents": self.get_log_events,
            "PutLogEvents": self.put_log_events,
        }

    def group_exists(self, region: str, group: str) -> bool:
        """Whether the log group is there."""
        with self._lock:
            return group in _groups(region)

    def create_group(self, region: str, group: str) -> None:
        """Creates the group unless it is there."""
        from moto.logs.models import logs_backends

        with self._lock:
            logs_backends[ACCOUNT][region].ensure_log_group(group)

    def put(
        self, region: str, group: str, stream: str, events: Iterable[tuple[int, str]], *, create: bool = True
    ) -> None:
        """Stores ``(milliseconds, message)`` pairs; creates the stream if it is not there yet.

        :raises AwsError: ResourceNotFoundException for an unknown group (or stream, without ``create``).
        """
        now, visible_at = int(time.time() * 1000), time.monotonic() + self._options.log_visibility_delay
        with self._lock:
            log_group = _group(region, group)
            if create and stream not in log_group.streams:
                log_group.create_log_stream(stream)
            target = _stream(log_group, stream)
            for timestamp, message in events:
                event = StoredEvent(timestamp, now, next(self._ids), message, visible_at)
                if target.events and event.position < target.events[-1].position:
                    bisect.insort(target.events, event, key=lambda stored: stored.position)
                else:
                    target.events.append(event)
                target.stored_bytes += len(message) + _EVENT_OVERHEAD
            target.last_ingestion_time = _utcnow()

    def put_log_events(self, request: AwsRequest) -> dict[str, Any]:
        """PutLogEvents."""
        params = request.params
        events = [(int(event["timestamp"]), str(event["message"])) for event in params.get("logEvents") or []]
        if events != sorted(events, key=lambda event: event[0]):
            raise invalid("Log events in a single PutLogEvents request must be in chronological order.")
        self.put(request.region, params.get("logGroupName", ""), params.get("logStreamName", ""), events, create=False)
        return {"nextSequenceToken": f"{next(self._ids):056d}"}

    def filter_log_events(self, request: AwsRequest) -> dict[str, Any]:
        """FilterLogEvents: sorted by timestamp, then ingestion; refused as a whole if one named stream is unknown."""
        from moto.logs.utils import EventMessageFilter

        params = request.params
        names = params.get("logStreamNames") or []
        prefix = params.get("logStreamNamePrefix")
        if len(names) > 100:
            raise _constraint(names, "logStreamNames", "Member must have length less than or equal to 100")
        if names and prefix:
            raise invalid("Only one of logStreamNames or logStreamNamePrefix can be specified.")
        limit = self._limit(params)
        token = params.get("nextToken")
        after = _parse_token(token, "n") if token else _START
        if self._options.log_empty_first_page and not token:
            self._check_streams(request, names)
            return {"events": [], "searchedLogStreams": [], "nextToken": _token("n", _START)}
        pattern = EventMessageFilter(params.get("filterPattern"))
        with self._lock:
            group = _group(request.region, _group_name(params))
            streams = [_stream(group, name) for name in names] or [
                stream for name, stream in group.streams.items() if name.startswith(prefix or "")
            ]
            merged = heapq.merge(
                *(_read(stream, after, params.get("startTime")) for stream in streams),
                key=lambda pair: pair[1].position,
            )
            end = params.get("endTime")
            wanted = (
                (name, event)
                for name, event in itertools.takewhile(lambda pair: end is None or pair[1].timestamp <= end, merged)
                if pattern.matches(event.message)
            )
            page, more = _page(wanted, limit)
        answer: dict[str, Any] = {
            "events": [{"logStreamName": name, **event.to_filter_dict()} for name, event in page],
            "searchedLogStreams": [],
        }
        if more:
            answer["nextToken"] = _token("n", page[-1][1].position)
        return answer

    def get_log_events(self, request: AwsRequest) -> dict[str, Any]:
        """GetLogEvents: at either end of the stream the token that was passed is returned again."""
        params = request.params
        limit = self._limit(params)
        token = params.get("nextToken")
        end = params.get("endTime")
        forward = token.startswith("f/") if token else bool(params.get("startFromHead"))
        position = _parse_token(token, "fb") if token else None
        with self._lock:
            stream = _stream(_group(request.region, _group_name(params)), params.get("logStreamName", ""))
            pairs = _read(stream, position or _START if forward else _START, params.get("startTime"))
            pairs = itertools.takewhile(lambda pair: end is None or pair[1].timestamp < end, pairs)
            if forward:
                page, _ = _page(pairs, limit)
            else:
                before = [pair for pair in pairs if position is None or pair[1].position < position]
                page, _ = _page(reversed(before), limit)
                page.reverse()
        first = page[0][1].position if page else position or _START
        last = page[-1][1].position if page else position or _START
        return {
            "events": [event.to_response_dict() for _, event in page],
            "nextForwardToken": _token("f", last),
            "nextBackwardToken": _token("b", first),
        }

    def _limit(self, params: dict[str, Any]) -> int:
        limit = int(params.get("limit") or 10_000)
        if limit > 10_000:
            raise _constraint(limit, "limit", "Member must have value less than or equal to 10000")
        return min(limit, self._options.log_page_limit)

    def _check_streams(self, request: AwsRequest, names: list[str]) -> None:
        with self._lock:
            group = _group(request.region, _group_name(request.params))
            for name in names:
                _stream(group, name)


def _read(stream: Any, after: Position, start_time: int | None) -> Iterator[tuple[str, StoredEvent]]:
    """The visible events of a stream behind ``after``, from ``start_time`` (milliseconds, inclusive) on."""
    now = time.monotonic()
    begin = max(after, (start_time - 1, 1 << 62, 0)) if start_time is not None else after
    index = bisect.bisect_right(stream.events, begin, key=lambda stored: stored.position)
    for event in itertools.islice(stream.events, index, None):
        if event.visible_at <= now:
            yield stream.log_stream_name, event


def _page(pairs: Iterable[tuple[str, StoredEvent]], limit: int) -> tuple[list[tuple[str, StoredEvent]], bool]:
    page: list[tuple[str, StoredEvent]] = []
    size = 0
    for pair in pairs:
        size += len(pair[1].message) + _EVENT_OVERHEAD
        if len(page) == limit or (page and size > _PAGE_BYTES):
            return page, True
        page.append(pair)
    return page, False


def _token(kind: str, position: Position) -> str:
    return f"{kind}/" + "-".join(str(part + 1) for part in position)  # + 1: no minus sign in the start's token


def _parse_token(token: str, kinds: str) -> Position:
    kind, _, rest = token.partition("/")
    try:
        timestamp, ingestion, number = (int(part) - 1 for part in rest.split("-"))
    except ValueError:
        raise invalid("The specified nextToken is invalid.") from None
    if kind not in kinds or not kind:
        raise invalid("The specified nextToken is invalid.")
    return (timestamp, ingestion, number)


def _groups(region: str) -> dict[str, Any]:
    from moto.logs.models import logs_backends

    groups: dict[str, Any] = logs_backends[ACCOUNT][region].groups
    return groups


def _group(region: str, name: str) -> Any:
    group = _groups(region).get(name)
    if group is None:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return group


def _stream(group: Any, name: str) -> Any:
    stream = group.streams.get(name)
    if stream is None:
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    return stream


def _group_name(params: dict[str, Any]) -> str:
    identifier = str(params.get("logGroupIdentifier") or "")
    name = identifier.partition(":log-group:")[2].removesuffix(":*") or identifier
    return str(params.get("logGroupName") or name)


def invalid(message: str) -> AwsError:
    """A call whose parameters AWS refuses."""
    return AwsError("InvalidParameterException", message)


def _constraint(value: object, name: str, constraint: str) -> AwsError:
    return invalid(
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
    )


def _utcnow() -> Any:
    from moto.core.utils import utcnow

    return utcnow()
