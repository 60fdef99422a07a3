"""
The objects of the embedded cluster, with revisions and the history that watches read.

One event loop, no I/O. Objects are plain dicts that nobody changes once they were handed in or out: to change one,
hand in another. Parts that stay the same may be shared between them.
"""

from __future__ import annotations

import bisect
import uuid
from collections.abc import Iterator, Mapping

from asyncrun.local.kube.changes import (
    AlreadyExists,
    Change,
    ChangeType,
    Json,
    KindLog,
    NotFound,
    StoreError,
    Subscription,
    TooOld,
    now,
    now_micro,
    revision_of,
)
from asyncrun.local.kube.events import record_event

__all__ = [
    "Store",
    "Subscription",
    "Change",
    "Json",
    "StoreError",
    "AlreadyExists",
    "NotFound",
    "TooOld",
    "record_event",
    "now",
    "now_micro",
]

Objects = list[Json]

FIRST_REVISION = 1000
"""A cluster that lives already: clients must not take small numbers for granted."""


class Store:
    """
    Everything in the cluster.

    :param history: changes of a kind that are kept for new watches; older ones are ``TooOld``.
    """

    def __init__(self, *, history: int = 20_000) -> None:
        self.revision = FIRST_REVISION
        self.oldest = FIRST_REVISION
        self.event_names: dict[tuple[str, ...], str] = {}
        self._history = history
        self._kinds: dict[str, KindLog] = {}

    def _log(self, kind: str) -> KindLog:
        log = self._kinds.get(kind)
        if log is None:
            log = self._kinds[kind] = KindLog(self.revision)
        return log

    def create(self, kind: str, obj: Json) -> Json:
        """
        Add an object; uid, creationTimestamp and resourceVersion are given to it.

        :raises AlreadyExists: its name is taken.
        """
        log, key = self._log(kind), _key(obj)
        if key in log.objects:
            raise AlreadyExists(key[1])
        metadata = {
            **obj["metadata"],
            "uid": obj["metadata"].get("uid") or str(uuid.uuid4()),
            "creationTimestamp": obj["metadata"].get("creationTimestamp") or now(),
        }
        return self._put(log, key, "ADDED", {**obj, "metadata": metadata}, None)

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """That object, None if there is none; ``namespace`` is empty for kinds that have none."""
        return self._log(kind).objects.get((namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> Objects:
        """All objects of that kind, in the order of `place`; None is every namespace."""
        return _in_order(self._log(kind).objects, namespace)

    def update(self, kind: str, obj: Json) -> Json:
        """
        Replace an object as a whole; nothing happens if it is equal to what is there.

        An object whose deletion has no grace left and that has no finalizer (any more), is removed.

        :returns: the object as it is now, or was when it was removed.
        :raises NotFound: it is gone, or its name belongs to another uid.
        """
        log, key = self._log(kind), _key(obj)
        old = log.objects.get(key)
        if old is None or old["metadata"]["uid"] != obj["metadata"]["uid"]:
            raise NotFound(key[1])
        version = old["metadata"]["resourceVersion"]
        same = {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
        if same == old:
            return old
        metadata = same["metadata"]
        over = metadata.get("deletionGracePeriodSeconds") == 0 and not metadata.get("finalizers")
        if over and old["metadata"].get("deletionGracePeriodSeconds") == 0:
            self._drop(log, key, old)  # the change itself is never seen (trace g8_delete_with_finalizer)
            return same
        new = self._put(log, key, "MODIFIED", same, old)
        return self._drop(log, key, new) if over else new

    def remove(self, kind: str, namespace: str, name: str) -> Json:
        """
        Remove an object, with whatever it says at the moment.

        A pod is marked as out of grace first, as watches see it (traces g to g7); an object that has finalizers is only
        marked, and stays until they are gone.

        :returns: it, with the resourceVersion of its removal.
        :raises NotFound: it is gone already.
        """
        log, key = self._log(kind), (namespace, name)
        old = log.objects.get(key)
        if old is None:
            raise NotFound(name)
        metadata = old["metadata"]
        if not metadata.get("finalizers") and (kind != "pods" or metadata.get("deletionGracePeriodSeconds") == 0):
            return self._drop(log, key, old)
        # The earlier of both: a deletion that has begun is not put off by being asked for again.
        marks: Json = {
            "deletionTimestamp": min(metadata.get("deletionTimestamp", now()), now()),
            "deletionGracePeriodSeconds": 0,
        }
        if "deletionTimestamp" not in metadata and "generation" in metadata:
            marks["generation"] = metadata["generation"] + 1
        return self.update(kind, {**old, "metadata": {**metadata, **marks}})

    def _drop(self, log: KindLog, key: tuple[str, str], old: Json) -> Json:
        return self._put(log, key, "DELETED", old, old)

    def list_at(self, kind: str, namespace: str | None, revision: int) -> Objects:
        """
        What `list` returned at that revision.

        :raises TooOld: that is not known any more.
        """
        if revision < self.oldest:
            raise TooOld(revision, self.oldest)
        log = self._log(kind)
        objects = dict(log.objects)
        for change in reversed(log.history):
            if change.revision <= revision:
                break
            key = _key(change.object)
            if change.previous is None:
                del objects[key]
            else:
                objects[key] = change.previous
        return _in_order(objects, namespace)

    def subscribe(self, kind: str, topic: str = "") -> Subscription:
        """Read the changes of that kind from now on; ``topic``: see `Subscription`."""
        log = self._log(kind)
        return Subscription(log, log.tail, topic)

    def subscribe_after(self, kind: str, revision: int, topic: str = "") -> Subscription:
        """
        Read the changes after ``revision``; ``topic``: see `Subscription`.

        :raises TooOld: they are not kept any more.
        """
        if revision < self.oldest:
            raise TooOld(revision, self.oldest)
        log = self._log(kind)
        at = bisect.bisect_right(log.history, revision, key=revision_of)
        if at == len(log.history):
            return Subscription(log, log.tail, topic)
        start = Change(revision, "ADDED", {}, None)
        start.next = log.history[at]
        return Subscription(log, start, topic)

    def compact(self, revision: int | None = None) -> int:
        """Forget the history up to ``revision``, or all of it; open subscriptions lose nothing."""
        self.oldest = max(self.oldest, min(self.revision if revision is None else revision, self.revision))
        for log in self._kinds.values():
            log.trim(self.oldest)
        return self.oldest

    def tick(self) -> int:
        """Let a revision pass without a change that anybody sees, as other kinds of objects do in a cluster."""
        self.revision += 1
        return self.revision

    def _put(self, log: KindLog, key: tuple[str, str], type: ChangeType, obj: Json, old: Json | None) -> Json:  # noqa: A002
        self.revision += 1
        new = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        if type == "DELETED":
            del log.objects[key]
        else:
            log.objects[key] = new
        log.append(Change(self.revision, type, new, old))
        if len(log.history) > 2 * self._history:
            self.compact(log.history[-self._history].revision)
        return new

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._kinds))


def place(obj: Json) -> str:
    """
    Where it stands in a list of its kind.

    ``NAMESPACE/NAME``, by which etcd sorts: ``a-b/x`` comes before ``a/x``, and the pages of a list follow that.
    """
    return "/".join(_key(obj))


def _in_order(objects: Mapping[tuple[str, str], Json], namespace: str | None) -> Objects:
    return sorted((one for key, one in objects.items() if namespace is None or key[0] == namespace), key=place)


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]
