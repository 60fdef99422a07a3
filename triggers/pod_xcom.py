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
from asyncrun.model.pod_xcom import SIDECAR_NAME, Handed, HandedKind, XComUnusable, handed_over, value_of
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.whole import read_whole
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.watch.news import Deleted, Seen

# s beyond the pod's grace: the sidecar is told to end once the base container has, and its end must be seen.
_PATIENCE = 60.0
_GRACE = 30
_BASE64 = 4 / 3
_MARKERS = 4096  # bytes of the log beside the value


class PodXCom:
    """
    The XCom of one pod.

    :param say: writes a line of ours (level, message) into the task log.
    """

    def __init__(self, watch: PodWatch, settings: Settings, say: Callable[[str, str], None]) -> None:
        self._watch, self._settings, self._say = watch, settings, say
        self._told_to_end = False
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
        if not succeeded and outcome.decided_by != self._watch.base:
            return outcome  # the base container never ran to an end: there is nothing to wait for
        try:
            value = await self._value(access, await self._handed(access, subscription))
        except XComUnusable as error:
            return self._failed(outcome, str(error)) if succeeded else outcome
        except RemoteError as error:
            self.error = error
            text = f"The XCom of container {self._watch.base!r} could not be read: {error}"
            return self._failed(outcome, text) if succeeded else outcome
        self.result = None if value is None else json.dumps(value)
        return outcome

    def _failed(self, outcome: Outcome, why: str) -> Outcome:
        return msgspec.structs.replace(outcome, verdict=Verdict.FAILED, stop_cause=StopCause.RESULT, our_reason=why)

    async def _handed(self, access: KubeAccess, subscription: Subscription[Pod]) -> Handed:
        loop = asyncio.get_running_loop()
        give_up_at: float | None = None
        while True:
            latest = subscription.latest
            if isinstance(latest, Seen | Deleted):
                handed = handed_over(latest.state, self._watch.base)
                if handed is not None:
                    return handed
                give_up_at = give_up_at or loop.time() + self._patience(latest.state)
                await self._let_it_end(access, latest.state)
            if subscription.feed.final or give_up_at is None or loop.time() >= give_up_at:
                return Handed(kind=HandedKind.MISSING, why="its end was not seen in time")
            await subscription.news(give_up_at - loop.time())

    async def _let_it_end(self, access: KubeAccess, pod: Pod) -> None:
        """Kubernetes ends native sidecars only after all main containers have ended: those that go on are told to."""
        if self._told_to_end or not (others := holds_up(pod, self._watch.base)):
            return
        self._told_to_end = True
        names = ", ".join(others)
        self._say(
            "info", f"The base container has ended, and the XCom can be had once {names} has, too: ending the pod"
        )
        ref = self._watch.ref
        await end_others(access.pods(ref.namespace), ref, say=partial(self._say, "warning"))

    def _patience(self, pod: Pod) -> float:
        return (pod.spec.termination_grace_period_seconds or _GRACE) + _PATIENCE

    async def _value(self, access: KubeAccess, handed: Handed) -> object:
        if handed.is_odd:
            self._say("warning", f"Container {self._watch.base!r} left no XCom: {handed.why}")
        lines: list[str] = []
        if handed.kind is HandedKind.IN_LOG:
            limit = int(handed.length * _BASE64 * 1.1) + _MARKERS
            lines = await read_whole(
                access.pods(self._watch.ref.namespace), self._watch.ref, SIDECAR_NAME, limit=limit,
                settings=self._settings,
            )  # fmt: skip
        return value_of(handed, container=self._watch.base, lines=lines)
