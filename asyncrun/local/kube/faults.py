"""What goes wrong on demand, what is open, and what was asked."""

from __future__ import annotations

import asyncio
import fnmatch
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from asyncrun.local.kube.options import Fault
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.status import ApiError, bad_request, forbidden, unauthorized

How = Literal["end", "reset"]

_KEPT_REQUESTS = 200_000
_REASONS = {
    409: "Conflict",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None
    skip: int
    until: float | None

    def fires(self, call: Call) -> bool:
        fault = self.fault
        if self.left == 0 or (self.until is not None and time.monotonic() >= self.until):
            return False
        if not fnmatch.fnmatchcase(call.operation, fault.operation) or not fnmatch.fnmatchcase(call.path, fault.path):
            return False
        if not fnmatch.fnmatchcase(call.identity.user, fault.user):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if random.random() >= fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The fault rules, in order, with what is left of their counts."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._rules: list[_Rule] = []
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Append rules."""
        now = time.monotonic()
        for one in faults:
            until = None if one.seconds is None else now + one.seconds
            self._rules.append(_Rule(one, one.count, one.skip, until))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def pick(self, call: Call) -> Fault | None:
        """The fault that hits this request, if any; counts it."""
        return next((rule.fault for rule in self._rules if rule.fires(call)), None)


def fault_error(fault: Fault, call: Call) -> ApiError:
    """The answer of a ``status`` fault, worded as usual where the rule says nothing."""
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if not fault.message and not fault.reason:
        usual = _usual(fault.status, call)
        if usual is not None:
            return usual
    details = {"retryAfterSeconds": fault.retry_after} if fault.retry_after is not None else None
    reason = fault.reason or _REASONS.get(fault.status)
    message = fault.message or ("Internal error occurred: injected" if fault.status == 500 else "injected by a test")
    return ApiError(fault.status, reason, message, details, headers=headers)


def _usual(status: int, call: Call) -> ApiError | None:
    if status == 401:
        return unauthorized()
    if status == 403:
        return refusal(call)
    if status == 400:
        return bad_request("injected by a test")
    return None


def refusal(call: Call) -> ApiError:
    """403 of RBAC."""
    resource = call.resource
    where = f'in the namespace "{call.namespace}"' if call.namespace else "at the cluster scope"
    why = (
        f'User "{call.identity.user}" cannot {call.verb} resource "{call.full_resource}"'
        f' in API group "{resource.group}" {where}'
    )
    return forbidden(resource.plural, call.name or call.selected_name, why, resource.group)


@dataclass(slots=True, eq=False)
class Stream:
    """
    An open watch, or a log that is followed.

    :param scope: ends it cleanly when it is rescheduled to now.
    """

    call: Call
    transport: asyncio.Transport | None
    scope: asyncio.Timeout | None = None

    def cut(self, how: How) -> None:
        """End it: cleanly, or as a broken connection."""
        if how == "reset":
            if self.transport is not None:
                self.transport.abort()
        elif self.scope is not None:
            self.scope.reschedule(asyncio.get_running_loop().time())


@dataclass(slots=True)
class Traffic:
    """Every request, and the streams that are open."""

    requests: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT_REQUESTS))
    counts: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    most_open: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    streams: set[Stream] = field(default_factory=set)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.flowing.set()

    @contextmanager
    def request(self, call: Call) -> Iterator[dict[str, Any]]:
        """Count a request; the block sets ``status``."""
        operation = call.operation
        entry = {
            "operation": operation,
            "path": call.path,
            "query": dict(call.query),
            "user": call.identity.user,
            "time": time.monotonic(),
            "ended": None,
            "status": None,
        }
        self.requests.append(entry)
        self.counts[operation] += 1
        self.open[operation] += 1
        self.most_open[operation] = max(self.most_open[operation], self.open[operation])
        try:
            yield entry
        finally:
            self.open[operation] -= 1
            entry["ended"] = time.monotonic()

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[Stream]:
        """Let a stream be cut while the block runs."""
        self.streams.add(stream)
        try:
            yield stream
        finally:
            self.streams.discard(stream)

    def cut(self, operation: str, how: How) -> int:
        """
        End the open streams of that operation.

        :param operation: shell pattern: ``watch pods``, ``follow *``.
        :returns: how many.
        :raises ValueError: ``how`` is none of the two.
        """
        if how not in get_args(How):
            raise ValueError(f"a stream cannot be cut by {how!r}")
        found = [one for one in self.streams if fnmatch.fnmatchcase(one.call.operation, operation)]
        for one in found:
            one.cut(how)
        return len(found)

    def clear(self) -> None:
        """Forget what was asked, not what is open."""
        self.requests.clear()
        self.counts.clear()
        self.connections = 0
        self.most_open = Counter(self.open)
