"""The ways in which a trigger stops its pod."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from asyncrun.clients.kube import open_kube
from asyncrun.clients.patience import for_a_stop, patiently
from asyncrun.launch.pod_finish import OnFinish
from asyncrun.launch.pod_stop import stop_pod
from asyncrun.model.errors import AccessDenied, RemoteError
from asyncrun.model.pod import Pod
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.settings import Settings

_KUBERNETES_GRACE = 30  # s; terminationGracePeriodSeconds where nobody says otherwise
_AFTER_GRACE = 60.0  # s; a kubelet reports the end of a pod some seconds after it


class PodStopping:
    """
    Stops one pod. Each way repeats the call until it is answered, for ``kill_grace``.

    :param say: writes a line of ours (level, message) into the task log.
    """

    __slots__ = ("_refusal_is_said", "_say", "_settings", "_watch")

    def __init__(self, watch: PodWatch, settings: Settings, say: Callable[[str, str], None]) -> None:
        self._watch, self._settings, self._say = watch, settings, say
        self._refusal_is_said = False

    async def delete(self, reason: str) -> None:
        """
        For a kill: whatever ``on_finish_action`` says, which is about ends.

        :raises RemoteError: it was refused, or nobody answered.
        """
        await self._stop(OnFinish.DELETE_POD, reason)

    async def at_deadline(self, reason: str) -> None:
        """
        Stop it, and leave as much of it as ``on_finish_action`` says.

        :raises RemoteError: it was refused, or nobody answered.
        """
        try:
            await self._stop(OnFinish(self._watch.on_finish_action), reason)
        except AccessDenied as error:  # said now: whoever may allow it can do so while it is tried again
            if not self._refusal_is_said:
                self._refusal_is_said = True
                self._say("error", f"Pod {self._watch.ref} could not be stopped, and may still be running: {error}")
            raise

    async def unstarted(self, pod: Pod | None) -> None:
        """
        Keep it from starting after all: its task has failed. A failure is said.

        :param pod: as it was seen last. What has no node has no log to be kept for, and is deleted.
        """
        has_node = pod is not None and bool(pod.spec.node_name)
        action = OnFinish(self._watch.on_finish_action) if has_node else OnFinish.DELETE_POD
        try:
            await self._stop(action, "it has not started in time")
        except RemoteError as error:
            self._say("error", f"Pod {self._watch.ref} could not be stopped, and may still start: {error}")

    def patience(self, pod: Pod | None) -> float:
        """
        How long the end of the pod is waited for after a stop, in seconds: its grace, and some more.

        :param pod: as it was seen last.
        """
        said = pod.spec.termination_grace_period_seconds if pod is not None else None
        grace = self._watch.grace_seconds if self._watch.grace_seconds is not None else said
        return (_KUBERNETES_GRACE if grace is None else grace) + _AFTER_GRACE

    async def _stop(self, action: OnFinish, reason: str) -> None:
        watch = self._watch

        async def call() -> None:
            async with open_kube(watch.target, self._settings) as access:
                stop = partial(stop_pod, access.pods(watch.ref.namespace), watch.ref, action, watch.grace_seconds)
                try:
                    await stop()
                except AccessDenied:
                    await access.renew()  # rotated since the last look-up, perhaps
                    await stop()

        await patiently(call, partial(self._say, "warning"), for_a_stop(self._settings.kill_grace))
        self._say("info", f"Stopping pod {watch.ref}: {reason}")
