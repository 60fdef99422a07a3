"""How the triggers say that runs ended, and whether that is true."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from benchmarks.load import Raw

# Upstream's triggers tell only that the task is over, a pod's whether it failed; its operators ask again what became of
# it.
_UPSTREAM = "over"
_UPSTREAM_FAILED = "over, failed"


def verdicts(raw: Raw, mine: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, int], list[str]]:
    """
    Endings and how often they came; and those that do not fit the container's exit code, with the reason.

    :param mine: what really happened, by trigger number.
    """
    ends: dict[int, list[str]] = defaultdict(list)
    for _, number, event in raw.fired:
        if number in mine:
            ends[number].append(_ending(event))
    for _, number, text in raw.broken:
        if number in mine:
            ends[number].append("trigger failed: " + text.strip().rsplit("\n", 1)[-1][:200])
    wrong = []
    for number, task in mine.items():
        failed = task["exit_codes"][0] != 0
        expected = f"failed {task['exit_codes'][0]}" if failed else "succeeded"
        if task.get("deleted"):
            expected = f"stopped {task['exit_codes'][0]}"
        right = {expected, _UPSTREAM, *((_UPSTREAM_FAILED,) if failed else ())}
        if len(ends[number]) != 1 or ends[number][0] not in right:
            wrong.append(f"run {number}: {ends[number]}, not {expected}")
    return dict(Counter(one for many in ends.values() for one in many)), wrong


def _ending(event: Mapping[str, Any]) -> str:
    payload = event["payload"]
    if event["kind"] == "TaskSuccessEvent":
        return "succeeded"
    if isinstance(payload, dict) and "outcome" in payload:
        outcome = payload["outcome"]
        decider = outcome.get("decided_by")
        codes = [one.get("exit_code") for one in outcome.get("containers") or () if one.get("name") == decider]
        return str(outcome["verdict"]).lower() + "".join(f" {code}" for code in codes if code)
    told = {"success": _UPSTREAM, "failed": _UPSTREAM_FAILED}
    status = payload.get("status") if isinstance(payload, dict) else None
    return told.get(str(status), f"event {payload}")
