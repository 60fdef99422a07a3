"""The facts that prove how a pod ended, one each, for people: its status, its containers, its events."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asyncrun.model.outcome import ContainerOutcome, Outcome
from asyncrun.model.pod import Condition, Pod, PodEvent
from asyncrun.model.pod_containers import shorten

MOST_EVENTS = 8
LONGEST_FACT = 600
"""Characters of one fact: an API server's or a program's words may be long, and outcomes lie in a database."""

# Normal events that explain an end or a delay; every Warning does.
_TELLING = frozenset(
    {
        "Killing",
        "Preempted",
        "Preempting",
        "TaintManagerEviction",
        "DeadlineExceeded",
        "TriggeredScaleUp",
        "NotTriggerScaleUp",
    }
)
_ONLY_A_CODE = re.compile(r"Error: \w+")  # "Error: ErrImagePull" beside the event that says why
_TELLING_CONDITIONS = frozenset({"PodScheduled", "DisruptionTarget", "Initialized", "Ready"})
_PLAIN_REASONS = frozenset({None, "", "ContainersNotReady", "ContainersNotInitialized", "PodCompleted", "PodFailed"})


def evidence(outcome: Outcome, pod: Pod | None, events: Sequence[PodEvent] | None, missed: str) -> tuple[str, ...]:
    """
    Every fact that bears on this end.

    :param pod: as it was seen last, None if it never was.
    :param events: of this pod, oldest first; None: they were not or cannot be read.
    :param missed: what events would have shown, as the end of a sentence.
    """
    facts = [] if pod is None else [_status(pod), *_conditions(pod)]
    facts += [_container(one) for one in outcome.containers if _tells(one)]
    facts += [
        f"termination message of container {one.name}: {_one_line(one.message)}"
        for one in outcome.containers
        if one.message and one.exit_code is not None and one.essential
    ]
    if events is not None:
        facts += _events(events)
    elif pod is not None:
        facts.append(
            f"the pod's events were not read: with the permission to list events in namespace "
            f"{pod.metadata.namespace!r} they would show {missed}"
        )
    if outcome.code and not any(outcome.code in one for one in facts):
        facts.append(f"{outcome.code}: {_one_line(outcome.reason)}")
    return tuple(dict.fromkeys(shorten(one, LONGEST_FACT) for one in facts))


def _status(pod: Pod) -> str:
    words = [f"pod {pod.metadata.namespace}/{pod.metadata.name}: phase={pod.status.phase or 'unknown'}"]
    if pod.status.reason:
        words.append(f"reason={pod.status.reason}")
    if pod.status.message:
        words.append(f"message={_one_line(pod.status.message)}")
    if pod.spec.node_name:
        words.append(f"node={pod.spec.node_name}")
    if pod.metadata.deletion_timestamp is not None:
        grace = pod.metadata.deletion_grace_period_seconds
        words.append(f"deletionTimestamp={pod.metadata.deletion_timestamp:%Y-%m-%dT%H:%M:%SZ} (grace {grace or 0} s)")
    return ", ".join(words)


def _conditions(pod: Pod) -> list[str]:
    return [_condition(one) for one in pod.status.conditions or () if _condition_tells(one)]


def _condition_tells(one: Condition) -> bool:
    if one.type == "DisruptionTarget":
        return one.status == "True"
    return one.type in _TELLING_CONDITIONS and one.status == "False" and one.reason not in _PLAIN_REASONS


def _condition(one: Condition) -> str:
    message = f": {_one_line(one.message)}" if one.message else ""
    return f"condition {one.type}={one.status}, reason={one.reason}{message}"


def _tells(one: ContainerOutcome) -> bool:
    return one.exit_code is not None or bool(one.reason)


def _container(one: ContainerOutcome) -> str:
    words = [] if one.exit_code is None else [f"exitCode={one.exit_code}"]
    if one.reason:
        words.append(f"reason={one.reason}")
    if one.exit_code is None and one.message:
        words.append(f"message={_one_line(one.message)}")
    if one.started_at is not None and one.finished_at is not None:
        words.append(f"ran {max(0.0, one.finished_at - one.started_at):.0f} s")
    return f"container {one.name}: {', '.join(words)}"


def _events(events: Sequence[PodEvent]) -> list[str]:
    telling = [
        one
        for one in events
        if one.reason in _TELLING or (one.kind == "Warning" and not _ONLY_A_CODE.fullmatch(one.message))
    ]
    shown = [
        f"event {one.reason}{f' ({one.count} times)' if one.count > 1 else ''}: {_one_line(one.message)}"
        for one in telling[-MOST_EVENTS:]
    ]
    left_out = len(telling) - len(shown)
    return [f"{left_out} earlier events are left out", *shown] if left_out else shown


def _one_line(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines() if line.strip())
