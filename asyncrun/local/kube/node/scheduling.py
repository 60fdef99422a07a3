"""Whether a pod fits on the node (trace e_unschedulable)."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from asyncrun.local.kube import quantities
from asyncrun.local.kube.node.options import NodeOptions
from asyncrun.local.kube.store import Json

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SELECTOR = "1 node(s) didn't match Pod's node affinity/selector"
_TAINT = "1 node(s) had untolerated taint(s)"
_NO_HELP = "1 Preemption is not helpful for scheduling"
_NO_VICTIM = "1 No preemption victims found for incoming pod"


@dataclass(slots=True)
class Rules:
    """
    What decides.

    :param forbidden: messages, by labels of the pods that they are about.
    """

    options: NodeOptions
    taken: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    forbidden: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, str]:
        """Of the node."""
        usual = {
            "kubernetes.io/hostname": self.options.name,
            "kubernetes.io/os": platform.system().lower(),
            "kubernetes.io/arch": _MACHINES.get(platform.machine(), platform.machine()),
        }
        return {**usual, **self.options.labels}

    def refusal(self, pod: Json, *, reachable: bool = True) -> str:
        """Why the pod cannot run here now, empty if it can: the scheduler's message."""
        if not reachable:
            return _message([_TAINT], _NO_HELP)
        labels = pod["metadata"].get("labels") or {}
        for wanted, message in self.forbidden:
            if all(labels.get(key) == value for key, value in wanted.items()):
                return message
        spec = pod["spec"]
        if not _selected(spec, self.labels):
            return _message([_SELECTOR], _NO_HELP)
        reasons, helpful = self._room(requests(spec))
        return _message(reasons, _NO_VICTIM if helpful else _NO_HELP) if reasons else ""

    def take(self, pod: Json) -> None:
        """It runs here."""
        self.taken[pod["metadata"]["uid"]] = requests(pod["spec"])

    def release(self, uid: str) -> None:
        """It does no more."""
        self.taken.pop(uid, None)

    def _room(self, wanted: Mapping[str, Fraction]) -> tuple[list[str], bool]:
        short, helpful = [], True
        for name, capacity in (("cpu", self.options.cpu), ("memory", self.options.memory)):
            whole = quantities.parse(capacity)
            used = sum((one.get(name, Fraction()) for one in self.taken.values()), Fraction())
            if wanted.get(name, Fraction()) > whole - used:
                short.append(f"1 Insufficient {name}")
                helpful = helpful and wanted[name] <= whole
        return short, helpful


def requests(spec: Json) -> dict[str, Fraction]:
    """
    Of a pod: of its containers and sidecars together, or of the greediest init container, if that is more.

    An init container runs beside the sidecars that stand before it.
    """
    sidecars: dict[str, Fraction] = {}
    most: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or ():
        beside = _sum(sidecars, _requests(container))
        most = {name: max(number, most.get(name, Fraction())) for name, number in {**most, **beside}.items()}
        if container.get("restartPolicy") == "Always":
            sidecars = beside
    total = sidecars
    for container in spec["containers"]:
        total = _sum(total, _requests(container))
    return {name: max(number, most.get(name, Fraction())) for name, number in {**most, **total}.items()}


def _sum(one: Mapping[str, Fraction], other: Mapping[str, Fraction]) -> dict[str, Fraction]:
    return {name: one.get(name, Fraction()) + other.get(name, Fraction()) for name in {**one, **other}}


def _requests(container: Json) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    given = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantities.parse(text) for name, text in given.items() if name in ("cpu", "memory")}


def _selected(spec: Json, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    if not terms:
        return True
    return any(all(_matches(one, labels) for one in term.get("matchExpressions") or ()) for term in terms)


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in (expression.get("values") or ())
        case "NotIn":
            return value not in (expression.get("values") or ())
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def _message(reasons: list[str], preemption: str) -> str:
    found = ", ".join(sorted(reasons))
    return (
        f"0/1 nodes are available: {found}. no new claims to deallocate, "
        f"preemption: 0/1 nodes are available: {preemption}."
    )
