"""Throttling, fault injection and the policy: what stops a call before it is executed. No I/O in here."""

from __future__ import annotations

import fnmatch
import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from asyncrun.local.aws.options import Fault
from asyncrun.local.aws.wire import ACCOUNT, CALLER, AwsError, AwsRequest

_ERRORS = {
    "throttle": ("ThrottlingException", "Rate exceeded", 400),
    "http_500": ("ServerException", "Internal failure", 500),
    "http_503": ("ServiceUnavailableException", "Service is unavailable", 503),
    "expired_token": ("ExpiredTokenException", "The security token included in the request is expired", 400),
    "error": ("ClientException", "Injected by a test", 400),
}

_RUN = ("RunTask", "StartTask", "StopTask")


@dataclass(slots=True)
class TokenBucket:
    """A token bucket as AWS describes its own: ``burst`` tokens, refilled at ``rate`` per second."""

    burst: float
    rate: float
    tokens: float
    updated: float

    def take(self, now: float) -> bool:
        """Whether a token was there at ``now`` (monotonic seconds); it is taken then."""
        self.tokens = min(self.burst, self.tokens + (now - self.updated) * self.rate)
        self.updated = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Quotas:
    """One bucket per quota and region."""

    def __init__(self, quotas: dict[str, tuple[float, float]]) -> None:
        self._lock = threading.Lock()
        self._quotas = quotas
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    def replace(self, quotas: dict[str, tuple[float, float]]) -> None:
        """New quotas, with full buckets."""
        with self._lock:
            self._quotas = quotas
            self._buckets.clear()

    def check(self, request: AwsRequest, now: float) -> None:
        """Takes a token of each quota that the call falls under.

        :raises AwsError: ThrottlingException when one of them is empty.
        """
        names = [name for name in (request.action, quota_class(request)) if name in self._quotas]
        with self._lock:
            for name in names:
                burst, rate = self._quotas[name]
                key = (name, request.region)
                bucket = self._buckets.setdefault(key, TokenBucket(burst, rate, burst, now))
                if not bucket.take(now):
                    raise AwsError("ThrottlingException", "Rate exceeded")


def quota_class(request: AwsRequest) -> str:
    """The bucket that AWS puts the call in: reading and running have one each for all of their operations."""
    if request.service == "ecs" and request.operation in _RUN:
        return "ecs:run"
    if request.operation.startswith(("Describe", "List")):
        return f"{request.service}:read"
    return ""


def access_denied(request: AwsRequest, message: str = "") -> AwsError:
    """The error of a missing permission, in IAM's wording."""
    resource = f"arn:aws:{request.service}:{request.region}:{ACCOUNT}:{_resource(request)}"
    return AwsError(
        "AccessDeniedException",
        message
        or f"User: {CALLER} is not authorized to perform: {request.action} on resource: {resource} "
        f"because no identity-based policy allows the {request.action} action",
    )


def _resource(request: AwsRequest) -> str:
    params = request.params
    if request.service == "logs":
        return f"log-group:{params.get('logGroupName', '')}:log-stream:{params.get('logStreamName', '')}"
    if request.operation == "RunTask":
        return f"task-definition/{str(params.get('taskDefinition', '*')).rpartition('/')[2]}"
    task = params.get("task") or next(iter(params.get("tasks") or []), "")
    cluster = str(params.get("cluster", "default")).rpartition("/")[2]
    return f"task/{cluster}/{str(task).rpartition('/')[2]}" if task else "*"


def check_policy(request: AwsRequest, policy: tuple[str, ...] | None) -> None:
    """Refuses what the allow-list does not name.

    :raises AwsError: AccessDeniedException.
    """
    named = request.operation and request.service != "sts"  # who may assume a role is not said by this list
    if named and policy is not None and not any(fnmatch.fnmatchcase(request.action, action) for action in policy):
        raise access_denied(request)


class Faults:
    """The fault rules, in order, with what is left of their counts."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Appends rules."""
        with self._lock:
            self._rules += [_Rule(fault, fault.count, fault.skip) for fault in faults]

    def clear(self) -> None:
        """Removes all rules."""
        with self._lock:
            self._rules.clear()

    def pick(self, request: AwsRequest) -> Fault | None:
        """The fault that hits this call, if any; counts it."""
        with self._lock:
            for rule in self._rules:
                if rule.fires(request):
                    return rule.fault
        return None


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None
    skip: int

    def fires(self, request: AwsRequest) -> bool:
        name = request.action if ":" in self.fault.operation else request.operation
        if self.left == 0 or not fnmatch.fnmatchcase(name, self.fault.operation):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if random.random() >= self.fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


def fault_error(fault: Fault, request: AwsRequest) -> AwsError | None:
    """The error answer of ``fault``; None for the kinds that are no error answer."""
    if fault.kind == "access_denied":
        return access_denied(request, fault.message)
    if fault.kind not in _ERRORS:
        return None
    code, message, status = _ERRORS[fault.kind]
    return AwsError(fault.code or code, fault.message or message, status=status)
