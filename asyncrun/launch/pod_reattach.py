"""What became of a pod whose worker died before it could hand it over: async, and free of a worker's context."""

from __future__ import annotations

import msgspec

from asyncrun.clients.kube_api import PodsApi
from asyncrun.launch.pod import PodLauncher
from asyncrun.model.errors import NotFound
from asyncrun.model.pod import Pod
from asyncrun.model.refs import LaunchPhase, PodLaunchRecord, PodRef
from asyncrun.spec.pod.labels import CHECKED, DEPLOYMENT


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """
    What to do about the pod that an earlier try left behind.

    :param ref: the pod to take over, None where there is nothing to take over.
    :param pod: as it is now.
    :param why: a sentence for the log; empty where there was no pod.
    """

    ref: PodRef | None
    pod: Pod | None = None
    why: str = ""


async def look_for(pods: PodsApi, record: PodLaunchRecord | None, *, selector: str, base: str) -> Earlier:
    """
    First ask for the pod that was noted, then for one with the task instance's labels.

    One that runs is taken over. One that has ended is taken over where nobody has learnt its end, so that it is this
    try's end: its note is in phase ``launched``, or its worker died before it could note it. The latter only where it
    succeeded: where it failed, another launch is what a try is for. None is taken over that is marked as
    ``already_checked`` or is being deleted.

    :param record: what an earlier try noted.
    :param selector: see ``PodLauncher.find_existing``.
    :param base: name of the container that decides.
    :raises RemoteError: that was refused, or nobody answered.
    """
    noted = await _noted(pods, record, base=base) if record is not None else Earlier(ref=None)
    if noted.ref is not None:
        return noted
    pod = await PodLauncher(pods).find_existing(selector)
    if pod is None or (record is not None and pod.uid == record.ref.uid):
        return noted
    ref = _ref(pods, pod)
    what = f"pod {ref} of an earlier try"
    if not _has_ended(pod, base):
        why = f"Taking over {what}, which still runs (phase {pod.status.phase})"
        return Earlier(ref=ref, pod=pod, why=why)
    if _has_succeeded(pod, base):
        why = f"Taking over {what}, whose worker died before it noted it: it has succeeded since"
        return Earlier(ref=ref, pod=pod, why=why)
    return Earlier(ref=None, why=f"{what} is not taken over: it has failed, and this try launches another one")


async def _noted(pods: PodsApi, record: PodLaunchRecord, *, base: str) -> Earlier:
    ref, what = record.ref, f"pod {record.ref} of try {record.try_number}"
    if ref.namespace != pods.namespace:
        return Earlier(ref=None, why=f"{what} is not looked for: this try's namespace is {pods.namespace!r}")
    try:
        pod = await pods.get(ref.name)
    except NotFound:
        return Earlier(ref=None, why=f"{what} is gone")
    if why_not := _why_not(record, pod, base):
        return Earlier(ref=None, why=f"{what} {why_not}")
    if _has_ended(pod, base):
        why = f"Taking over {what}, whose worker died before it learnt the end: it has ended, which is this try's end"
    else:
        why = f"Taking over {what}, which still runs (phase {pod.status.phase})"
    return Earlier(ref=ref, pod=pod, why=why)


def _why_not(record: PodLaunchRecord, pod: Pod, base: str) -> str:
    if pod.uid != record.ref.uid:
        return "is gone: another pod has its name now"
    if (pod.metadata.labels or {}).get(CHECKED) == "True":
        return f"is not taken over: its end was dealt with ({CHECKED}=True)"
    if pod.metadata.deletion_timestamp is not None:
        return "is not taken over: it is being deleted"
    if _has_ended(pod, base) and record.phase is not LaunchPhase.LAUNCHED:
        return "is not taken over: it has ended, and its end was reported"
    return ""


def _ref(pods: PodsApi, pod: Pod) -> PodRef:
    deployment = (pod.metadata.labels or {}).get(DEPLOYMENT)
    selector = f"{DEPLOYMENT}={deployment}" if deployment else ""
    return PodRef(namespace=pods.namespace, name=pod.metadata.name, uid=pod.uid, selector=selector)


def _has_ended(pod: Pod, base: str) -> bool:
    """Other containers that still run change nothing: the base container decides, and where it is started again,
    the pod is not final."""
    if pod.is_final:
        return True
    status = pod.status_of(base)
    return not pod.may_restart(base) and status is not None and status.state.terminated is not None


def _has_succeeded(pod: Pod, base: str) -> bool:
    status = pod.status_of(base)
    if status is not None and status.state.terminated is not None:
        return status.state.terminated.exit_code == 0 and pod.status.phase != "Failed"
    return pod.status.phase == "Succeeded"
