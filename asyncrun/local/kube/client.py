"""The client of the control endpoint, for synchronous callers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from asyncrun.local.kube.options import Fault, Rule


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request that the API server got.

    ``operation`` is ``VERB RESOURCE`` (``follow pods/log`` for followed logs), ``time`` and ``ended`` are seconds of
    this machine's monotonic clock; ``ended`` and ``status`` are None while it is under way.
    """

    operation: str
    path: str
    query: dict[str, str]
    user: str
    time: float
    ended: float | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Counts:
    """
    Requests by operation: all, open at the moment, most open at once.

    :param connections: TCP connections that were made.
    :param cpu: seconds of processor time of the server process so far.
    """

    counts: dict[str, int]
    open: dict[str, int]
    most_open: dict[str, int]
    connections: int
    cpu: float


class KubeControlError(RuntimeError):
    """The control endpoint refused; the message says why."""


class KubeControl:
    """
    Control of a running `EmbeddedKube`.

    Every method raises `KubeControlError` when the server refuses, `OSError` when it is gone.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        # Never through a proxy that the environment names: the server is on the loopback interface.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add_token(
        self, rules: Iterable[Rule] | None, *, user: str = "", token: str = "", lifetime: float | None = None
    ) -> str:
        """
        Make a token.

        :param rules: what its bearer may do; None: everything.
        :param user: his name in refusals.
        :param token: a certain one; an old one of that text is replaced (its rights change at once).
        :param lifetime: seconds; None: for ever.
        """
        raw = None if rules is None else [asdict(rule) for rule in rules]
        return str(self._post("add_token", rules=raw, user=user, token=token, lifetime=lifetime))

    def revoke_token(self, token: str) -> None:
        """Let a token be unknown: 401."""
        self._post("revoke_token", token=token)

    def add_faults(self, *faults: Fault) -> None:
        """Append fault rules."""
        self._post("add_faults", faults=[asdict(fault) for fault in faults])

    def clear_faults(self) -> None:
        """Undo all of `add_faults`, `refuse`, `freeze_watches`, and what is repeated (`cut`, `compact`)."""
        self._post("clear_faults")

    def refuse(self, seconds: float | None = None, *, connections: bool = True) -> None:
        """
        Refuse connections as a machine does on which no server runs.

        :param seconds: for that long; None: until `accept`.
        :param connections: break those that are open, too.
        """
        self._post("refuse", seconds=seconds, connections=connections)

    def accept(self) -> None:
        """Accept connections again."""
        self._post("accept")

    def abort_connections(self) -> None:
        """Break all connections of the API server, once."""
        self._post("abort_connections")

    def cut(self, operation: str, *, how: Literal["end", "reset"] = "reset", every: float | None = None) -> int:
        """
        End streams that are open.

        :param operation: shell pattern: ``watch pods``, ``follow pods/log``, ``*``.
        :param how: ``end``: cleanly; ``reset``: the connection breaks.
        :param every: seconds after which it is done again, and again; 0: no more.
        :returns: how many were ended now.
        """
        return int(self._post("cut", operation=operation, how=how, every=every))

    def freeze_watches(self, seconds: float | None = None) -> None:
        """Let watches be silent until their time-out: no change, no bookmark. They go on where they were."""
        self._post("freeze_watches", seconds=seconds)

    def thaw_watches(self) -> None:
        """The end of `freeze_watches`."""
        self._post("thaw_watches")

    def compact(self, *, every: float | None = None) -> int:
        """
        Forget the history: resourceVersions before now are too old for new watches, and pages of a list expire.

        :param every: seconds after which it is done again, and again; 0: no more.
        :returns: the oldest resourceVersion that can still be used.
        """
        return int(self._post("compact", every=every))

    def kubelet_restart(self, *, down: float = 1.0, strange: int = 1) -> int:
        """
        Restart the kubelet: follows end cleanly though their containers run (trace ``r``).

        :param down: seconds in which logs answer 500.
        :param strange: log requests after that which get a 404.
        :returns: how many follows were ended.
        """
        return int(self._post("kubelet_restart", down=down, strange=strange))

    def node_fault(self, name: str, **arguments: Any) -> Any:
        """What the node itself offers; see there."""
        return self._post("node_fault", name=name, arguments=arguments)

    def counts(self, *, clear: bool = False) -> Counts:
        """
        What was asked so far, and what is open.

        :param clear: begin again with nothing asked.
        """
        raw = self._post("traffic", clear=clear)
        return Counts(raw["counts"], raw["open"], raw["most_open"], raw["connections"], raw["cpu"])

    def requests(self, *, clear: bool = False) -> list[Request]:
        """Every request so far, oldest first (at most 200,000)."""
        return [Request(**raw) for raw in self._post("traffic", requests=True, clear=clear)["requests"]]

    def add_namespace(self, name: str) -> None:
        """Make a namespace."""
        self._post("add_namespace", name=name)

    def set_quota(self, namespace: str, pods: int | None) -> None:
        """Let at most that many pods exist in a namespace; None: no limit."""
        self._post("set_quota", namespace=namespace, pods=pods)

    def put(self, kind: str, obj: dict[str, Any]) -> dict[str, Any]:
        """
        Create or replace an object, without validation.

        :param kind: plural: ``secrets``, ``configmaps``, ``pods``.
        """
        found: dict[str, Any] = self._post("put", kind=kind, obj=obj)
        return found

    def revision(self) -> int:
        """The newest resourceVersion."""
        return int(self._post("revision"))

    def _post(self, verb: str, **params: Any) -> Any:
        headers = {"X-Asyncrun-Token": self._token, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._url}/{verb}", json.dumps(params).encode(), headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return json.load(answer)["result"]
        except urllib.error.HTTPError as error:
            with error:
                raise KubeControlError(json.load(error)["error"]) from None
