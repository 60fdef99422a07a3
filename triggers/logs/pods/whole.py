"""The whole log of a container that has ended, read at once: what the XCom sidecar wrote."""

from __future__ import annotations

import asyncio

from asyncrun.clients.kube_api import PodsApi
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import MalformedAnswer, NotFound, RemoteError, RequestRefused, Unavailable
from asyncrun.model.log_cursor import Fate, LogCursor, Resumption
from asyncrun.model.pod_log_text import PodLogText, TextLine
from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings

_RETRY = Backoff(first=0.5, longest=10.0)
_SILENCE = 30.0  # s
_GONE_RETRIES = 2  # containerd or the kubelet may just be starting


async def read_whole(pods: PodsApi, ref: PodRef, container: str, *, limit: int, settings: Settings) -> list[str]:
    """
    All lines of an ended container's log, without their stamps; what is not UTF-8 becomes U+FFFD.

    Where the connection breaks it goes on from there, for at most ``logs_outage_limit``.

    :param limit: bytes in all, line feeds included.
    :raises NotFound: the pod or the log is gone, or part of the log was rotated away.
    :raises RequestRefused: code ``TooLarge``: it is longer than ``limit``; or the container has not started.
    :raises RemoteError: it cannot be read.
    """
    whole = _Whole(container, limit)
    loop = asyncio.get_running_loop()
    give_up_at, failures = loop.time() + settings.logs_outage_limit, 0
    while True:
        try:
            if await _read(pods, ref, container, whole):
                return whole.lines
        except (Unavailable, MalformedAnswer):
            if loop.time() >= give_up_at:
                raise
        except NotFound:
            whole.absences += 1
            if whole.absences > _GONE_RETRIES:
                raise
        failures += 1
        await asyncio.sleep(_RETRY.wait(failures))


async def _read(pods: PodsApi, ref: PodRef, container: str, whole: _Whole) -> bool:
    whole.begin()
    async with pods.log(ref.name, container, follow=False, silence=_SILENCE, since=whole.cursor.since) as stream:
        while chunk := await stream.chunk():
            whole.take(chunk)
        return whole.end()


class _Whole:
    def __init__(self, container: str, limit: int) -> None:
        self.lines: list[str] = []
        self.cursor = LogCursor()
        self.absences = 0
        self._container, self._limit, self._left = container, limit, limit
        self._tail: tuple[int, int] | None = None
        self.begin()

    def begin(self) -> None:
        self._text, self._place = PodLogText(self._limit), Resumption(self.cursor)
        self._stamp: int | None = None

    def take(self, chunk: bytes) -> None:
        for line in self._text.feed(chunk):
            self._add(line)
        if self._text.open_bytes > self._limit + 64:  # a line that has no end: not read further
            raise self._too_large()

    def end(self) -> bool:
        """Whether that was all: a last line without a line feed may be cut, and is believed when it comes twice."""
        rest = self._text.rest()
        if rest is not None:
            if rest.stamp is not None and self._tail != (rest.stamp, rest.size):
                self._tail = (rest.stamp, rest.size)
                return False
            if rest.may_be_cut_stamp:
                return False
            self._add(rest)
        if not self._place.found:
            raise self._rotated()
        return True

    def _add(self, line: TextLine) -> None:
        if line.is_gone:
            raise NotFound(f"The log of container {self._container} is gone", service="kubernetes", code="NotFound")
        if line.stamp is not None:
            self._stamp = line.stamp
        if self._stamp is None:
            words = line.head[:500].decode("utf-8", "replace")
            raise MalformedAnswer(
                f"In place of the log of container {self._container} came: {words}", service="kubernetes"
            )
        fate = self._place.take(self._stamp)  # a line without a stamp goes on with the line before
        if fate is Fate.GAP:
            raise self._rotated()
        if fate is Fate.NEW:
            self.cursor = self._place.cursor
            self._left -= line.size + 1
            if self._left < 0:
                raise self._too_large()
            self.lines.append(line.head.decode("utf-8", "replace"))

    def _too_large(self) -> RemoteError:
        return RequestRefused(
            f"The log of container {self._container} is longer than {self._limit:,} bytes",
            service="kubernetes",
            code="TooLarge",
        )

    def _rotated(self) -> RemoteError:
        return NotFound(
            f"Part of the log of container {self._container} was rotated away before it was read",
            service="kubernetes",
            code="Rotated",
        )
