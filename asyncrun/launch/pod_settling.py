"""What becomes of a pod whose end was reported: ``on_finish_action``, from the outcome of its run."""

from __future__ import annotations

from asyncrun.clients.kube_api import PodsApi
from asyncrun.clients.patience import Say
from asyncrun.launch.pod_finish import OnFinish, finish
from asyncrun.model.errors import NotFound, RemoteError
from asyncrun.model.outcome import Outcome, StopCause
from asyncrun.model.pod import Pod
from asyncrun.model.refs import PodRef


async def settle(pods: PodsApi, ref: PodRef, action: str, outcome: Outcome, *, base: str, say: Say) -> None:
    """
    Delete the pod or mark it as dealt with. Failures are said, and never raised.

    :param action: the operator's ``on_finish_action``.
    :param base: name of the container that decides.
    """
    wanted, phase = OnFinish(action), ""
    unknown = outcome.not_ended or outcome.stop_cause is StopCause.ACCESS
    if unknown and wanted in (OnFinish.KEEP_POD, OnFinish.DELETE_SUCCEEDED_POD):
        return  # it may still run, so the next try must be able to take it over
    if wanted is OnFinish.DELETE_ACTIVE_POD:  # whether containers still run is not told by the outcome
        try:
            pod = await pods.get(ref.name)
            phase = pod.status.phase if _still_runs(pod) else ""
        except NotFound:
            return
        except RemoteError as error:
            say(f"Whether pod {ref} still runs cannot be asked, so it is kept: {error}")
            if unknown:
                return
    container = outcome.container(base)
    succeeded = container is not None and container.exit_code == 0
    await finish(pods, ref, wanted, phase=phase, base_succeeded=succeeded, say=say)


def _still_runs(pod: Pod) -> bool:
    """Whether main containers run or have yet to: the phase follows their ends only a second or two later."""
    statuses = [pod.status_of(name) for name in pod.containers()]
    return not pod.is_final and any(one is None or one.state.terminated is None for one in statuses)
