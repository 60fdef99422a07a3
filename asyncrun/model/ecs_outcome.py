"""When an ECS task's outcome is known, and what it is: pure functions of its state and its definition."""

from __future__ import annotations

import re

import msgspec

from asyncrun.model.ecs import STOPPED, EcsContainerState, EcsTaskState
from asyncrun.model.ecs_definition import TaskPlan
from asyncrun.model.outcome import ContainerOutcome, Decision, Outcome, StopCause, Verdict, failed_by_itself

_HOST_GONE = re.compile(r"Host EC2 \(instance [^)]+\) (?:stopped|terminated)")
_STOP_CODES_EVICTED = frozenset({"SpotInterruption", "TerminationNotice", "InfrastructureHealth"})
_STOP_CODES_STOPPED = frozenset({"UserInitiated", "ServiceSchedulerInitiated"})


def decide(
    state: EcsTaskState, plan: TaskPlan | None, container_name: str | None = None, *, stopping: bool = False
) -> Decision | None:
    """
    What became of a task, or None while that is open.

    The outcome is known when ``desiredStatus`` is STOPPED and the essential containers have stopped; on Fargate that is
    tens of seconds before ``lastStatus`` is STOPPED, as the network interface is given back in between.

    :param plan: None where the task definition may not be read: then every container counts as essential.
    :param container_name: the user's container, which decides; None: the first essential one of the definition.
    :param stopping: we have asked ECS to stop it: a program may answer that with 0, so until ECS says why the task
        ended, nothing is complete.
    """
    if not state.stopped and state.desired_status != STOPPED:
        return None
    essential = _essential_names(state, plan)
    if not state.stopped and not _have_stopped(state, essential | {container_name}):
        return None
    containers = _in_plan_order([_container(one, essential) for one in state.containers], plan)
    decider = _decider(containers, plan, container_name)
    outcome = Outcome(
        verdict=_verdict(state, containers, decider, stopping=stopping),
        containers=tuple(containers),
        decided_by=decider,
        exit_code=_exit_code(containers, decider),
        code=state.stop_code,
        reason=state.stopped_reason,
        started_at=state.started_at,
        finished_at=state.execution_stopped_at or state.stopped_at,
    )
    return Decision(outcome=outcome, complete=_is_complete(state, outcome, stopping=stopping))


def gave_up(
    verdict: Verdict,
    our_reason: str,
    cause: StopCause | None = None,
    *,
    not_ended: str = "",
    state: EcsTaskState | None = None,
    plan: TaskPlan | None = None,
    container_name: str | None = None,
) -> Outcome:
    """
    The outcome of a run whose end we did not see: stopped at its deadline, out of our sight, or lost.

    :param our_reason: why, in our words.
    :param cause: None: lost.
    :param not_ended: see ``Outcome``.
    :param state: the last one seen, None if none was.
    :param plan: see ``decide``.
    :param container_name: see ``decide``.
    """
    made = Outcome(verdict=verdict, stop_cause=cause, our_reason=our_reason, not_ended=not_ended)
    if state is None:
        return made
    essential = _essential_names(state, plan)
    containers = _in_plan_order([_container(one, essential) for one in state.containers], plan)
    decider = _decider(containers, plan, container_name)
    return msgspec.structs.replace(
        made,
        containers=tuple(containers),
        decided_by=decider,
        exit_code=_exit_code(containers, decider),
        code=state.stop_code,
        reason=state.stopped_reason,
        started_at=state.started_at,
    )


def _essential_names(state: EcsTaskState, plan: TaskPlan | None) -> frozenset[str]:
    if plan is None:
        return frozenset(one.name for one in state.containers)
    return frozenset(one.name for one in plan.containers if one.essential)


def _have_stopped(state: EcsTaskState, names: frozenset[str | None]) -> bool:
    watched = [one for one in state.containers if one.name in names]
    return bool(watched) and all(one.status == STOPPED for one in watched)


def _container(state: EcsContainerState, essential: frozenset[str]) -> ContainerOutcome:
    return ContainerOutcome(
        name=state.name, exit_code=state.exit_code, reason=state.reason, essential=state.name in essential
    )


def _exit_code(containers: list[ContainerOutcome], name: str | None) -> int | None:
    return next((one.exit_code for one in containers if one.name == name), None)


def _in_plan_order(containers: list[ContainerOutcome], plan: TaskPlan | None) -> list[ContainerOutcome]:
    if plan is None:
        return containers
    order = {one.name: index for index, one in enumerate(plan.containers)}
    return sorted(containers, key=lambda one: order.get(one.name, len(order)))


def _decider(containers: list[ContainerOutcome], plan: TaskPlan | None, wanted: str | None) -> str | None:
    if any(one.name == wanted for one in containers):
        return wanted
    if plan is not None:
        return plan.decider(None)
    # Without a definition nothing says which container is the main one, and the answer's order means nothing: one that
    # failed by itself decides, else one that ended well, else any.
    by_name = sorted(containers, key=lambda one: one.name)
    failed = [one for one in by_name if failed_by_itself(one)]
    well = [one for one in by_name if one.exit_code == 0]
    return next((one.name for one in (*failed, *well, *by_name)), None)


def _verdict(
    state: EcsTaskState, containers: list[ContainerOutcome], decider: str | None, *, stopping: bool
) -> Verdict:
    if state.stop_code == "TaskFailedToStart":
        return Verdict.NEVER_STARTED
    chosen = next((one for one in containers if one.name == decider), None)
    succeeded = chosen is not None and chosen.exit_code == 0 and not _failed_beside(containers, chosen)
    if state.stop_code in _STOP_CODES_EVICTED or _HOST_GONE.match(state.stopped_reason):
        # What ended well before its machine went away has ended well.
        return Verdict.SUCCEEDED if succeeded and _all_exited(containers) else Verdict.EVICTED
    if state.stop_code in _STOP_CODES_STOPPED:
        # A program may answer SIGTERM with 0: that is a stopped task, not a finished one.
        return Verdict.STOPPED
    if succeeded:
        return Verdict.SUCCEEDED
    if chosen is None or (chosen.exit_code is None and state.started_at is None):
        return Verdict.NEVER_STARTED
    failed = failed_by_itself(chosen) or _failed_beside(containers, chosen)
    # Where ECS does not say why it ended: a signal was what we asked for.
    return Verdict.STOPPED if stopping and not state.stop_code and not failed else Verdict.FAILED


def _failed_beside(containers: list[ContainerOutcome], chosen: ContainerOutcome) -> bool:
    """
    Whether another essential container failed by itself.

    Once one essential container has ended, ECS stops the others: their 143 or 137 after the chosen one's 0 is no
    failure, unless ECS gives that container a reason of its own (out of memory is 137 as well). No code and no
    reason is a container that never came to run because the task was over.
    """
    return any(failed_by_itself(one) for one in containers if one.essential and one is not chosen)


def _all_exited(containers: list[ContainerOutcome]) -> bool:
    return all(one.exit_code is not None for one in containers if one.essential)


def _is_complete(state: EcsTaskState, outcome: Outcome, *, stopping: bool) -> bool:
    if state.stopped:
        return True
    if outcome.verdict is Verdict.SUCCEEDED:
        return bool(state.stop_code) or not stopping
    return bool(state.stop_code and state.stopped_reason) and all(
        one.exit_code is not None or one.reason for one in outcome.containers if one.essential
    )
