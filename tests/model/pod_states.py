"""Verdicts by their letters, and recorded pods with another state."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncrun.model.outcome import Verdict
from asyncrun.model.pod import Pod, read_pod

S, F, N, E, P, L = (
    Verdict.SUCCEEDED,
    Verdict.FAILED,
    Verdict.NEVER_STARTED,
    Verdict.EVICTED,
    Verdict.STOPPED,
    Verdict.LOST,
)


def code_of(pod: Pod) -> int | None:
    status = pod.status_of("main")
    return status.state.terminated.exit_code if status is not None and status.state.terminated else None


def edited(pod: Pod, **parts: dict[str, Any]) -> Pod:
    raw = msgspec.to_builtins(pod)
    for part, values in parts.items():
        raw[part].update(values)
    return read_pod(msgspec.json.encode(raw))


def with_end(pod: Pod, *, phase: str, exit_code: int, reason: str = "Error", message: str = "") -> Pod:
    raw = msgspec.to_builtins(pod)
    raw["status"]["phase"] = phase
    end = {"exitCode": exit_code, "reason": reason, "message": message}
    raw["status"]["containerStatuses"][0]["state"] = {"terminated": end}
    return read_pod(msgspec.json.encode(raw))
