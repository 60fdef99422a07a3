"""What the API server sends for as long as it is listened to: watches and logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from asyncrun.clients.kube_api import WatchLine
from asyncrun.clients.kube_calls import Answer, KubeCalls, Request
from asyncrun.clients.kube_faults import malformed
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import MalformedAnswer, Unavailable

T = TypeVar("T")

LINES_AT_ONCE = 500
"""Lines of a watch that are handed over together: decoding them is one step of the event loop."""
LONGEST_LINE = 16 * 2**20
"""Bytes of a watch's line: etcd keeps objects of at most 1.5 MiB."""


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    uid: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct, frozen=True):
    metadata: _Meta | None = None


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


_event = msgspec.json.Decoder(_Event).decode
_object = msgspec.json.Decoder(_Object).decode


class LineSplitter:
    """
    Lines from bytes that come in any portions: one may cut a line, or carry many.

    Each byte is looked at once, however many portions a long line comes in.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.unfinished = 0

    def feed(self, portion: bytes) -> list[bytes]:
        """The lines that this portion completes, without their ends."""
        first, *others = portion.split(b"\n")
        self._parts.append(first)
        self.unfinished += len(first)
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self.unfinished = [others[-1]], len(others[-1])
        return lines

    def rest(self) -> bytes:
        """The line that has not ended yet."""
        return b"".join(self._parts)


class Watching:
    """``WatchStream`` over an answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._splitter = LineSplitter()
        self._lines: deque[bytes] = deque()

    async def lines(self) -> list[WatchLine]:
        """See ``WatchStream``."""
        while not self._lines:
            portion = await self._answer.some()
            if not portion:
                return self._last()
            self._lines.extend(line for line in self._splitter.feed(portion) if line.strip())
            if not self._lines and self._splitter.unfinished > LONGEST_LINE:
                raise malformed(self._answer.call, f"a line is longer than {LONGEST_LINE} bytes")
        ready: list[WatchLine] = []
        while self._lines and len(ready) < LINES_AT_ONCE:
            try:
                ready.append(watch_line(self._lines[0], self._answer.call))
            except MalformedAnswer:
                if not ready:
                    raise
                break  # those before it count; the next call raises
            self._lines.popleft()
        return ready

    def _last(self) -> list[WatchLine]:
        """At the end: what is left is a cut line, unless it is whole."""
        rest = self._splitter.rest()
        self._splitter = LineSplitter()
        if not rest.strip():
            return []
        try:
            msgspec.json.decode(rest, type=msgspec.Raw)
        except msgspec.MsgspecError:
            raise Unavailable(
                f"{self._answer.call.api} broke off within a line when it was asked to {self._answer.call.text}.",
                service="kubernetes",
                operation=self._answer.call.operation,
            ) from None
        return [watch_line(rest, self._answer.call)]


def watch_line(line: bytes, call: KubeCall) -> WatchLine:
    """
    One line of a watch.

    :param call: for the message.
    :raises MalformedAnswer: it is none.
    """
    try:
        event = _event(line)
        meta = _object(event.object).metadata or _Meta()
    except msgspec.MsgspecError as error:
        raise malformed(call, str(error)) from None
    return WatchLine(event.type, meta.uid, meta.resource_version, event.object)


class Following:
    """``LogStream`` over an answer."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def chunk(self) -> Awaitable[bytes]:
        """See ``LogStream``."""
        return self._answer.some()


class Listening(Generic[T]):
    """
    The block in which an answer is listened to: a request when it begins, the end of its answer when it ends.

    A thousand are open at the same time: a generator in place of this class would cost each of them 0.5 KiB.

    :param make: what the answer is read by.
    """

    __slots__ = ("_answer", "_calls", "_make", "_request")

    def __init__(self, calls: KubeCalls, request: Request, make: Callable[[Answer], T]) -> None:
        self._calls, self._make = calls, make
        self._request: Request | None = request
        self._answer: Answer | None = None

    async def __aenter__(self) -> T:
        request, self._request = self._request, None
        if request is None:
            raise RuntimeError("a stream is opened once")
        self._answer = answer = await self._calls.answer(request)
        return self._make(answer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.end()
