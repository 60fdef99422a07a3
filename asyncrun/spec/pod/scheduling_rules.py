"""What the API server would surely refuse in what the scheduler goes by: resources, tolerations, affinity. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.syntax import QUALIFIED, check_one_of, check_range, is_qualified_name, quantity
from asyncrun.spec.values import is_unrendered

Fields = Mapping[str, Any]


def resources(part: Fields, where: str) -> None:
    """Requests and limits of a container, or of the whole pod."""
    limits, requests = part.get("limits"), part.get("requests")
    for name, given in (("limits", limits), ("requests", requests)):
        for resource in given if isinstance(given, Mapping) else ():
            if not is_qualified_name(resource):
                raise InvalidArgument(f"{where}.{name}", resource, f"resources such as cpu and memory: {QUALIFIED}")
    if not isinstance(requests, Mapping) or is_unrendered(limits):
        return
    for resource, asked in requests.items():
        limit = limits.get(resource) if isinstance(limits, Mapping) else None
        if _is_extended(resource):
            _check_extended(resource, asked, limit, where)
        elif _exceeds(asked, limit):
            raise InvalidArgument(f"{where}.requests[{resource!r}]", asked, f"at most its limit, {limit}")


def _is_extended(resource: str) -> bool:
    """Whether it is one that a device plug-in offers, such as ``nvidia.com/gpu``."""
    return "/" in resource and "kubernetes.io/" not in resource


def _check_extended(resource: str, asked: object, limit: object, where: str) -> None:
    """As the API server: "must be equal to ... limit", "Limit must be set for non overcommitable resources"."""
    if limit is None:
        raise InvalidArgument(
            f"{where}.limits[{resource!r}]",
            None,
            "as much as in requests: Kubernetes wants a limit for what device plug-ins offer (one without a request "
            "counts as both)",
        )
    if _exceeds(asked, limit) or _exceeds(limit, asked):
        raise InvalidArgument(f"{where}.requests[{resource!r}]", asked, f"as much as in limits, {limit}")


def _exceeds(one: object, other: object) -> bool:
    """Whether both are quantities, and the one is more than the other."""
    number, most = quantity(one), quantity(other)
    return number is not None and most is not None and number > most


def toleration(part: Fields, where: str) -> None:
    """Of a taint of nodes."""
    operator = part.get("operator") or "Equal"
    check_one_of(f"{where}.operator", operator, "Equal", "Exists", "Lt", "Gt")
    effect = part.get("effect") or None  # empty: all of them
    check_one_of(f"{where}.effect", effect, "NoSchedule", "PreferNoSchedule", "NoExecute")
    if not part.get("key") and operator == "Equal":
        raise InvalidArgument(f"{where}.key", part.get("key"), "a taint's key, or operator 'Exists' for all taints")
    if part.get("tolerationSeconds") is not None and not is_unrendered(effect):
        check_one_of(f"{where}.effect", effect or "", "NoExecute")
    if operator == "Exists" and part.get("value"):
        raise InvalidArgument(f"{where}.value", part["value"], "nothing with operator 'Exists'")


def node_requirement(part: Fields, where: str) -> None:
    """What a node's label must be."""
    operator, values = part.get("operator"), part.get("values")
    check_one_of(f"{where}.operator", operator, "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
    if operator in ("In", "NotIn") and not values:
        raise InvalidArgument(f"{where}.values", values, f"at least one value with operator {operator!r}")
    if operator in ("Exists", "DoesNotExist") and values:
        raise InvalidArgument(f"{where}.values", values, f"none with operator {operator!r}")


def weight(part: Fields, where: str) -> None:
    """How much a preference counts."""
    check_range(f"{where}.weight", part.get("weight"), 1, 100)
