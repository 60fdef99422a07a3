"""CloudWatch Logs calls: arguments in, pages of events out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from asyncrun.clients.api import LogEvent, LogPage
from asyncrun.clients.budget import Group
from asyncrun.clients.calling import Calls
from asyncrun.clients.faults import malformed


class Logs:
    """``LogsApi`` of one target and region."""

    def __init__(self, caller: Calls, key: Hashable, region: str) -> None:
        self._caller = caller
        self._key = key
        self._region = region

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target and region."""
        return self._key

    @property
    def region(self) -> str:
        """The region it reads from."""
        return self._region

    @property
    def ahead(self) -> float:
        """How many seconds its clock is ahead of ours, at least; 0 while it has not answered."""
        return self._caller.clock("logs", self._region).ahead

    async def filter_log_events(
        self,
        group: str,
        streams: Sequence[str],
        *,
        start_ms: int,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> LogPage:
        """FilterLogEvents for at most 100 streams, sorted by time."""
        answer = await self._read(
            "FilterLogEvents",
            Group.FILTER_LOG_EVENTS,
            next_token,
            limit,
            logGroupName=group,
            logStreamNames=list(streams),
            startTime=start_ms,
            interleaved=True,  # AWS ignores it and always interleaves (since 2019); moto sorts by time only with it
        )
        return LogPage(events=self._events("FilterLogEvents", answer, ""), next_token=answer.get("nextToken") or None)

    async def get_log_events(
        self, group: str, stream: str, *, start_ms: int, next_token: str | None = None, limit: int | None = None
    ) -> LogPage:
        """GetLogEvents forward from ``start_ms``; send the same ``start_ms`` with each token."""
        answer = await self._read(
            "GetLogEvents",
            Group.GET_LOG_EVENTS,
            next_token,
            limit,
            logGroupName=group,
            logStreamName=stream,
            startTime=start_ms,
            startFromHead=True,
        )
        token = answer.get("nextForwardToken")
        if not isinstance(token, str):
            raise malformed(self._caller.describe("logs", "GetLogEvents", self._region), "it has no nextForwardToken")
        return LogPage(events=self._events("GetLogEvents", answer, stream), next_token=token)

    async def _read(
        self, operation: str, group: Group, next_token: str | None, limit: int | None, /, **arguments: Any
    ) -> dict[str, Any]:
        more: dict[str, Any] = {"nextToken": next_token} if next_token else {}
        more |= {"limit": limit} if limit else {}
        return await self._caller.call("logs", self._region, operation, group, **arguments, **more)

    def _events(self, operation: str, answer: Mapping[str, Any], stream: str) -> list[LogEvent]:
        raw = answer.get("events")
        if not isinstance(raw, list):
            raise malformed(self._caller.describe("logs", operation, self._region), "it has no list of events")
        return [_event(one, stream) for one in raw if isinstance(one, Mapping)]


def _event(raw: Mapping[str, Any], stream: str) -> LogEvent:
    """An event without a time gets that of its ingestion: a line with a wrong time is better than none."""
    ingested = _milliseconds(raw.get("ingestionTime"))
    return LogEvent(
        stream=str(raw.get("logStreamName") or stream),
        event_id=str(raw.get("eventId") or ""),
        time_ms=_milliseconds(raw.get("timestamp")) or ingested,
        ingested_ms=ingested,
        message=str(raw.get("message") or ""),
    )


def _milliseconds(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
