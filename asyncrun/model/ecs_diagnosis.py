"""
Why an ECS task ended as it did.

ECS tells causes only as error names at the beginning of ``stoppedReason`` and of a container's ``reason``; they are
documented as "Stopped tasks error messages" in the ECS developer guide. The table below is the only place that knows
them.
"""

from __future__ import annotations

import re

import msgspec

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.ecs_definition import TaskPlan
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Unavailable,
)
from asyncrun.model.outcome import ContainerOutcome, Outcome, StopCause, Verdict, to_blame


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
        r"unable to assume the role|not authorized to (?:perform: )?sts:AssumeRole",
        "could not start: ECS could not assume its role",
        "Whoever manages IAM must let ecs-tasks.amazonaws.com assume the task's and the execution role.",
    ),
    # Without a route to AWS neither secrets nor the registry's login nor the log group can be reached, and each says so
    # in its own words, which go on with this.
    _known(
        Cause.NETWORK,
        r"ResourceInitializationError.*(?:i/o timeout|dial tcp|deadline exceeded|request cancell?ed|RequestCanceled"
        r"|no such host|connection (?:issue|refused|reset)|network configuration)",
        "could not start: AWS could not be reached from its network",
        "Check the subnets' route to AWS's endpoints (NAT, VPC endpoints or a public IP), the security groups, and "
        "DNS in the VPC.",
    ),
    # Each of these begins with "unable to pull secrets or registry auth"; what follows tells which of the two it was.
    _known(
        Cause.SECRET,
        r"unable to (?:pull|retrieve) secret(?!s or registry auth)|ssm:GetParameters|secretsmanager:GetSecretValue",
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
        r"CannotPull(?:Container|ECRContainer|ImageManifest)|pull(?:ing)? image|manifest unknown"
        r"|(?:pull|retrieve) (?:ecr )?registry auth|ecr:GetAuthorizationToken",
        "could not start: its image could not be pulled",
        "Check the image's name and tag, the permission of the execution role to pull it, and the network's route to "
        "the registry.",
    ),
    _known(
        Cause.SECRET,
        r"secrets or registry auth",
        "could not start: a secret, or the login to the image's registry, could not be read",
        "Check that the secrets of the task definition exist, and that the execution role may read them and may log in "
        "to the registry.",
    ),
    _known(
        Cause.CAPACITY,
        r"Capacity is unavailable|RESOURCE:[A-Z]+|InsufficientInstanceCapacity|No Container Instances",
        "found no capacity",
        "Retry later, or allow other availability zones, sizes or capacity providers.",
    ),
    _known(
        Cause.NETWORK,
        r"network interface|\bENI\b",
        "could not start: its network interface could not be had",
        "Check that the subnets have free addresses, and the account's quota of network interfaces; else retry.",
    ),
    _known(
        Cause.START,
        r"CannotStartContainerError|CannotCreateContainerError|ContainerRuntimeError|exec format error"
        r"|executable file not found",
        "could not start its container",
        "Check entryPoint and command of the container, and that the image is built for the task's CPU architecture.",
    ),
)


def diagnose(outcome: Outcome, plan: TaskPlan | None = None, error: RemoteError | None = None) -> Diagnosis:
    """
    Explain the end of an ECS task: what happened, why, with which evidence, and what to do next.

    :param outcome: as ``decide`` gave it, or ``gave_up``.
    :param plan: the task definition, where it may be read: adds memory limits and image names.
    :param error: for which we gave up: says who must act.
    """
    if outcome.verdict is Verdict.SUCCEEDED:
        return Diagnosis(summary=f"{_who(outcome)} exited with 0", cause=Cause.NONE)
    return msgspec.structs.replace(_explained(outcome, plan, error), evidence=_evidence(outcome))


def _explained(outcome: Outcome, plan: TaskPlan | None, error: RemoteError | None) -> Diagnosis:
    match outcome.stop_cause, outcome.verdict:
        case StopCause.DEADLINE, _:
            return _deadline(outcome)
        case StopCause.ACCESS, _:
            return _unwatchable(outcome, error)
        case _, Verdict.EVICTED:
            return _evicted(outcome)
        case _, Verdict.STOPPED:
            return _stopped(outcome)
        case _, Verdict.LOST:
            return _lost(outcome)
    return _from_reasons(outcome, plan)


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
    failed = to_blame(outcome)
    if failed is None:
        return Diagnosis(
            summary=f"the task failed: {outcome.reason or 'ECS gives no reason'}",
            next_step="Look at the task in the ECS console.",
        )
    if failed.exit_code is None:
        why = failed.reason or outcome.reason or "ECS gives no reason"
        return Diagnosis(
            summary=f"container {failed.name!r} ended without an exit code: {why}",
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
    if outcome.not_ended:
        return Diagnosis(
            summary=f"the task took longer than allowed ({outcome.our_reason}); {outcome.not_ended}",
            cause=Cause.DEADLINE,
            next_step="Stop the task by hand if it still runs; then raise that limit, or find out from the log what "
            "took so long.",
        )
    return Diagnosis(
        summary=f"the task was stopped because it took longer than allowed: {outcome.our_reason}",
        cause=Cause.DEADLINE,
        next_step="Raise that limit, or find out from the log what took so long.",
    )


# The first class that fits, so the narrow ones come first.
_MENDING: tuple[tuple[type[RemoteError], str], ...] = (
    (CredentialsExpired, "Whoever manages the connection must give it usable credentials"),
    (AccessDenied, "Whoever manages permissions must restore access"),
    (NotFound, "Find out whether the cluster was deleted, or the connection now leads to another account or region"),
    (MalformedAnswer, "Find out what changes AWS's answers on their way (a proxy?), or report this as a defect"),
    (RequestRefused, "Mend what this call was refused for"),
    (Unavailable, "Find out why AWS cannot be reached from the triggerer"),
)


def _unwatchable(outcome: Outcome, error: RemoteError | None) -> Diagnosis:
    mending = next((text for kind, text in _MENDING if isinstance(error, kind)), "Restore access")
    return Diagnosis(
        summary=f"the task can no longer be watched, and may still be running: {outcome.our_reason}",
        cause=Cause.ACCESS,
        next_step=f"{mending}; then stop the task by hand, or clear the Airflow task.",
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
        summary=f"ECS no longer knows the task, so how it ended cannot be known: {outcome.our_reason}",
        cause=Cause.LOST,
        next_step="ECS forgets stopped tasks after about an hour: its logs may tell how it ended.",
    )


def _reasons(outcome: Outcome) -> list[tuple[ContainerOutcome | None, str]]:
    """
    Every reason that ECS gives for this end: the container's to blame first, the task's own last.

    What befell a container that is not essential has ended nothing, unless no container came to run.
    """
    blamed = to_blame(outcome)
    containers = sorted(outcome.containers, key=lambda one: (one is not blamed, not one.essential))
    found: list[tuple[ContainerOutcome | None, str]] = [
        (one, one.reason)
        for one in containers
        if one.reason and (one.essential or one is blamed or outcome.verdict is Verdict.NEVER_STARTED)
    ]
    if outcome.reason:
        found.append((None, outcome.reason))
    return found


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
