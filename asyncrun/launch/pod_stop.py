"""Stopping a pod that still runs, or has yet to."""

from __future__ import annotations

from asyncrun.clients.kube_api import PodsApi
from asyncrun.clients.kube_faults import names_another
from asyncrun.launch.pod_finish import OnFinish
from asyncrun.model.errors import NotFound, RequestRefused
from asyncrun.model.refs import PodRef
from asyncrun.spec.pod.labels import CHECKED

_NOW = 1  # s; the shortest activeDeadlineSeconds that Kubernetes takes


async def stop_pod(pods: PodsApi, ref: PodRef, action: OnFinish, grace_seconds: int | None) -> None:
    """
    Stop that pod; one that is gone, or has ended, is no error.

    Kubernetes stops a pod by deleting it. Where it is to be kept (``on_finish_action``), its active deadline is
    brought forward instead: the kubelet then ends its containers and leaves the object, with its logs, as failed. A
    pod that has no node yet ends as soon as it has one.

    :param action: the operator's ``on_finish_action``.
    :param grace_seconds: between TERM and KILL, where it is deleted; None: as the pod says.
    :raises RemoteError: that was refused, or nobody answered: the pod may still be running.
    """
    if action in (OnFinish.DELETE_POD, OnFinish.DELETE_ACTIVE_POD):
        await pods.delete(ref.name, uid=ref.uid, grace_seconds=grace_seconds)
        return
    try:
        # The uid is a precondition: Kubernetes answers Conflict where another pod has the name by now. With the label
        # no later try takes this end, which is our doing, for its own.
        meta = {"uid": ref.uid, "labels": {CHECKED: "True"}}
        await pods.patch(ref.name, {"metadata": meta, "spec": {"activeDeadlineSeconds": _NOW}})
    except NotFound:
        return
    except RequestRefused as error:
        if not names_another(error):
            raise
