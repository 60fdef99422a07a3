"""The whole log of a container that has ended, read at once: what the XCom sidecar wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from asyncrun.clients.kube_api import PodsApi
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import MalformedAnswer, NotFound, RemoteError, RequestRefused, Unavailable
from asyncrun.model.logs import LogLine
from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.instances import Instance
from asyncrun.triggers.logs.pods.intake import Intake, Request, Trouble
from asyncrun.triggers.logs.text import size_of

_RETRY = Backoff(first=0.5, longest=10.0)
_SILENCE = 40.0  # s; the API server waits 30 for a dead node
_GONE_RETRIES = 3  # containerd or the kubelet may just be starting
_FINAL = Request(follow=False, previous=False, final=True)


async def read_whole(pods: PodsApi, ref: PodRef, container: str, *, limit: int, settings: Settings) -> list[str]:
    """
    All lines of an ended container's log, without their stamps; what is not UTF-8 becomes U+FFFD.

    Where the connection breaks it goes on from there. It comes to the same end twice before it is believed, and
    ``logs_outage_limit`` bounds it all.

    :param limit: bytes in all, line feeds included.
    :raises NotFound: the pod or the log is gone, or part of the log was rotated away.
    :raises RequestRefused: code ``TooLarge``: it is longer than ``limit``; or the container has not started.
    :raises RemoteError: it cannot be read.
    """
    whole = _Whole(container, limit)
    loop = asyncio.get_running_loop()
    give_up_at, attempts, absences = loop.time() + settings.logs_outage_limit, 0, 0
    while True:
        try:
            if await whole.read(pods, ref):
                return whole.lines
            error: RemoteError = Unavailable(
                f"The log of container {container} does not come to the same end twice", service="kubernetes"
            )
        except (Unavailable, MalformedAnswer, NotFound) as failure:
            error = failure
            absences += isinstance(failure, NotFound)
        if loop.time() >= give_up_at or absences > _GONE_RETRIES:
            raise error
        attempts += 1
        if attempts > 1:  # the second request is the rule
            await asyncio.sleep(_RETRY.wait(attempts - 1))


class _Whole:
    def __init__(self, container: str, limit: int) -> None:
        self.lines: list[str] = []
        self._instance = Instance(container, ended=True)
        self._container, self._limit, self._left = container, limit, limit

    async def read(self, pods: PodsApi, ref: PodRef) -> bool:
        """:return: whether that was all."""
        intake, since = Intake(self._instance, None, self._container, self._limit), self._instance.cursor.since
        async with pods.log(ref.name, self._container, follow=False, silence=_SILENCE, since=since) as stream:
            while intake.trouble is None and (chunk := await stream.chunk()):
                self._take(intake, intake.lines(chunk))
                if intake.open_bytes > self._limit + 64:  # a line that has no end: not read further
                    raise self._refusal(f"is longer than {self._limit:,} bytes", RequestRefused, "TooLarge")
            if intake.trouble is None:
                self._take(intake, intake.last_lines(_FINAL))
        return self._is_over(intake)

    def _take(self, intake: Intake, lines: Iterator[LogLine]) -> None:
        for line in lines:
            if intake.lost:
                raise self._refusal("is incomplete: its node rotated a part of it away", NotFound, "Rotated")
            self._left -= size_of(line.text) + 1
            if self._left < 0:
                raise self._refusal(f"is longer than {self._limit:,} bytes", RequestRefused, "TooLarge")
            self.lines.append(line.text)

    def _is_over(self, intake: Intake) -> bool:
        if intake.trouble is Trouble.GONE:
            raise self._refusal("is gone", NotFound, "NotFound")
        if intake.trouble is Trouble.WORDS:
            words = " ".join(intake.words)
            raise MalformedAnswer(
                f"In place of the log of container {self._container} came: {words}", service="kubernetes"
            )
        self._instance.rotated = intake.trouble is Trouble.GAP  # it has one instance
        return intake.trouble is None

    def _refusal(self, what: str, kind: type[RemoteError], code: str) -> RemoteError:
        return kind(f"The log of container {self._container} {what}", service="kubernetes", code=code)
