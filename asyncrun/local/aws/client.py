"""The client of the control endpoint: faults, quotas and events that only a test can ask for."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from asyncrun.local.aws.options import Fault


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the server got, refused ones included.

    ``time`` and ``ended`` are seconds of this machine's monotonic clock, ``size`` the bytes of the request's body,
    ``items`` the tasks or log streams it named, ``error`` the code of the error answer.
    """

    service: str
    operation: str
    region: str
    time: float
    ended: float | None
    size: int
    items: int
    error: str | None


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A container that runs: the id of its first process, its task's ARN, its name."""

    pid: int
    task: str
    container: str


class AwsControl:
    """Control of a running `EmbeddedAws`. Tasks are named by ARN or id.

    Every method raises `urllib.error.HTTPError` when the server refuses (an unknown task), `OSError` when it is gone.
    """

    def __init__(self, endpoint_url: str, token: str) -> None:
        self._url = endpoint_url
        self._token = token
        # Never through a proxy that the environment names: the server is on the loopback interface.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add_faults(self, *faults: Fault) -> None:
        """Appends fault rules."""
        self._post("faults", faults=[asdict(fault) for fault in faults])

    def clear_faults(self) -> None:
        """Removes all fault rules, and accepts connections again."""
        self._post("clear-faults")

    def refuse_all(self, refuse: bool = True) -> None:
        """Resets every connection of the AWS APIs, until told otherwise."""
        self._post("refuse", refuse=refuse)

    def set_quotas(self, quotas: dict[str, tuple[float, float]]) -> None:
        """Replaces the quotas (see `EmbeddedAwsOptions`); the buckets are full."""
        self._post("settings", quotas=quotas)

    def set_policy(self, actions: Iterable[str] | None) -> None:
        """Replaces the allow-list of actions; None allows all."""
        self._post("settings", policy=None if actions is None else list(actions))

    def set_out_of_capacity(self, *where: str) -> None:
        """Replaces the launch types and capacity providers that have no capacity."""
        self._post("settings", out_of_capacity=where)

    def calls(self, operation: str | None = None, *, clear: bool = False) -> list[Call]:
        """The calls so far, oldest first.

        :param operation: only this operation's.
        :param clear: forget them all.
        """
        calls = [Call(**{"ended": None, **raw}) for raw in self._post("calls", clear=clear)]
        return [call for call in calls if operation is None or call.operation == operation]

    def interrupt(self, task: str) -> None:
        """Interrupts the task as Fargate Spot does: stopCode SpotInterruption."""
        self._post("interrupt", task=task)

    def stop_as(self, task: str, code: str, reason: str) -> None:
        """Stops the task with any stopCode and stoppedReason, such as TerminationNotice or InfrastructureHealth."""
        self._post("stop", task=task, code=code, reason=reason)

    def vanish(self, task: str) -> None:
        """Makes the task MISSING in every answer. Its containers run on."""
        self._post("vanish", task=task)

    def put_log_event(
        self, group: str, stream: str, message: str, *, timestamp: int | None = None, region: str | None = None
    ) -> None:
        """Ingests an event now.

        :param timestamp: milliseconds since the epoch; an old one makes a late event. None is now.
        """
        self._post("log-event", group=group, stream=stream, message=message, timestamp=timestamp, region=region)

    def processes(self) -> list[LiveProcess]:
        """The containers that run."""
        return [LiveProcess(**raw) for raw in self._post("processes")]

    def _post(self, verb: str, **params: Any) -> Any:
        headers = {"X-Asyncrun-Token": self._token, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/_asyncrun/{verb}", json.dumps(params).encode(), headers)
        with self._opener.open(request, timeout=30) as answer:
            return json.load(answer)
