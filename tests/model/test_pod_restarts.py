"""Which ends of a container are not its last, by the rules of the container itself (KEP-5307)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncrun.model.pod import Pod, read_pod
from asyncrun.model.pod_outcome import decide


def ended(exit_code: int, *rules: dict[str, Any], phase: str = "Running") -> Pod:
    state = {"terminated": {"exitCode": exit_code, "reason": "Error", "containerID": "containerd://1"}}
    container = {"name": "base", "restartPolicy": "Never", "restartPolicyRules": list(rules)}
    pod = {
        "metadata": {"uid": "u", "name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [container]},
        "status": {"phase": phase, "containerStatuses": [{"name": "base", "state": state}]},
    }
    return read_pod(msgspec.json.encode(pod))


def rule(operator: str, *values: int) -> dict[str, Any]:
    return {"action": "Restart", "exitCodes": {"operator": operator, "values": list(values)}}


@pytest.mark.parametrize(
    ("rules", "exit_code", "is_last"),
    [
        ([rule("In", 42)], 42, False),
        ([rule("In", 42)], 1, True),
        ([rule("NotIn", 0, 3)], 1, False),
        ([rule("NotIn", 0, 3)], 3, True),
        ([rule("In", 7), rule("In", 42)], 42, False),
        ([{"action": "Restart"}], 42, True),
        ([], 42, True),
    ],
)
def test_a_rule_that_restarts_a_container_keeps_the_run_going(
    rules: list[dict[str, Any]], exit_code: int, is_last: bool
) -> None:
    pod = ended(exit_code, *rules)
    assert (decide(pod, "base") is not None) is is_last
    assert pod.may_restart("base") is bool(rules)


def test_a_final_pod_has_ended_whatever_the_rules() -> None:
    decision = decide(ended(42, rule("In", 42), phase="Failed"), "base")
    assert decision is not None
    assert decision.outcome.exit_code == 42
