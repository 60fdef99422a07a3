"""What can be set of the embedded Kubernetes, at its start; faults, tokens and node rules also while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

FaultKind = Literal["status", "delay", "reset", "drop_answer", "hang", "malformed"]


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One rule of the fault injection; the first rule that matches a request and fires, decides.

    :param operation: ``VERB RESOURCE`` as RBAC has it, with ``follow`` for a log that is followed: ``list pods``,
        ``watch pods``, ``get pods/log``, ``follow pods/log``, ``create pods``, ``list events``. Shell patterns.
    :param kind: ``status``: answer with ``status``, not executed; ``delay``: only late; ``reset``: the connection is
        reset, not executed; ``drop_answer``: executed, then reset (a create whose answer is lost); ``hang``: no answer
        at all; ``malformed``: executed, and the JSON of the answer is cut off.
    :param path: shell pattern of the path, without the query.
    :param status: HTTP status: a plain 429 comes as API priority and fairness words it.
    :param reason: of the Status; empty: the usual one.
    :param message: of the Status; empty: the usual one.
    :param retry_after: seconds in a ``Retry-After`` header.
    :param probability: 0 to 1, per request.
    :param count: how many requests fail before the rule is used up; None is for ever.
    :param skip: how many matching requests are let through first.
    :param delay: seconds to wait before the request is handled (with any kind).
    :param seconds: the rule ends after that long; None is for ever.
    :param user: shell pattern of the user's name.
    :raises ValueError: there is no such kind.
    """

    operation: str = "*"
    kind: FaultKind = "status"
    path: str = "*"
    status: int = 500
    reason: str = ""
    message: str = ""
    retry_after: int | None = None
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    delay: float = 0.0
    seconds: float | None = None
    user: str = "*"

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"there is no fault of the kind {self.kind!r}")


@dataclass(frozen=True, slots=True)
class Rule:
    """
    What somebody may do; ``*`` is everything.

    :param namespace: a name, ``*`` every one and what has none.
    :param verbs: ``get``, ``list``, ``watch``, ``create``, ...
    :param resources: with subresources: ``pods``, ``pods/log``.
    :param names: only objects of these names; empty: all.
    """

    namespace: str = "*"
    verbs: tuple[str, ...] = ("*",)
    resources: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddedKubeOptions:
    """
    Options of `EmbeddedKube`.

    :param port: TCP port on 127.0.0.1; 0 picks a free one.
    :param tls: serve https with a certificate of its own, which is in the kubeconfig.
    :param namespaces: that exist from the start.
    :param node: ``process``: containers are local processes; ``scripted``: pods only play what their annotation says.
    :param node_options: for the node; see there.
    :param bookmark_interval: seconds between two bookmarks of a watch (Kubernetes: about 60).
    :param watch_timeout: shortest and longest life of a watch without ``timeoutSeconds``, in seconds.
    :param future_wait: seconds a list waits for a resourceVersion that does not exist yet.
    :param history: changes of a kind that new watches can begin with.
    :param heartbeat: seconds after which the revision grows although nothing happened; 0: never.
    :param foreground_delay: seconds until the garbage collector takes its finalizer away.
    :param quotas: pods that may exist in a namespace, by namespace.
    :param faults: rules from the start.
    """

    port: int = 0
    tls: bool = False
    namespaces: tuple[str, ...] = ("default", "kube-system", "airflow")
    node: Literal["process", "scripted"] = "process"
    node_options: dict[str, Any] = field(default_factory=dict)
    bookmark_interval: float = 60.0
    watch_timeout: tuple[float, float] = (1800.0, 3600.0)
    future_wait: float = 3.0
    history: int = 20_000
    heartbeat: float = 10.0
    foreground_delay: float = 0.2
    quotas: dict[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> str:
        """For the server process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EmbeddedKubeOptions:
        """
        The options that `to_json` wrote.

        :raises TypeError: for an unknown name.
        """
        raw = json.loads(text)
        unknown = raw.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise TypeError(f"Unknown options of the embedded Kubernetes: {sorted(unknown)}")
        for name in ("namespaces", "watch_timeout"):
            if name in raw:
                raw[name] = tuple(raw[name])
        raw["faults"] = tuple(Fault(**one) for one in raw.get("faults", ()))
        return cls(**raw)
