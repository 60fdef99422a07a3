"""What a worker does when a pod has ended, or has to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from asyncrun.model.errors import AsyncrunError, NotFound, RemoteError
from asyncrun.model.outcome import ContainerOutcome, Outcome, Verdict
from asyncrun.model.refs import PodRef
from asyncrun.operators import remote
from asyncrun.operators.run_control import raise_for_end
from asyncrun.spec.values import as_bool, exit_code_test, text_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.kube_api import KubeAccess
    from asyncrun.model.event import PodCompletionEvent
    from asyncrun.operators.pod_callbacks import Callbacks

_LINES = 10  # of the log in a failure's message


def end(operator: Any, callbacks: Callbacks, context: Context, completion: PodCompletionEvent, *, resumed: bool) -> Any:
    """
    Call the callbacks, finish the pod, and return its XCom.

    :param resumed: after a deferral: the callbacks are told.
    :raises AirflowSkipException: its exit code is one of ``skip_on_exit_code``.
    :raises AirflowException: it did not end well; one of ``asyncrun.operators.errors``.
    """
    failed = completion.outcome.verdict is not Verdict.SUCCEEDED
    ref = completion.ref
    try:
        pod = _read(operator, ref, failed=failed, wanted=bool(callbacks))
        if resumed:
            callbacks.call("on_operator_resuming", pod=pod, event=_told(completion))
        callbacks.call("on_pod_completion", pod=pod)
        callbacks.call("on_pod_teardown", pod=pod)
    finally:  # what a callback raises fails the task, and must not leave the pod behind
        finish(operator, completion)
    callbacks.call("on_pod_cleanup", pod=pod)
    value = None if completion.result is None else json.loads(completion.result)
    if failed and operator.do_xcom_push:
        _push(operator, context, value)
    raise_for_end(completion, skipping=_skipping(operator, completion.outcome), lines=_LINES)
    if resumed:  # who has waited here has said it
        operator.log.info("%s", completion.diagnosis.text())
    return value if operator.do_xcom_push else None


def _told(completion: PodCompletionEvent) -> dict[str, Any]:
    """The event under the names that upstream's has, too."""
    failed = completion.outcome.verdict is not Verdict.SUCCEEDED
    return {
        **completion.to_dict(),
        "status": "failed" if failed else "success",
        "name": completion.ref.name,
        "namespace": completion.ref.namespace,
        "message": completion.diagnosis.text(),
    }


def _skipping(operator: Any, outcome: Outcome) -> ContainerOutcome | None:
    """As upstream: the base container's exit code alone skips, where it decided by itself."""
    base = outcome.container(operator.base_container_name)
    ended = outcome.verdict in (Verdict.FAILED, Verdict.SUCCEEDED) and not outcome.stop_cause
    if base is None or base.exit_code is None or not ended:
        return None
    by_itself = outcome.decided_by == base.name and not outcome.code
    return base if by_itself and exit_code_test(operator.skip_on_exit_code)(base.exit_code) else None


def finish(operator: Any, completion: PodCompletionEvent) -> None:
    """Do what ``on_finish_action`` says. What goes wrong is logged: how the run ended is known, and stands."""

    async def work(access: KubeAccess) -> None:
        from asyncrun.launch.pod_settling import settle

        await settle(
            access.pods(completion.ref.namespace),
            completion.ref,
            text_of(operator.on_finish_action),
            completion.outcome,
            base=operator.base_container_name,
            say=lambda why: operator.log.warning("%s", why),
        )

    try:
        remote.call(remote.Kube(operator.target), work, log=operator.log)
    except RemoteError as error:
        operator.log.error("Pod %s has ended, and could not be deleted or marked: %s", completion.ref, error)


def stop(operator: Any, ref: PodRef, why: str, *, killed: bool) -> bool:
    """
    Stop a pod, from anywhere in a worker, also from a signal handler.

    A failure to do so is logged only: this is called while another error is under way.

    :param why: for the log.
    :param killed: by a user: ``on_kill_action`` counts.
    :return: whether Kubernetes has confirmed it, or it is not to be stopped.
    """
    action = text_of(operator.on_kill_action)
    if killed and action == "keep_pod":
        operator.log.warning("Pod %s goes on: %s, and on_kill_action=keep_pod", ref, why)
        return True

    async def work(access: KubeAccess, _: Callable[[], None]) -> bool:
        from asyncrun.launch.pod_finish import OnFinish
        from asyncrun.launch.pod_stop import stop_pod

        # A kill deletes; what fails is left as on_finish_action says.
        how = OnFinish.DELETE_POD if killed else OnFinish(text_of(operator.on_finish_action))
        await stop_pod(access.pods(ref.namespace), ref, how, operator.termination_grace_period)
        return True

    operator.log.warning("Stopping pod %s: %s", ref, why)
    settings = remote.running_settings()
    try:
        if remote.ask_from_signal(remote.Kube(operator.target), work, settings=settings, log=operator.log):
            return True
        operator.log.error("Kubernetes has not confirmed in time that pod %s is being stopped", ref)
    except AsyncrunError as error:
        operator.log.error("Pod %s could not be stopped and may still be running: %s", ref, error)
    return False


def _read(operator: Any, ref: PodRef, *, failed: bool, wanted: bool) -> Any:
    """The pod as it is now: its definition goes to the log of a failure, and its model to the callbacks."""
    shown = failed and as_bool("log_pod_spec_on_failure", operator.log_pod_spec_on_failure)
    if not shown and not wanted:
        return None

    async def work(access: KubeAccess) -> dict[str, Any]:
        return await access.pods(ref.namespace).read(ref.name)

    try:
        pod = remote.ask(remote.Kube(operator.target), work, log=operator.log)
    except NotFound:  # as where it did not start in time, or was deleted
        operator.log.info("Pod %s is gone, so its definition cannot be shown", ref)
        return None
    except RemoteError as error:
        operator.log.warning("Pod %s cannot be read after its end: %s", ref, error)
        return None
    if pod["metadata"]["uid"] != ref.uid:
        operator.log.info("Pod %s is gone and its name is another pod's, so its definition cannot be shown", ref)
        return None
    if shown:
        operator.log.info("The definition of pod %s:\n%s", ref, json.dumps(without_values(pod.get("spec")), indent=2))
    if not wanted:
        return None
    from asyncrun.clients.pod_models import to_model

    return to_model(pod)


def without_values(spec: Any) -> Any:
    """A pod's definition without the values of its environment variables, which may be secrets."""
    if isinstance(spec, Mapping):
        return {
            # A list: "env" may also be a label's key, as in a node selector.
            key: [_without_value(one) for one in value]
            if key == "env" and isinstance(value, list)
            else without_values(value)
            for key, value in spec.items()
        }
    if isinstance(spec, list):
        return [without_values(one) for one in spec]
    return spec


def _without_value(variable: Mapping[str, Any]) -> dict[str, Any]:
    return {key: "(not shown)" if key == "value" else value for key, value in variable.items()}


def _push(operator: Any, context: Context, value: Any) -> None:
    """As upstream: what a failed container left is an XCom all the same."""
    if value is None:
        return
    if as_bool("multiple_outputs", operator.multiple_outputs) and isinstance(value, dict):
        for key, one in value.items():
            context["ti"].xcom_push(key=key, value=one)
    context["ti"].xcom_push(key="return_value", value=value)
