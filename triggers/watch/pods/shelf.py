"""Pods of ours that nobody here is subscribed to, kept for whoever will."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator

import msgspec

from asyncrun.model.pod import Pod

_POD_SIZE = 4096
"""Bytes that a decoded pod is taken to cost."""


class Shelved(msgspec.Struct, frozen=True):
    """
    One pod's last known state.

    :param pod: decoded, or its JSON.
    :param version: of that state, 0 if it has none.
    :param deleted_at: the event loop's time, None while the pod is there.
    """

    pod: Pod | bytes
    version: int = 0
    deleted_at: float | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.pod) if isinstance(self.pod, bytes) else _POD_SIZE


class Shelf:
    """
    The last known states of pods that carry our selector, in bounded memory.

    A trigger subscribes a second or more after its pod was created, when the watch has told of the pod already; after a
    triggerer's restart a thousand subscribe within seconds, to pods that one listing has just shown. A call for each of
    them would cost a thousand requests, a new listing per newcomer even more; their JSON costs 5-10 KiB each, and no
    time: lines are kept as they came, undecoded. Pods that other triggerers watch, and finished ones that somebody
    keeps, are here too, so the memory is bounded: beyond it, finished and deleted pods leave first, then those
    that were silent for longest, and whoever subscribes to one that has left is served by a call.

    It is right exactly as long as the watch is: a listing clears away what is no longer there.

    :param limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._live: OrderedDict[str, Shelved] = OrderedDict()
        self._over: OrderedDict[str, Shelved] = OrderedDict()
        self.size = 0
        """Bytes of memory, about."""

    def __len__(self) -> int:
        return len(self._live) + len(self._over)

    def put(self, uid: str, shelved: Shelved) -> None:
        """That is its state now."""
        self.take(uid)
        is_over = shelved.deleted_at is not None or (isinstance(shelved.pod, Pod) and shelved.pod.is_final)
        (self._over if is_over else self._live)[uid] = shelved
        self.size += shelved.size
        while self.size > self._limit:
            _, left = (self._over or self._live).popitem(last=False)
            self.size -= left.size

    def version(self, uid: str) -> int:
        """Of its state, 0 if it is not here."""
        found = self._live.get(uid) or self._over.get(uid)
        return 0 if found is None else found.version

    def take(self, uid: str) -> Shelved | None:
        """Its state, which then is here no longer."""
        found = self._live.pop(uid, None) or self._over.pop(uid, None)
        if found is not None:
            self.size -= found.size
        return found

    def keep(self, uids: Collection[str], deleted_since: float) -> None:
        """Only these are there; of the deleted ones, those of that time and later are kept."""
        for uid in [uid for uid, one in self._items() if not _is_kept(uid, one, uids, deleted_since)]:
            self.take(uid)

    def _items(self) -> Iterator[tuple[str, Shelved]]:
        yield from self._live.items()
        yield from self._over.items()


def _is_kept(uid: str, one: Shelved, uids: Collection[str], deleted_since: float) -> bool:
    return uid in uids if one.deleted_at is None else one.deleted_at >= deleted_since
