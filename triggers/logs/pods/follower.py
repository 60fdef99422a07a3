"""Follows one container of one pod through all its instances, from its first line to its last."""

from __future__ import annotations

import asyncio

from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import AccessDenied, CredentialsExpired, NotFound, RemoteError, RequestRefused
from asyncrun.model.log_cursor import LogCursor
from asyncrun.model.pod import Pod
from asyncrun.triggers.logs.pods.instances import Instance, Instances
from asyncrun.triggers.logs.pods.intake import Request, Trouble
from asyncrun.triggers.logs.pods.nodes import is_of_node, is_without_node
from asyncrun.triggers.logs.pods.reading import Answer, Host, Reader
from asyncrun.triggers.logs.pods.slots import Slot
from asyncrun.triggers.wakeup import Wakeup, is_due

_RETRY = Backoff(first=1.0, longest=20.0)
_NODE_RETRY = Backoff(first=1.0, longest=4.0)  # once the container has ended: the run's end does not wait long for it
_DENIED_RETRY = 60.0  # s
_SAY_AFTER = 3  # failures in a row
# The kubelet answers by what it knows, and tells the API server some moments later.
_STATUS_LAG = 1.0  # s
# Looks, until no restart is believed in. A kubelet with many pods tells of one seconds later, and its log would be read
# twice.
_RESTART_LOOKS = 5
_END_LAG = 2.5  # s; between the end of a follow and the status that says why (a3, a4: 2 s at most, in either order)
_REFUSALS = 3  # in a row, until a log is believed to be gone: containerd or the kubelet may just be starting
_WAITING_POLL = 5.0  # s


class ContainerFollower:
    """
    Reads one container's log into the run's ``RunLog``: each line once, in order.

    A connection that ends does not mean that the container ended: only the pod's status says so. An instance's log was
    read to its end when a request that was made after its end was known was answered to its end.

    :param container: its name.
    """

    __slots__ = (
        "_container",
        "_failures",
        "_host",
        "_idle",
        "_is_stale",
        "_may_restart",
        "_news",
        "_reader",
        "_settings",
        "_slot",
        "instances",
        "missed",
        "readable",
    )

    def __init__(self, host: Host, container: str) -> None:
        self._host, self._container, self._settings = host, container, host.settings
        self.instances = Instances(container)
        self.readable = True
        self.missed = False
        self._reader = Reader(host, container)
        self._news = Wakeup()
        self._slot: Slot | None = None
        self._failures = self._idle = 0
        self._may_restart = True
        self._is_stale = False  # what was told of the pod may be older than what the next request brings

    def look(self, pod: Pod) -> None:
        """Take a state of the pod."""
        self._may_restart = pod.may_restart(self._container)
        if not self.instances.look(pod):
            return
        self._is_stale = False
        self._news.set()
        self._host.changed()
        instance = self.instances.next()
        if instance is not None and instance.ended:
            self._failures = 0  # how it went before says little, and the end of the run waits for this
            self._reader.end_soon()

    def is_behind(self, time_ms: int) -> bool:
        """Whether lines are being read that are older than that, or will be in a moment."""
        if self._reader.is_busy:
            return self._reader.at_ms < time_ms
        return not self._reader.has_begun and self.instances.next() is not None

    async def run(self) -> None:
        """Read until there is nothing left to read. Cancelled by the run when it has had enough."""
        try:
            while not self.instances.done:
                instance = self.instances.next()
                if instance is None:
                    self._leave()
                    await self._news.wait()
                else:
                    await self._read_on(instance)
        finally:
            self._leave()
            self._reader.end()
            self._host.answered(self._container)
            self._host.changed()

    async def _read_on(self, instance: Instance) -> None:
        age = self.instances.age(instance)
        if self.instances.gone:
            self._miss(instance, "the pod was deleted before it was read to its end")
        elif age > 1:
            self._miss(instance, "it was restarted so often that the kubelet no longer keeps it")
        elif age == 0 and not await self._is_present(instance):
            return
        elif instance.ended:
            await self._request(instance, Request(follow=False, previous=age == 1, final=True))
        elif self._may_follow():
            await self._request(instance, Request(follow=True, previous=False, final=False))
        else:
            await self._take_turn(instance)

    async def _is_present(self, instance: Instance) -> bool:
        """
        Whether the present log is this instance's, as far as that must be asked.

        With a line of it the answer itself shows that. Without one, what a later connection brings may be the next
        instance's, and its lines would be shown before those that it was opened for. Mostly the run has been told of
        that before, so it is asked only where the run may have been told nothing, or not yet.
        """
        if not self._is_stale or not self._may_restart or instance.cursor.stamp is not None or self.instances.over:
            return True
        return await self._ask() is not None and self.instances.age(instance) == 0

    def _may_follow(self) -> bool:
        if self._slot is None:
            self._slot = self._host.slots.ask(self._settings.pod_log_follows, self._news.set)
        if not self._slot.granted:
            self._host.say_once(
                "info",
                f"More than [asyncrun] pod_log_follows = {self._settings.pod_log_follows:,} containers run: for now "
                "this log is read in turns with others, so its lines come some seconds later",
            )
        return self._slot.granted

    async def _take_turn(self, instance: Instance) -> None:
        async with self._host.slots.turns:
            if instance.ended or (self._slot is not None and self._slot.granted):
                return
            request = Request(follow=False, previous=False, final=False)
            answer = await self._reader.read(instance, self.instances.before(instance), request)
        await self._conclude(instance, answer)
        self._idle = 0 if answer.new else self._idle + 1
        pace = Backoff(first=self._settings.logs_poll_interval, longest=self._settings.logs_poll_idle)
        await self._news.wait(pace.wait(self._idle + 1))

    async def _request(self, instance: Instance, request: Request) -> None:
        await self._conclude(instance, await self._reader.read(instance, self.instances.before(instance), request))

    async def _conclude(self, instance: Instance, answer: Answer) -> None:
        request = answer.request
        self.missed = self.missed or answer.lost
        is_refused = answer.trouble in (Trouble.GONE, Trouble.WORDS)
        if answer.opened and not is_refused:
            # No failure: lines must not come late where connections are cut often. The log budget is the brake.
            self._failures, instance.refusals = 0 if answer.new else min(self._failures, 1), 0
        if answer.error is not None:
            await self._recover(instance, answer.error, opened=answer.opened)
            return
        self.readable = True
        if answer.trouble is Trouble.GAP:
            await self._verify(instance, previous=request.previous)
        elif answer.trouble is Trouble.GONE:
            await self._refused(instance, "the kubelet no longer has it")
        elif answer.trouble is Trouble.WORDS:
            await self._refused(instance, f"in place of it came: {answer.words}")
        else:
            await self._ended(instance, answer)

    async def _ended(self, instance: Instance, answer: Answer) -> None:
        """The connection ended by itself, or was given up."""
        clean = answer.whole or answer.trouble is Trouble.UNSURE
        if answer.request.final:
            instance.closed = instance.closed or clean
            if answer.whole:
                self._complete(instance)
        elif answer.request.follow:
            instance.closed = instance.ended and clean
            await self._status_of(instance)
        elif answer.whole and not answer.new:
            # All that was written before it began has been read.
            self._reader.settle()

    async def _status_of(self, instance: Instance) -> None:
        """
        A follow ended by itself: mostly because the container has, which the status tells within about 2 s. Where it
        does not, it was something else (a kubelet's restart), and the following goes on.

        A container that may be restarted is not waited for: its next instance's log would soon take the place of this
        one's, whose end has still to be read a second time.
        """
        if self._may_restart:
            self._is_stale = not await self._news.wait(self._pause())
            return
        await self._until_ended(instance, max(_END_LAG, self._pause()))

    async def _until_ended(self, instance: Instance, seconds: float) -> None:
        """Wait until it is known to have ended, for that long at most."""
        give_up_at = _now() + seconds
        while not instance.ended and not is_due(give_up_at):
            await self._news.wait(give_up_at - _now())

    def _complete(self, instance: Instance) -> None:
        instance.read = True
        self._failures = 0
        self._reader.settle()  # what has ended writes no more, and a restart takes longer than a slot
        self._host.changed()

    async def _recover(self, instance: Instance, error: RemoteError, *, opened: bool) -> None:
        if isinstance(error, AccessDenied) and not isinstance(error, CredentialsExpired):
            await self._denied(error)
        elif isinstance(error, NotFound):
            self._host.answered(self._container)
            # Its node may be gone, or its kubelet just have been restarted (trace r): then a clean end was no end.
            instance.closed = instance.closed and is_without_node(error)
            if is_without_node(error) or await self._ask() is not None:
                await self._refused(instance, f"the API server says: {error.said or error}")
        elif isinstance(error, RequestRefused):
            if instance.ended:
                await self._refused(instance, f"the API server says: {error.said or error}")
            else:
                self._host.answered(self._container)
                await self._news.wait(_WAITING_POLL)  # it waits to start
        else:
            instance.end, instance.rotated = None, False  # to come twice is to come twice in a row
            instance.closed = instance.closed and not is_of_node(error)  # it was the kubelet's end
            self._is_stale = self._is_stale or not opened
            await self._outage(error, instance)

    async def _denied(self, error: AccessDenied) -> None:
        self._host.answered(self._container)
        self.readable = False
        self._host.say_once(
            "warning",
            "The log of this pod cannot be read, and the run goes on without it. Reading takes the permission to get "
            f"pods/log in namespace {self._host.ref.namespace}: {error}",
        )
        self._host.changed()
        await asyncio.sleep(_DENIED_RETRY)

    async def _outage(self, error: RemoteError, instance: Instance | None = None) -> None:
        """
        :param instance: whose end is worth another request at once: then its log is read, and the run is over.
        """
        pause, why = self._pause(), ""
        if is_of_node(error):
            self._host.node_failed(self._container)
            why = " since its node does not answer"
            if instance is not None and instance.ended:
                pause = _NODE_RETRY.wait(self._failures)
        if self._failures == _SAY_AFTER:
            said = f"The log of this pod cannot be read now{why}; asyncrun goes on trying: {error}"
            self._host.say_once("info", said)
        await self._rest(instance, pause)

    async def _rest(self, instance: Instance | None, seconds: float) -> None:
        if instance is None or instance.ended:
            await asyncio.sleep(seconds)
        else:
            await self._until_ended(instance, seconds)

    async def _ask(self) -> Pod | None:
        """The pod as it is now; None: it is gone, or that cannot be known now."""
        ref = self._host.ref
        self._host.asked(self._container)
        try:
            pod = await self._host.pods.get(ref.name)
        except NotFound:
            self.instances.vanish()
            return None
        except RemoteError as error:
            await self._outage(error)
            return None
        self._is_stale = False
        self._host.answered(self._container)
        if pod.uid != ref.uid:
            self.instances.vanish()
            return None
        self.instances.look(pod)
        return pod

    async def _verify(self, instance: Instance, *, previous: bool) -> None:
        """The cursor's own line did not come again: was the log rotated, or is it another instance's?"""
        for _ in range(_RESTART_LOOKS if self._may_restart and not previous else 1):
            await asyncio.sleep(_STATUS_LAG)
            if await self._ask() is None or self.instances.age(instance) != (1 if previous else 0):
                return
        following = self.instances.after(instance)
        if following is None or following.cursor.stamp is not None:
            instance.rotated = True
            return
        try:
            first = await self._reader.first_stamp()
        except RemoteError as error:
            await self._outage(error)
            return
        if first == instance.cursor.first:  # what was read for it was the next one's
            following.cursor, instance.cursor = instance.cursor, LogCursor()
        else:
            instance.rotated = True

    async def _refused(self, instance: Instance, why: str) -> None:
        self._host.answered(self._container)
        if instance.ended:
            instance.refusals += 1
        if instance.ended and (instance.closed or instance.refusals >= _REFUSALS):
            self._miss(instance, why)
        else:
            await self._rest(instance, self._pause())

    def _miss(self, instance: Instance, why: str) -> None:
        """No more of it can be read. If a connection ended by itself after the container did, nothing is missing."""
        self._reader.give_up(instance)
        self._complete(instance)
        if instance.closed:
            return
        self.missed = True
        which = f"container {self._container}"
        if self.instances.age(instance):
            which = f"an earlier instance of {which}"
        self._host.say_once("warning", f"The log of {which} may be incomplete: {why}")

    def _pause(self) -> float:
        self._failures += 1
        return _RETRY.wait(self._failures)

    def _leave(self) -> None:
        if self._slot is not None:
            self._slot.close()
            self._slot = None


def _now() -> float:
    return asyncio.get_running_loop().time()
