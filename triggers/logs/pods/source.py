"""The log of one pod: its chosen containers, in Airflow's task log."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Collection, Sequence

from asyncrun.clients.kube_api import PodsApi
from asyncrun.model.pod import Pod
from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.drain import End, PodDrainRule
from asyncrun.triggers.logs.pods.follower import ContainerFollower
from asyncrun.triggers.logs.pods.nodes import is_lost
from asyncrun.triggers.logs.pods.slots import follow_slots
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.logs.source import Drained
from asyncrun.triggers.wakeup import Wakeup

_logger = logging.getLogger(__name__)

_STEP_WAIT = 0.02  # s
_STEP_LIMIT = 10.0  # s; for some lines: what cannot be exact is better than what does not come
# For a node that is known to be lost, or does not answer about a pod that has ended: it is hardly back within
# logs_drain_limit, and what a kubelet's restart takes has room in it.
_DEAD_NODE_LIMIT = 15.0  # s
_NOBODY: frozenset[str] = frozenset()  # each call makes one of 216 bytes


class PodLog:
    """
    The log source of one run: reads the containers' logs into its ``RunLog``, each by a task of its own.

    Nothing here fails a run: what cannot be read is said in the task log. Belongs to one event loop; ends with
    ``close``.

    :param containers: the chosen ones, in the pod's order.
    :param say: writes a line of ours (level, message) into the run's own task log.
    """

    __slots__ = (
        "_asked",
        "_broken",
        "_changed",
        "_closed",
        "_endless",
        "_followers",
        "_pod",
        "_rule",
        "_said",
        "_say",
        "_tasks",
        "pods",
        "ref",
        "run_log",
        "settings",
        "slots",
    )

    def __init__(
        self,
        pods: PodsApi,
        ref: PodRef,
        containers: Sequence[str],
        run_log: RunLog,
        say: Callable[[str, str], None],
        settings: Settings,
    ) -> None:
        self.pods, self.ref, self.run_log, self.settings = pods, ref, run_log, settings
        self.slots = follow_slots()
        self._say = say
        self._said: frozenset[str] = _NOBODY  # these are empty nearly always
        self._changed = Wakeup()
        self._rule: PodDrainRule | None = None
        self._followers = {name: ContainerFollower(self, name) for name in containers}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._broken: frozenset[str] = _NOBODY
        self._closed = False
        self._endless: frozenset[str] = _NOBODY
        self._asked: frozenset[str] = _NOBODY
        self._pod: Pod | None = None

    def look(self, pod: Pod) -> None:
        """Take a state of the pod. Those of another uid are left out."""
        if pod.uid != self.ref.uid or self._closed:
            return
        was_final, self._pod = self._pod is not None and self._pod.is_final, pod
        if pod.is_final and not was_final and self._rule is not None:
            self._rule.node_answered()  # mostly it is its kubelet that says so, and has just been restarted
        for name, follower in self._followers.items():
            follower.look(pod)
            if name not in self._tasks and follower.instances.next() is not None:
                self._start(name, follower)

    async def drain(self, *, endless: Collection[str] = ()) -> Drained:
        """
        Read on until the log of every chosen container is complete, and say what is missing.

        :param endless: containers that go on though the run has ended: their end is not waited for.

        It takes at most about ``logs_drain_limit`` while the API server answers, and ``logs_outage_limit`` more while
        it does not, or our own call budget keeps requests waiting; longer while new lines of containers that have
        ended come, and shorter where the node does not answer.
        """
        began, self._endless = _now(), frozenset(endless) or _NOBODY
        limit, patience = self.settings.logs_drain_limit, self.settings.logs_outage_limit
        self._rule = PodDrainRule(began, limit=limit, patience=patience, asked=self._asked)
        while True:
            if self._pod is not None and is_lost(self._pod):
                self._rule.node_lost(_now(), limit=min(limit, _DEAD_NODE_LIMIT))
            decision = self._rule.decide(_now(), complete=all(map(self._is_through, self._followers)))
            if decision.end is not None:
                drained = self._drained(decision.end, _now() - began)
                for name in self._endless & self._followers.keys():
                    self._say("info", f"Container {name} goes on, and its log is not followed any further")
                await self.close()
                return drained
            await self._changed.wait(decision.wait)

    async def close(self) -> None:
        """Stop reading at once. Harmless when repeated."""
        self._closed = True
        tasks = [task for task in self._tasks.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._followers, self._tasks = {}, {}  # which refer to us: such cycles only the garbage collector would free

    def say_once(self, level: str, message: str) -> None:
        """For followers: containers of one pod may have the same to say."""
        if message not in self._said:
            self._said |= {message}
            self._say(level, message)

    def asked(self, container: str) -> None:
        """For followers."""
        self._asked |= {container}
        if self._rule is not None:
            self._rule.asked(_now(), container)

    def answered(self, container: str) -> None:
        """For followers."""
        self._asked = (self._asked - {container}) or _NOBODY
        if self._rule is not None and self._rule.answered(_now(), container):
            self._changed.set()

    def opened(self, container: str) -> None:
        """For followers."""
        self.answered(container)
        if self._rule is not None and self._rule.node_answered():
            self._changed.set()

    def node_failed(self, container: str) -> None:
        """For followers."""
        self._asked = (self._asked - {container}) or _NOBODY
        if self._rule is not None:
            limit = self.settings.logs_drain_limit
            if self._pod is not None and self._pod.is_final:
                limit = min(limit, _DEAD_NODE_LIMIT)
            self._rule.node_failed(_now(), container, limit=limit)
            self._changed.set()

    def progress(self) -> None:
        """For followers."""
        if self._rule is not None:
            self._rule.progress(_now())

    def changed(self) -> None:
        """For followers."""
        self._changed.set()

    async def in_step(self, container: str, time_ms: int) -> None:
        """
        For followers: wait until no other container is read at an earlier time than that.

        Airflow's reader merges the files of two triggerers in step: where one wrote the containers live and the other
        one after the other, it shows lines twice (some 2,500 records apart: facts on Airflow's logs).
        """
        others = [one for name, one in self._followers.items() if name != container]
        give_up_at = _now() + _STEP_LIMIT
        # Time passing is one of the reasons to go on, so there is no event to wait for.
        while any(one.is_behind(time_ms) for one in others) and _now() < give_up_at:  # noqa: ASYNC110
            await asyncio.sleep(_STEP_WAIT)

    def _start(self, name: str, follower: ContainerFollower) -> None:
        # An empty context: what it logs must not land in the task log of the trigger.
        task = asyncio.get_running_loop().create_task(
            follower.run(), name=f"asyncrun-pod-log-{self.ref}-{name}", context=contextvars.Context()
        )
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("Reading the log of %s of %s failed: a defect of asyncrun", name, self.ref, exc_info=error)
            self.say_once(
                "error", f"A defect of asyncrun while reading this log ({type(error).__name__}): it may be incomplete"
            )
            self._broken |= {name}
        self._changed.set()

    def _is_through(self, name: str) -> bool:
        follower = self._followers[name]
        if name in self._endless and not follower.instances.over:
            return True
        return follower.instances.next() is None or not follower.readable or name in self._broken

    def _drained(self, end: End, waited: float) -> Drained:
        followers = self._followers.items()
        unreadable = tuple(name for name, one in followers if not one.readable or name in self._broken)
        silent = tuple(name for name, one in followers if not one.instances.ever_ran)
        if end is not End.COMPLETE:
            for name in self._followers:
                if not self._is_through(name):
                    why = self._why(name, end, waited)
                    self._say("warning", f"The log of container {name} may be incomplete here: {why}")
        missed = any(one.missed for _, one in followers)
        return Drained(end is End.COMPLETE and not unreadable and not missed, silent, unreadable, waited)

    def _why(self, name: str, end: End, waited: float) -> str:
        full = f"kubectl logs -n {self.ref.namespace} {self.ref.name} -c {name} --timestamps"
        if end is End.UNANSWERED:
            reason = f"for {waited:.0f} s after the end the API server did not answer"
        elif end is End.NODE:
            reason = f"{waited:.0f} s after the end its node still does not answer"
        elif self._followers[name].instances.over or not self._followers[name].instances.running:
            reason = f"{waited:.0f} s after the end it was not read to its end"
        else:
            reason = f"it was still running {waited:.0f} s after the end of the run"
        return f"{reason}. The full log, while the pod is there: {full}"


def _now() -> float:
    return asyncio.get_running_loop().time()
