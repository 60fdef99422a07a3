"""The operations of CloudWatch Logs."""

from __future__ import annotations

import json
import time
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any

from benchmarks.standin.ecs import World
from benchmarks.standin.gate import Gate, Refused
from benchmarks.standin.simulation import LOG_GROUP, Event, Stream

_PAGE_BYTES = 1_048_576
_EVENT_OVERHEAD = 26  # bytes, as AWS counts events

_Key = tuple[int, int, str]
_FIRST: _Key = (-1, -1, "")
_AFTER_EMPTY = "+"  # ends the token that an empty page gives: no token comes twice


class Logs:
    """Reads the streams of the world's tasks."""

    def __init__(self, world: World, gate: Gate) -> None:
        self._world, self._gate = world, gate

    def FilterLogEvents(self, body: dict[str, Any]) -> bytes:  # noqa: N802 - named as on the wire, here and below
        self._check_group(body)
        names, now = body.get("logStreamNames") or [], time.time()
        if len(names) > 100:
            raise Refused("InvalidParameterException", "Member must have length less than or equal to 100")
        if body.get("logStreamNamePrefix"):
            streams = [one for name, one in self._world.streams.items() if name.startswith(body["logStreamNamePrefix"])]
        else:
            streams = [self._stream(str(name), now) for name in names] or list(self._world.streams.values())
        token, asked = str(body.get("nextToken") or ""), _asked(body)
        if token and not token.startswith(asked):
            raise Refused("InvalidParameterException", "The specified nextToken is invalid.")
        after = _key(token.removeprefix(asked)) if token else _FIRST
        if token and not token.endswith(_AFTER_EMPTY) and self._gate.chance(self._gate.options.empty_pages):
            return _filtered([], token + _AFTER_EMPTY)
        limit = self._limit(body)
        found: list[Event] = []
        for stream in streams:
            found.extend(self._readable(stream, body, after, now, limit))
        found.sort()
        page, more = _page(found, limit)
        return _filtered(page, asked + _token(page[-1]) if more else None)

    def GetLogEvents(self, body: dict[str, Any]) -> bytes:  # noqa: N802
        self._check_group(body)
        now = time.time()
        stream = self._stream(str(body.get("logStreamName")), now)
        token, limit = str(body.get("nextToken") or ""), self._limit(body)
        if token and not token.startswith("f/"):
            raise Refused("InvalidParameterException", "The specified nextToken is invalid.")
        after = _key(token[2:]) if token else _FIRST
        found = list(self._readable(stream, body, after, now, None if not token else limit))
        page, _ = _page(found, limit)
        if not token and not body.get("startFromHead"):
            page = found[-limit:]
        last = "f/" + (_token(page[-1]) if page else _text(after))
        events = [
            f'{{"timestamp":{one.time_ms},"message":{json.dumps(one.message)},"ingestionTime":{one.ingested_ms}}}'
            for one in page
        ]
        first = "b/" + (_token(page[0]) if page else _text(after))
        tail = f'],"nextForwardToken":"{last}","nextBackwardToken":"{first}"}}'
        return ('{"events":[' + ",".join(events) + tail).encode()

    @staticmethod
    def _check_group(body: dict[str, Any]) -> None:
        if body.get("logGroupName", body.get("logGroupIdentifier")) != LOG_GROUP:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")

    def _stream(self, name: str, now: float) -> Stream:
        stream = self._world.streams.get(name)
        if stream is None or not stream.exists(now):
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        return stream

    def _limit(self, body: dict[str, Any]) -> int:
        return min(int(body.get("limit") or 10_000), self._gate.options.page_events)

    @staticmethod
    def _readable(stream: Stream, body: dict[str, Any], after: _Key, now: float, limit: int | None) -> Iterable[Event]:
        events = stream.events()
        start = int(body.get("startTime") or 0)
        begin = max(bisect_left(events, (start,)), bisect_right(events, (*after, float("inf"))))
        end = bisect_left(events, (int(body["endTime"]),)) if body.get("endTime") else len(events)
        # Nothing is readable before it is written, so what is newer than now needs no look.
        end = min(end, bisect_right(events, (int(now * 1000) + 1,)))
        count = 0
        for index in range(begin, end):
            if events[index].readable_at <= now:
                yield events[index]
                count += 1
                if limit is not None and count > limit:
                    return


def _page(found: list[Event], limit: int) -> tuple[list[Event], bool]:
    """What fits into one page, and whether there is more."""
    size = 0
    for index, event in enumerate(found):
        size += len(event.message) + _EVENT_OVERHEAD
        if index and (index >= limit or size > _PAGE_BYTES):
            return found[:index], True
    return found, False


def _filtered(page: list[Event], token: str | None) -> bytes:
    events = [
        f'{{"logStreamName":"{one.stream}","timestamp":{one.time_ms},"message":{json.dumps(one.message)},'
        f'"ingestionTime":{one.ingested_ms},"eventId":"{one.event_id}"}}'
        for one in page
    ]
    tail = f',"nextToken":"{token}"' if token else ""
    return ('{"events":[' + ",".join(events) + '],"searchedLogStreams":[]' + tail + "}").encode()


def _asked(body: dict[str, Any]) -> str:
    """A page's token belongs to the request that gave it."""
    asked = [body.get(name) for name in ("logStreamNames", "logStreamNamePrefix", "startTime", "endTime")]
    return f"{zlib.crc32(json.dumps(asked).encode()):08x}/"


def _token(event: Event) -> str:
    return _text(event[:3])


def _text(key: _Key) -> str:
    return f"{key[0]}.{key[1]}.{key[2]}"


def _key(token: str) -> _Key:
    try:
        time_ms, ingested, event_id = token.removesuffix(_AFTER_EMPTY).split(".")
        return int(time_ms), int(ingested), event_id
    except ValueError:
        raise Refused("InvalidParameterException", "The specified nextToken is invalid.") from None
