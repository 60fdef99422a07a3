"""What is done with a pod once its end is known: deleted, or kept and marked as dealt with."""

from __future__ import annotations

from enum import StrEnum

from asyncrun.clients.kube_api import PodsApi
from asyncrun.clients.kube_faults import names_another
from asyncrun.clients.patience import IN_A_WORKER, Patience, Say, patiently
from asyncrun.model.errors import NotFound, RemoteError, RequestRefused
from asyncrun.model.pod import BASE_HAS_ENDED, Pod
from asyncrun.model.refs import PodRef
from asyncrun.spec.pod.labels import CHECKED


class OnFinish(StrEnum):
    """Upstream's ``on_finish_action``."""

    DELETE_POD = "delete_pod"
    """Always."""
    DELETE_SUCCEEDED_POD = "delete_succeeded_pod"
    """Where it succeeded, or its base container did."""
    DELETE_ACTIVE_POD = "delete_active_pod"
    """Where containers of it still run, or have yet to."""
    KEEP_POD = "keep_pod"
    """Never."""


class Finished(StrEnum):
    """What became of the pod object."""

    DELETED = "deleted"
    """It is gone or goes."""
    MARKED = "marked"
    """It is kept, and no later try takes it over."""
    LEFT = "left"
    """It is kept, and could not be marked."""


def wants_delete(action: OnFinish, *, phase: str, base_succeeded: bool) -> bool:
    """
    Whether a pod is to be deleted after its end; else it is kept and marked.

    :param phase: the pod's last one; empty where it is not known.
    :param base_succeeded: its base container exited with 0.
    """
    match action:
        case OnFinish.DELETE_POD:
            return True
        case OnFinish.DELETE_SUCCEEDED_POD:
            return base_succeeded or phase == "Succeeded"
        case OnFinish.DELETE_ACTIVE_POD:
            return phase in ("Running", "Pending")
        case OnFinish.KEEP_POD:
            return False


async def finish(
    pods: PodsApi,
    ref: PodRef,
    action: OnFinish,
    *,
    phase: str,
    base_succeeded: bool,
    say: Say,
    patience: Patience = IN_A_WORKER,
) -> Finished:
    """
    Delete the pod or mark it, as ``wants_delete`` says; repeat-safe.

    Where it cannot be deleted it is marked instead, so that the next try does not take its end for its own. Failures
    are said, and never raised: how the run ended is known, and stands.

    :param say: told what was not done and who must act, and before each further attempt why there is one.
    """
    if wants_delete(action, phase=phase, base_succeeded=base_succeeded):
        try:
            await patiently(lambda: pods.delete(ref.name, uid=ref.uid), say, patience)
        except RemoteError as error:
            say(f"Pod {ref} could not be deleted after its end, as on_finish_action={action.value} wants: {error}")
        else:
            return Finished.DELETED
    return await mark_checked(pods, ref, say=say, patience=patience)


async def mark_checked(pods: PodsApi, ref: PodRef, *, say: Say, patience: Patience = IN_A_WORKER) -> Finished:
    """
    Give the pod upstream's label ``already_checked=True``: no later try takes it over, nor does upstream's operator.

    Failures are said, and never raised.
    """
    # The uid is a precondition: it cannot be changed, so another pod that has the name by now stays as it is.
    body = {"metadata": {"uid": ref.uid, "labels": {CHECKED: "True"}}}
    try:
        await patiently(lambda: pods.patch(ref.name, body), say, patience)
    except NotFound:
        return Finished.DELETED
    except RequestRefused as error:
        if names_another(error):
            return Finished.DELETED
        return _unmarked(ref, error, say)
    except RemoteError as error:
        return _unmarked(ref, error, say)
    return Finished.MARKED


def holds_up(pod: Pod, base: str) -> tuple[str, ...]:
    """
    Names of the other main containers that still run though the base container has ended; empty while it runs.

    Kubernetes lets native sidecars end only after all of these have, so an XCom waits for them.
    """
    main = pod.status_of(base)
    if main is None or main.state.terminated is None or pod.is_final:
        return ()
    others = (one for one in pod.status.container_statuses or () if one.name != base)
    return tuple(one.name for one in others if one.state.terminated is None)


async def end_others(pods: PodsApi, ref: PodRef, *, say: Say, patience: Patience = IN_A_WORKER) -> bool:
    """
    Let the pod end although containers of it still run: TERM to the main ones, then to the sidecars, within its grace.

    Its activeDeadlineSeconds is set to 1, which unlike a deletion leaves the object and its logs there. The pod then
    ends as Failed with the reason DeadlineExceeded, whatever its base container did. Failures are said, never raised.

    :return: whether Kubernetes has been told.
    """
    # What this makes of the pod must not be taken for its own doing by a trigger that sees it only then.
    metadata = {"uid": ref.uid, "annotations": {BASE_HAS_ENDED: "True"}}
    body = {"metadata": metadata, "spec": {"activeDeadlineSeconds": 1}}
    try:
        await patiently(lambda: pods.patch(ref.name, body), say, patience)
    except NotFound:
        return True
    except RemoteError as error:
        say(f"The containers of pod {ref} that still run could not be ended: {error}")
        return False
    return True


def _unmarked(ref: PodRef, error: RemoteError, say: Say) -> Finished:
    say(f"Pod {ref} could not be marked with the label {CHECKED}=True, so a later try may look at it: {error}")
    return Finished.LEFT
