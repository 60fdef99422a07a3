"""What the reflector knows of one pod that somebody is subscribed to. No I/O."""

from __future__ import annotations

from enum import Enum

from asyncrun.model.pod import Pod
from asyncrun.triggers.watch.news import Deleted, Remark
from asyncrun.triggers.watch.row import Row


class Said(Enum):
    """What a pod's subscribers are told of how it is seen, once each."""

    FORBIDDEN = "list or watch is forbidden, so it is polled"
    UNLABELLED = "it does not carry our labels, so it is polled"


_NOTHING: frozenset[Said] = frozenset()  # each call makes one of 216 bytes


def version_of(resource_version: str) -> int:
    """
    A ``resourceVersion`` as a number, 0 if it is none.

    They may be compared as numbers (Kubernetes documents that since 1.35; etcd's revisions always were).
    """
    return int(resource_version) if resource_version.isdecimal() and resource_version.isascii() else 0


class PodRow(Row[Pod]):
    """
    One pod's feed, and the notes on it.

    A row is seen by the watch, unless it is to be asked for by a call: then ``due`` says when, and only calls tell
    whether it can be seen.
    """

    __slots__ = (
        "_said",
        "alone",
        "deleted",
        "due",
        "garbled",
        "looking",
        "name",
        "requests",
        "suspect",
        "uid",
        "unreadable_at",
    )

    def __init__(self, ident: str) -> None:
        super().__init__(ident)
        self.name, _, self.uid = ident.rpartition("/")
        self.alone = False
        """The watch does not show it: it is polled."""
        self.deleted: Pod | None = None
        """Its last state, once the watch has told that it is deleted, or that it has left our selector."""
        self.suspect = False
        """A listing did not have it, or the watch told that it is deleted."""
        self.garbled = False
        """What the watch said of it could not be read."""
        self.due: float | None = None
        """When to ask for it; None: no need to."""
        self.looking = False
        """A call for it is under way."""
        self.requests = 0
        """Grows with each reason to ask for it: a call that began before the latest one does not settle it."""
        self.unreadable_at = -1
        """How much had been answered for other pods when its own answer was unreadable last."""
        self._said: frozenset[Said] = _NOTHING

    @property
    def by_calls(self) -> bool:
        """Whether it is being asked for."""
        return self.due is not None or self.looking

    def see_pod(self, pod: Pod, *, latest: bool = False) -> None:
        """
        A state of it was read.

        :param latest: it is known to be the latest one, whatever its version says: history went back (an etcd that was
            restored from a backup).
        """
        version = version_of(pod.metadata.resource_version)
        if latest and 0 < version < self.version:
            self.version = 0
        self.see(pod, version, final=False)

    def ended(self) -> None:
        """A call has confirmed that it is no more."""
        if self.deleted is not None:
            self.publish(Deleted(self.deleted), final=True)
        else:
            self.gone()

    def say(self, what: Said, text: str) -> None:
        """Tell it, unless it was told."""
        if what not in self._said:
            self._said |= {what}
            self.note(Remark(text))
