"""Recorded pods as a trigger sees them: update by update until their outcome is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from asyncrun.model.diagnosis import Diagnosis
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.pod import Pod, PodEvent, read_pod
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import Decision, decide, ended_apart, gave_up, needs_events
from tests.support.traces import trace


class Update(NamedTuple):
    """One line of a watch."""

    type: str
    pod: Pod


class Ending(NamedTuple):
    """What a trigger makes of a pod: the first complete decision, or None."""

    decision: Decision | None
    pod: Pod
    at: int
    """Index of the update that decided."""
    asked_for_events: bool


def raw_pods(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and object of every line about a pod, in order."""
    lines = [json.loads(one["line"]) for one in trace(name) if one["kind"] == "watch"]
    return [
        (line["type"], line["object"])
        for line in lines
        if line.get("object", {}).get("kind") == "Pod" and line["type"] in ("ADDED", "MODIFIED", "DELETED")
    ]


def updates(name: str, pod: str = "") -> list[Update]:
    """Of one pod of the trace: the first one, or the one of that name."""
    raw = raw_pods(name)
    uid = next(one["metadata"]["uid"] for _, one in raw if pod in ("", one["metadata"]["name"]))
    return [Update(kind, read_pod(json.dumps(one).encode())) for kind, one in raw if one["metadata"]["uid"] == uid]


def pod_names(name: str) -> list[str]:
    """Of all pods of the trace, in order of their appearance."""
    return list(dict.fromkeys(one["metadata"]["name"] for _, one in raw_pods(name)))


def alive(name: str, pod: str = "") -> Pod:
    """The pod as it was seen last before anybody deleted it."""
    return [one.pod for one in updates(name, pod) if one.pod.metadata.deletion_timestamp is None][-1]


def events(name: str, pod: str = "") -> list[PodEvent]:
    """The events that were recorded about it."""
    wanted = pod or pod_names(name)[0]
    for one in trace(name):
        if one["kind"] == "request" and one["path"].endswith(f"/events?fieldSelector=involvedObject.name%3D{wanted}"):
            return [_event(item) for item in json.loads(one["body"])["items"]]
    raise LookupError(f"no events of {wanted} in {name}")


def ending(
    name: str, pod: str = "", base: str = "main", *, heard: Sequence[PodEvent] | None = None, first: int = 0
) -> Ending:
    """
    Go through the pod's updates as a trigger does, to the first complete decision.

    :param heard: what a GET of the events answers, None: it is refused.
    :param first: index of the first update that is seen at all: a trigger may come late.
    """
    seen = updates(name, pod)
    apart = False
    for at, one in enumerate(seen[first:], start=first):
        apart = apart or ended_apart(one.pod, base)
        gone = one.type == "DELETED"
        decision = decide(one.pod, base, deleted=gone, end_seen_apart=apart)
        if decision is not None and decision.complete:
            asked = needs_events(one.pod, base, end_seen_apart=apart)
            if asked:
                decision = decide(one.pod, base, deleted=gone, end_seen_apart=apart, events=heard)
            return Ending(decision, one.pod, at, asked)
    return Ending(None, seen[-1].pod, len(seen), asked_for_events=False)


def ended(*, exit_code: int, reason: str = "Error", message: str = "", phase: str = "Failed") -> Pod:
    """The pod of trace ``b_exit3``, were it to have ended so."""
    raw = msgspec.to_builtins(alive("b_exit3"))
    raw["status"]["phase"] = phase
    end = {"exitCode": exit_code, "reason": reason, "message": message}
    raw["status"]["containerStatuses"][0]["state"] = {"terminated": end}
    return read_pod(msgspec.json.encode(raw))


def decided(pod: Pod, **facts: Any) -> Outcome:
    """The outcome of a pod that has ended."""
    decision = decide(pod, "main", **facts)
    assert decision is not None
    return decision.outcome


def of_end(name: str, pod: str = "", base: str = "main", *, blind: bool = False) -> Diagnosis:
    """What is said of a recorded pod, by the trigger's way; ``blind``: without its events."""
    heard = None if blind else events(name, pod)
    found = ending(name, pod, base, heard=heard)
    assert found.decision is not None
    return diagnose(found.decision.outcome, found.pod, heard, base=base)


LATE = "it did not start within startup_timeout_seconds=120"


def of_start(name: str, pod: str = "", *, blind: bool = False) -> Diagnosis:
    """What is said of a recorded pod that was given up because it did not start."""
    seen = alive(name, pod)
    outcome = gave_up(Verdict.NEVER_STARTED, LATE, StopCause.START, base="main", pod=seen)
    return diagnose(outcome, seen, None if blind else events(name, pod), base="main")


def _event(item: dict[str, Any]) -> PodEvent:
    first = item.get("firstTimestamp") or item.get("eventTime")
    last = item.get("lastTimestamp") or item.get("eventTime")
    return PodEvent(
        uid=item["metadata"]["uid"],
        kind=item["type"],
        reason=item["reason"],
        message=item["message"],
        count=item.get("count") or 1,
        first_at=_epoch(first),
        last_at=_epoch(last),
    )


def _epoch(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
