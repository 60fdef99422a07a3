"""What a launch compares: labels and native sidecars of a manifest and of the pod that was made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncrun.model.pod import Metadata, Pod
from asyncrun.model.pod_xcom import SIDECAR_NAME
from asyncrun.model.refs import PodRef
from asyncrun.spec.pod.labels import LAUNCH

_OWNER = ("dag_id", "task_id", "run_id", "map_index")


def owner_of(labels: Mapping[str, str] | None) -> dict[str, str]:
    """The labels that say whose pod it is; empty where there are none."""
    return {key: value for key in _OWNER if (value := (labels or {}).get(key))}


def launch_of(metadata: Mapping[str, Any] | Metadata) -> str:
    """
    Which launch the pod belongs to; empty if none.

    By its label, or else by an annotation of that name: where a webhook removes labels that it does not know, a launch
    that was answered late is still known by that.
    """
    if isinstance(metadata, Metadata):
        labels, annotations = metadata.labels, metadata.annotations
    else:
        labels, annotations = metadata.get("labels"), metadata.get("annotations")
    return str((labels or {}).get(LAUNCH) or (annotations or {}).get(LAUNCH) or "")


def lost_sidecars(manifest: Mapping[str, Any], pod: Pod) -> tuple[str, ...]:
    """Names of the manifest's native sidecars that are no native sidecars in the pod."""
    asked = [
        one["name"] for one in manifest["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    return tuple(one for one in asked if one not in pod.sidecars())


def why_too_old(ref: PodRef, lost: tuple[str, ...], pod: Pod) -> str:
    """
    The sentence for a pod that has lost its native sidecars, and why that is so.

    :param lost: their names.
    """
    names = ", ".join(repr(one) for one in lost)
    what = "do_xcom_push=True needs" if SIDECAR_NAME in lost else "the pod's init_containers need"
    without = "Set do_xcom_push to False, or upgrade the cluster" if SIDECAR_NAME in lost else "Upgrade the cluster"
    removed = [one for one in lost if one not in pod.init_containers()]
    if removed:
        return (
            f"Pod {ref} is deleted again: it was made without its sidecar {names}, which {what}. A webhook of the "
            "cluster has removed it; whoever manages that webhook must let it be"
        )
    return (
        f"Pod {ref} is deleted again: the cluster does not know native sidecars (restartPolicy Always of the init "
        f"container {names}), which {what}; Kubernetes has them from 1.29 on. {without}"
    )
