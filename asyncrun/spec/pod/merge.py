"""
Two pods -> one, as upstream's pod generator does it; pure, on plain values.

The user's value wins where it is true; otherwise the base's, where it has one. A few lists are joined, base first:
volumes, and of each container the mounts, environment, ports and devices. Containers are paired by place, init
containers by name. What counts as true is told in ``models.Part``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncrun.spec.pod.models import Part

Fields = Mapping[str, Any]

_JOINED_IN_CONTAINER = ("volumeMounts", "env", "envFrom", "ports", "volumeDevices")


def merge_pods(base: Fields, over: Fields) -> Part:
    """The pod ``over``, completed by ``base``. Neither is changed; parts may be shared with the result."""
    pod = Part(over)
    if spec := _merge_specs(base.get("spec"), over.get("spec")):
        pod["spec"] = spec
    if metadata := _merge_metadata(base.get("metadata"), over.get("metadata")):
        pod["metadata"] = metadata
    return merge_fields(base, pod)


def merge_fields(base: Fields | None, over: Fields | None) -> Part:
    """Each field of ``over`` that is true, and of ``base`` what else there is."""
    if not base:
        return Part(over or {})
    merged = Part(over or {})
    for name, value in base.items():
        if not merged.get(name) and value is not None:
            merged[name] = value
    return merged


def _merge_metadata(base: Fields | None, over: Fields | None) -> Fields | None:
    if not base or not over:
        return over or base
    # Finalizers and owners are not joined: upstream means to, and drops the joined list.
    merged = Part(over)
    for name in ("labels", "annotations"):
        if together := {**(base.get(name) or {}), **(over.get(name) or {})}:
            merged[name] = together
    return merge_fields(base, merged)


def _merge_specs(base: Fields | None, over: Fields | None) -> Fields | None:
    if not base or not over:
        return over or base
    merged = _join(base, over, ("volumes",))
    merged["containers"] = _by_place(base.get("containers") or [], over.get("containers") or [])
    if inits := _by_name(base.get("initContainers") or [], over.get("initContainers") or []):
        merged["initContainers"] = inits
    return merge_fields(base, merged)


def _by_place(base: Sequence[Fields], over: Sequence[Fields]) -> list[Fields]:
    paired = [_merge_containers(*pair) for pair in zip(base, over, strict=False)]
    return [*paired, *base[len(paired) :], *over[len(paired) :]]


def _by_name(base: Sequence[Fields], over: Sequence[Fields]) -> list[Fields]:
    named = {one.get("name"): one for one in over}
    merged = [_merge_containers(one, named[name]) if (name := one.get("name")) in named else one for one in base]
    known = {one.get("name") for one in base}
    return [*merged, *(one for one in over if one.get("name") not in known)]


def _merge_containers(base: Fields, over: Fields) -> Part:
    return merge_fields(base, _join(base, over, _JOINED_IN_CONTAINER))


def _join(base: Fields, over: Fields, names: Sequence[str]) -> Part:
    joined = Part(over)
    for name in names:
        if both := [*(base.get(name) or []), *(over.get(name) or [])]:
            joined[name] = both
    return joined


def is_mergeable(pod: Any) -> bool:
    """Whether all parts of a plain pod that are merged have their final form: none is still a template."""
    if pod is None:
        return True
    if not isinstance(pod, Mapping) or not isinstance(metadata := pod.get("metadata") or {}, Mapping):
        return False
    spec = pod.get("spec") or {}
    if not isinstance(spec, Mapping):
        return False
    if any(not isinstance(metadata.get(name) or {}, Mapping) for name in ("labels", "annotations")):
        return False
    lists = [spec.get(name) or [] for name in ("containers", "initContainers", "volumes")]
    if any(not isinstance(one, list) or any(not isinstance(item, Mapping) for item in one) for one in lists):
        return False
    return all(is_mergeable_container(one) for named in lists[:2] for one in named)


def is_mergeable_container(container: Fields) -> bool:
    """The same of the lists of one container that are joined."""
    return all(isinstance(container.get(name) or [], list) for name in _JOINED_IN_CONTAINER)
