"""Watches: what becomes of the changes of a kind on their way to one client."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from asyncrun.local.kube.query import Call, ListOptions, revision
from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.selectors import Matches, field_requirements, field_selector, label_selector
from asyncrun.local.kube.store import Change, Json, Store, Subscription, TooOld

Show = Callable[[Json], Json]

_BEFORE_END = 2.0
"""Seconds before the time-out at which the last bookmark comes (trace ``k2_watch_semantics``)."""


class Watch:
    """
    One watch, without its connection.

    :param show: how an object is shown (as a Table); None: as it is.
    :raises ApiError: 400, 422, or 500 for a resourceVersion that is no number, as recorded.
    """

    def __init__(self, store: Store, call: Call, show: Show | None, watch_timeout: tuple[float, float]) -> None:
        self.options = ListOptions.read(call.query, watch=True)
        self._call, self._store, self._show = call, store, show
        labels = label_selector(self.options.label_selector)
        fields = field_selector(call.resource, self.options.field_selector)
        self._matches = _all_of(call.namespace, call.name, labels, fields)
        self._topic = call.name or _topic(call.resource, self.options.field_selector)
        self._from = revision(self.options.resource_version, watch=True)
        self.timeout = float(self.options.timeout or random.uniform(*watch_timeout))
        self._subscription: Subscription | None = None

    def begin(self) -> bytes:
        """
        The first lines, which may be none.

        :raises TooOld: the revision is too old: say so with `too_old_line`, and end.
        """
        wanted = self._from or 0
        if self._from and self.options.initial_events is None:
            self._subscription = self._store.subscribe_after(self._call.resource.key, wanted, self._topic)
            return b""
        self._subscription = self._store.subscribe(self._call.resource.key, self._topic)
        if self.options.initial_events is False:
            return b""
        objects = self._store.list(self._call.resource.key, self._call.namespace or None)
        lines = [self._line("ADDED", one, None) for one in objects if self._matches(one)]
        if self.options.initial_events and self.options.bookmarks:
            lines.append(self.bookmark(initial=True))
        return b"".join(lines)

    @property
    def subscription(self) -> Subscription:
        """Of the changes, once it has begun."""
        assert self._subscription is not None
        return self._subscription

    def take(self) -> bytes:
        """Lines of the changes that are there by now; empty: none of them matters here."""
        return b"".join(line for change in self.subscription.take() for line in self._lines(change))

    def _lines(self, change: Change) -> Iterator[bytes]:
        if self._from is not None and change.revision <= self._from:
            return
        was = change.previous is not None and self._matches(change.previous)
        if change.type != "DELETED" and self._matches(change.object):
            yield self._line("MODIFIED" if was else "ADDED", change.object, change)
        elif was and change.type == "DELETED":
            yield self._line("DELETED", change.object, change)
        elif was:
            assert change.previous is not None
            metadata = {**change.previous["metadata"], "resourceVersion": str(change.revision)}
            yield self._line("DELETED", {**change.previous, "metadata": metadata}, None)

    def _line(self, kind: str, obj: Json, change: Change | None) -> bytes:
        if self._show is not None:
            encoded = msgspec.json.encode(self._show(obj))
        else:
            encoded = change.encoded() if change is not None else msgspec.json.encode(obj)
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded)

    def bookmark(self, *, initial: bool = False) -> bytes:
        """A bookmark of this moment; every change before it must have been taken."""
        resource = self._call.resource
        metadata: Json = {"resourceVersion": str(self._store.revision)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        empty: Json = {"spec": {"containers": None}, "status": {}} if resource.kind == "Pod" else {}
        shown = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, **empty}
        return msgspec.json.encode({"type": "BOOKMARK", "object": shown}) + b"\n"

    def next_bookmark(self, now: float, end: float, interval: float) -> float | None:
        """When the next bookmark is due; None: no more. ``now`` and ``end`` are seconds of one clock."""
        if not self.options.bookmarks:
            return None
        due = min(now + interval, end - _BEFORE_END)
        return due if due > now else None


def too_old_line(error: TooOld) -> bytes:
    """What a watch says that begins too early, with HTTP status 200; then it ends."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": "Expired",
        "code": 410,
    }
    return msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n"


def _topic(resource: Resource, selector: str) -> str:
    """The only name that the selector lets through, if there is one."""
    wanted = field_requirements(resource, selector)
    names = ("metadata.name", "involvedObject.name")
    return next((value for path, equal, value in wanted if path in names and equal), "")


def _all_of(namespace: str, name: str, labels: Matches | None, fields: Matches | None) -> Matches:
    def matches(obj: Json) -> bool:
        metadata = obj["metadata"]
        return (
            (not namespace or metadata.get("namespace") == namespace)
            and (not name or metadata["name"] == name)
            and (labels is None or labels(obj))
            and (fields is None or fields(obj))
        )

    return matches
