"""Which instances of a container there were, as the pod's states tell: each restart has a container id of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from asyncrun.model.log_cursor import LogCursor
from asyncrun.model.pod import ContainerStatus, Pod
from asyncrun.model.pod_log_text import TextLine


class LogEnd(msgspec.Struct, frozen=True):
    """
    Where a connection came to a clean end.

    :param cursor: the instance's then.
    :param caught_up: whether all that was read before had come again.
    :param stamp: of the last line that came.
    :param rest: what came after the last line feed.
    """

    cursor: LogCursor
    caught_up: bool
    stamp: int | None
    rest: TextLine | None


@dataclass(slots=True, eq=False)
class Instance:
    """
    One instance of a container.

    :param ended: whether the pod's status says so; a closed connection does not.
    :param read: whether its log was read to its end, or as far as it will ever be.
    :param closed: whether a connection ended cleanly after the instance was known to have ended.
    :param rotated: whether it is known that a gap in it is due to rotation.
    :param end: where the last connection came to a clean end.
    :param ends: how many in a row came to that end.
    :param refusals: how often in a row its log was said not to be there.
    """

    container_id: str
    ended: bool = False
    read: bool = False
    cursor: LogCursor = field(default_factory=LogCursor)
    closed: bool = False
    rotated: bool = False
    end: LogEnd | None = None
    ends: int = 0
    refusals: int = 0

    def end_at(self, end: LogEnd) -> int:
        """A connection came to that end: how many in a row have now."""
        self.end, self.ends = end, self.ends + 1 if end == self.end else 1
        return self.ends


class Instances:
    """
    One container's instances that are of interest: the first one that was not read to its end, and what followed.

    :param container: its name.
    """

    __slots__ = ("_all", "_name", "gone", "over")

    def __init__(self, container: str) -> None:
        self._name = container
        self._all: list[Instance] = []
        self.over = False
        """Whether no further instance will come."""
        self.gone = False
        """Whether the pod is gone, so that no log of it can be read."""

    def look(self, pod: Pod) -> bool:
        """
        Take a state of the pod; an older one than the last does no harm.

        :return: whether it brought news.
        """
        before = self._facts()
        status = pod.status_of(self._name)
        if status is not None:
            self._look(status)
        if pod.is_final:
            self.end()
        return self._facts() != before

    def end(self) -> None:
        """No container of the pod runs any more, or will."""
        self.over = True
        for one in self._all:
            one.ended = True

    def vanish(self) -> None:
        """The pod is gone."""
        self.gone = True
        self.end()

    def next(self) -> Instance | None:
        """The instance to read: the first that was not read to its end."""
        return next((one for one in self._all if not one.read), None)

    def age(self, instance: Instance) -> int:
        """How many instances came after it."""
        return len(self._all) - 1 - self._all.index(instance)

    def before(self, instance: Instance) -> Instance | None:
        """The instance before it, None if that is not known."""
        index = self._all.index(instance)
        return self._all[index - 1] if index else None

    def after(self, instance: Instance) -> Instance | None:
        """The instance after it, None if there is none yet."""
        index = self._all.index(instance) + 1
        return self._all[index] if index < len(self._all) else None

    @property
    def done(self) -> bool:
        """Whether all was read, and nothing will come."""
        return self.over and self.next() is None

    @property
    def running(self) -> bool:
        """Whether the last instance is not known to have ended."""
        return bool(self._all) and not self._all[-1].ended

    @property
    def ever_ran(self) -> bool:
        """Whether there was an instance at all."""
        return bool(self._all)

    def _look(self, status: ContainerStatus) -> None:
        last = status.last_state.terminated
        present = self._known(status.container_id)
        if last is not None and last.container_id:
            self._ended(last.container_id, is_news=present is None)
        if not status.container_id:
            return
        present = present or self._known(status.container_id)
        if present is None:
            present = self._add(status.container_id)
        ended = status.state.running is None and (status.state.terminated is not None or last is not None)
        if ended or present is not self._all[-1]:
            present.ended = True

    def _ended(self, container_id: str, *, is_news: bool) -> None:
        found = self._known(container_id)
        if found is None and is_news:
            found = self._add(container_id)  # it began and ended between two looks
        if found is not None:
            found.ended = True

    def _add(self, container_id: str) -> Instance:
        for one in self._all:
            one.ended = True  # there is only one at a time
        made = Instance(container_id)
        self._all.append(made)
        # Two before the present one nothing can be read any more, and nobody asks.
        while len(self._all) > 3 and self._all[0].read:
            del self._all[0]
        return made

    def _known(self, container_id: str) -> Instance | None:
        return next((one for one in self._all if one.container_id == container_id), None)

    def _facts(self) -> tuple[object, ...]:
        return (self.over, self.gone, *((one.container_id, one.ended) for one in self._all))
