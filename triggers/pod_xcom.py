"""What a pod left as its XCom, from the sidecar's termination message or its log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial

import msgspec

from asyncrun.clients.kube_api import KubeAccess
from asyncrun.launch.pod_finish import end_others, holds_up
from asyncrun.model.errors import RemoteError
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.pod import Pod
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.pod_xcom import SIDECAR_NAME, Handed, HandedKind, XComMissing, XComUnusable, handed_over, value_of
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.whole import read_whole
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.watch.news import Deleted, Seen

# s beyond the pod's grace: the sidecar is told to end once the base container has, and its end must be seen.
_PATIENCE = 60.0
_GRACE = 30
_LOOK_AGAIN = 5.0  # s
_BASE64 = 4 / 3
_LARGE = 1 << 16  # bytes; longer JSON is read and written in a thread: some ms for each 100 KiB
_MARKERS = 4096  # bytes of the log beside the value


class PodXCom:
    """
    The XCom of one pod.

    :param say: writes a line of ours (level, message) into the task log.
    """

    def __init__(self, watch: PodWatch, settings: Settings, say: Callable[[str, str], None]) -> None:
        self._watch, self._settings, self._say = watch, settings, say
        self._told_to_end = False
        self._said: set[str] = set()
        self.result: str | None = None
        """As JSON; None where there is none."""
        self.error: RemoteError | None = None
        """For which it could not be read."""

    async def collect(self, access: KubeAccess, subscription: Subscription[Pod], outcome: Outcome) -> Outcome:
        """
        Wait for it, and read it.

        :return: the outcome, which is a failure where a container that succeeded left an XCom that cannot be used.
        """
        if not self._watch.wants_xcom:
            return outcome
        succeeded = outcome.verdict is Verdict.SUCCEEDED
        if not _has_ended(subscription, self._watch.base):
            return outcome  # it never came so far: there is nothing to wait for
        try:
            self.result = await self._read(access, await self._handed(access, subscription))
        except XComUnusable as error:
            return self._failed(outcome, str(error)) if succeeded else outcome
        except RemoteError as error:
            self.error = error
            text = f"The XCom of container {self._watch.base!r} could not be read: {error}"
            return self._failed(outcome, text) if succeeded else outcome
        return outcome

    def _failed(self, outcome: Outcome, why: str) -> Outcome:
        return msgspec.structs.replace(outcome, verdict=Verdict.FAILED, stop_cause=StopCause.RESULT, our_reason=why)

    async def _handed(self, access: KubeAccess, subscription: Subscription[Pod]) -> Handed:
        """
        :raises XComMissing: the sidecar's end was not seen in time.
        """
        loop = asyncio.get_running_loop()
        patience, outage = self._patience(subscription), self._settings.logs_outage_limit
        while True:
            latest = subscription.latest
            if isinstance(latest, Seen | Deleted):
                handed = handed_over(latest.state, self._watch.base)
                if handed is not None:
                    return handed
                await self._let_it_end(access, latest.state)
            if subscription.feed.final or patience <= 0 or outage <= 0:
                raise XComMissing(
                    f"The XCom of container {self._watch.base!r} is not known: the end of container {SIDECAR_NAME!r}, "
                    "which hands it over, was not seen in time"
                )
            began = loop.time()
            await subscription.news(min(patience, _LOOK_AGAIN))
            if subscription.trouble is None:
                patience -= loop.time() - began
            else:  # nobody could have seen it
                outage -= loop.time() - began

    async def _let_it_end(self, access: KubeAccess, pod: Pod) -> None:
        """Kubernetes ends native sidecars only after all main containers have ended: those that go on are told to."""
        if self._told_to_end or not (others := holds_up(pod, self._watch.base)):
            return
        names, ref = ", ".join(others), self._watch.ref
        self._say_once(f"The base container has ended. Its XCom can be had once {names} has, too: ending the pod")
        self._told_to_end = await end_others(access.pods(ref.namespace), ref, say=partial(self._say, "warning"))

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say("info", text)

    def _patience(self, subscription: Subscription[Pod]) -> float:
        latest = subscription.latest
        grace = latest.state.spec.termination_grace_period_seconds if isinstance(latest, Seen | Deleted) else None
        return (_GRACE if grace is None else grace) + _PATIENCE

    async def _read(self, access: KubeAccess, handed: Handed) -> str | None:
        if handed.is_odd:
            self._say("warning", f"Container {self._watch.base!r} left no XCom: {handed.why}")
        lines: list[str] = []
        if handed.kind is HandedKind.IN_LOG:
            limit = int(handed.length * _BASE64 * 1.1) + _MARKERS
            lines = await read_whole(
                access.pods(self._watch.ref.namespace), self._watch.ref, SIDECAR_NAME, limit=limit,
                settings=self._settings,
            )  # fmt: skip
        if handed.length > _LARGE:
            return await asyncio.to_thread(_as_json, handed, self._watch.base, lines)
        return _as_json(handed, self._watch.base, lines)


def _as_json(handed: Handed, container: str, lines: list[str]) -> str | None:
    """The value, checked; None where there is none, or it is null."""
    value = value_of(handed, container=container, lines=lines)
    return None if value is None else json.dumps(value)


def _has_ended(subscription: Subscription[Pod], base: str) -> bool:
    latest = subscription.latest
    status = latest.state.status_of(base) if isinstance(latest, Seen | Deleted) else None
    return status is not None and status.state.terminated is not None
