"""
Why an ECS task ended as it did.

ECS tells causes only as error names at the beginning of ``stoppedReason`` and of a container's ``reason``; they are
documented as "Stopped tasks error messages" in the ECS developer guide. The table below is the only place that knows
them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.ecs_definition import TaskPlan
from asyncrun.model.outcome import ContainerOutcome, Outcome, StopCause, Verdict


class _Known(msgspec.Struct, frozen=True):
    cause: Cause
    pattern: re.Pattern[str]
    summary: str
    next_step: str


def _known(cause: Cause, pattern: str, summary: str, next_step: str) -> _Known:
    return _Known(cause, re.compile(pattern, re.IGNORECASE), summary, next_step)


# The first match wins: the specific error names come before the general ones that may quote them.
_KNOWN = (
    _known(
        Cause.OUT_OF_MEMORY,
        r"OutOfMemory",
        "ran out of memory",
        "Raise `memory` of the container (or of the task) in the task definition, or make the program use less.",
    ),
    _known(
        Cause.ROLE,
        r"unable to assume the role|was not authorized to (?:perform: )?sts:AssumeRole",
        "could not start: ECS could not assume its role",
        "Whoever manages IAM must let ecs-tasks.amazonaws.com assume the task's and the execution role.",
    ),
    _known(
        Cause.SECRET,
        r"unable to (?:pull|retrieve) secrets?|ssm:GetParameters|secretsmanager:GetSecretValue",
        "could not start: a secret or parameter of the task definition could not be read",
        "Check that the secret exists in that region and that the execution role may read it "
        "(secretsmanager:GetSecretValue, ssm:GetParameters, kms:Decrypt).",
    ),
    _known(
        Cause.LOG_GROUP,
        r"failed to (?:validate logger args|initialize logging driver|create (?:Cloudwatch )?log (?:stream|group))"
        r"|log (?:group|stream) does not exist",
        "could not start: the log group is missing, or the execution role may not write to it",
        "Create the log group, or set awslogs-create-group=true and allow logs:CreateLogGroup, logs:CreateLogStream "
        "and logs:PutLogEvents to the execution role.",
    ),
    _known(
        Cause.IMAGE,
        r"CannotPull(?:Container|ECRContainer|ImageManifest)|pull(?:ing)? image|manifest unknown|pull registry auth",
        "could not start: its image could not be pulled",
        "Check the image's name and tag, the permission of the execution role to pull it, and the network's route to "
        "the registry.",
    ),
    _known(
        Cause.CAPACITY,
        r"Capacity is unavailable|RESOURCE:[A-Z]+|InsufficientInstanceCapacity|No Container Instances",
        "found no capacity",
        "Retry later, or allow other availability zones, sizes or capacity providers.",
    ),
    _known(
        Cause.NETWORK,
        r"network interface|\bENI\b|ResourceInitializationError.*(?:i/o timeout|dial tcp|deadline|request canceled)",
        "could not start: its network was not usable",
        "Check the subnets' route to AWS's endpoints (NAT, VPC endpoints or a public IP) and the security groups.",
    ),
    _known(
        Cause.START,
        r"CannotStartContainerError|CannotCreateContainerError|ContainerRuntimeError|exec format error"
        r"|executable file not found",
        "could not start its container",
        "Check entryPoint and command of the container, and that the image is built for the task's CPU architecture.",
    ),
)


def diagnose(outcome: Outcome, plan: TaskPlan | None = None) -> Diagnosis:
    """
    Explain the end of an ECS task: what happened, why, with which evidence, and what to do next.

    :param outcome: as ``decide`` gave it, or ``gave_up``.
    :param plan: the task definition, where it may be read: adds memory limits and image names.
    """
    if outcome.verdict is Verdict.SUCCEEDED:
        return Diagnosis(summary=f"{_who(outcome)} exited with 0", cause=Cause.NONE)
    explain = _BY_STOP_CAUSE.get(outcome.stop_cause) if outcome.stop_cause else _BY_VERDICT.get(outcome.verdict)
    diagnosis = explain(outcome) if explain else _from_reasons(outcome, plan)
    return msgspec.structs.replace(diagnosis, evidence=_evidence(outcome))


def _from_reasons(outcome: Outcome, plan: TaskPlan | None) -> Diagnosis:
    for container, text in _reasons(outcome):
        for known in _KNOWN:
            if known.pattern.search(text):
                who = f"container {container.name!r}" if container else "the task"
                summary = f"{who} {known.summary}{_detail(known.cause, container, plan)}"
                return Diagnosis(summary=f"{summary}: {text}", cause=known.cause, next_step=known.next_step)
    if outcome.verdict is Verdict.NEVER_STARTED:
        return Diagnosis(
            summary=f"the task never started: {outcome.reason or 'ECS gives no reason'}",
            cause=Cause.START,
            next_step="Look at the task's stopped reason in the ECS console, and at the service quotas of the account.",
        )
    return _exit(outcome)


def _exit(outcome: Outcome) -> Diagnosis:
    failed = _failed_container(outcome)
    if failed is None:
        return Diagnosis(
            summary=f"the task failed: {outcome.reason or 'ECS gives no reason'}",
            next_step="Look at the task in the ECS console.",
        )
    if failed.exit_code is None:
        why = failed.reason or outcome.reason or "ECS gives no reason"
        return Diagnosis(
            summary=f"container {failed.name!r} ended without an exit code: {why}",
            cause=Cause.START if outcome.started_at is None else Cause.UNKNOWN,
            next_step="Look at the container's reason in the ECS console.",
        )
    if (name := failed.signal) is not None:
        return Diagnosis(
            summary=f"container {failed.name!r} was killed by {name} (exit code {failed.exit_code})",
            cause=Cause.KILLED,
            next_step="SIGKILL without an out-of-memory reason often is memory all the same, or a stopTimeout that "
            "was too short." if name == "SIGKILL" else "Find out what sent the signal; the last log lines may say.",
        )  # fmt: skip
    return Diagnosis(
        summary=f"container {failed.name!r} exited with code {failed.exit_code}",
        cause=Cause.EXIT_CODE,
        next_step="The program said that it failed: its last log lines hold the reason.",
    )


def _deadline(outcome: Outcome) -> Diagnosis:
    return Diagnosis(
        summary=f"the task was stopped because it took longer than allowed: {outcome.reason}",
        cause=Cause.DEADLINE,
        next_step="Raise that limit, or find out from the log what took so long.",
    )


def _access(outcome: Outcome) -> Diagnosis:
    return Diagnosis(
        summary=f"the task can no longer be watched, and may still be running: {outcome.reason}",
        cause=Cause.ACCESS,
        next_step="Whoever manages permissions must restore access; then stop the task by hand, or clear the Airflow "
        "task.",
    )


def _evicted(outcome: Outcome) -> Diagnosis:
    if outcome.code == "SpotInterruption":
        return Diagnosis(
            summary="the task was interrupted because AWS took its spot capacity back",
            cause=Cause.SPOT,
            next_step="Retry, or use on-demand capacity for what must not be interrupted.",
        )
    return Diagnosis(
        summary=f"the task ended because the machine below it went away: {outcome.reason or outcome.code}",
        cause=Cause.HOST,
        next_step="Retry; if it happens often, look at the health and the scaling of the cluster's instances.",
    )


def _stopped(outcome: Outcome) -> Diagnosis:
    return Diagnosis(
        summary=f"the task was stopped by somebody: {outcome.reason or outcome.code}",
        cause=Cause.USER,
        next_step="CloudTrail's StopTask event says by whom, if this was not intended.",
    )


def _lost(outcome: Outcome) -> Diagnosis:
    return Diagnosis(
        summary=f"ECS no longer knows the task, so how it ended cannot be known: {outcome.reason}",
        cause=Cause.LOST,
        next_step="ECS forgets stopped tasks after about an hour: its logs may tell how it ended.",
    )


_BY_STOP_CAUSE: dict[StopCause, Callable[[Outcome], Diagnosis]] = {
    StopCause.DEADLINE: _deadline,
    StopCause.ACCESS: _access,
}
_BY_VERDICT: dict[Verdict, Callable[[Outcome], Diagnosis]] = {
    Verdict.EVICTED: _evicted,
    Verdict.STOPPED: _stopped,
    Verdict.LOST: _lost,
}


def _reasons(outcome: Outcome) -> list[tuple[ContainerOutcome | None, str]]:
    """Every reason that ECS gives, the deciding container's first, the task's own last."""
    containers = sorted(outcome.containers, key=lambda one: (one.name != outcome.decided_by, not one.essential))
    found: list[tuple[ContainerOutcome | None, str]] = [(one, one.reason) for one in containers if one.reason]
    if outcome.reason:
        found.append((None, outcome.reason))
    return found


def _failed_container(outcome: Outcome) -> ContainerOutcome | None:
    """The container to blame: the deciding one, unless it is an essential one beside it that failed."""
    chosen = outcome.container(outcome.decided_by)
    if chosen is None or chosen.exit_code != 0:
        return chosen
    return next((one for one in outcome.containers if one.essential and one.exit_code), chosen)


def _detail(cause: Cause, container: ContainerOutcome | None, plan: TaskPlan | None) -> str:
    if plan is None or cause not in (Cause.OUT_OF_MEMORY, Cause.IMAGE):
        return ""
    planned = plan.container(container.name) if container else None
    if cause is Cause.IMAGE:
        return f" ({planned.image})" if planned and planned.image else ""
    if planned and planned.memory_mib:
        return f" (container limit {planned.memory_mib} MiB)"
    return f" (task limit {plan.memory_mib} MiB)" if plan.memory_mib else ""


def _who(outcome: Outcome) -> str:
    return f"container {outcome.decided_by!r}" if outcome.decided_by else "the task"


def _evidence(outcome: Outcome) -> tuple[str, ...]:
    facts = []
    if outcome.code:
        facts.append(f"stopCode={outcome.code}")
    if outcome.reason:
        facts.append(f"stoppedReason={outcome.reason}")
    for one in outcome.containers:
        if one.exit_code is not None or one.reason:
            reason = f", reason={one.reason}" if one.reason else ""
            facts.append(f"container {one.name}: exitCode={one.exit_code}{reason}")
    return tuple(facts)
