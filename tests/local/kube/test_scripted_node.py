"""Scripted pods: scripts that cannot be played, and the ends of pods that are deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncrun.local.kube.scripted import ANNOTATION, Script
from tests.local.kube.conftest import Kube
from tests.local.kube.test_api_logs import script
from tests.local.kube.test_api_pods import PODS, settled


@pytest.mark.parametrize("given", [{"start": "soon"}, {"start": None}, {"burst": 0}, {"lines": 1.5}, {"nonsense": 1}])
async def test_a_script_that_cannot_be_played_stops_no_other_pod(kube: Kube, given: dict[str, Any]) -> None:
    usual = Script(start=0, run=3600)
    pod = {"metadata": {"annotations": {ANNOTATION: json.dumps(given)}}}
    assert Script.of(pod, usual) is usual
    await kube.create("odd", annotations=pod["metadata"]["annotations"])
    await kube.create("even", annotations=script(run=3600))
    await settled(kube, "odd", "Running")
    await settled(kube, "even", "Running")


def test_what_cannot_be_played_is_said() -> None:
    with pytest.raises(ValueError, match="burst of a script: 0 is less than 1"):
        Script(burst=0)
    with pytest.raises(ValueError, match="run of a script: Expected"):
        Script(run="long")  # type: ignore[arg-type]


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_pod_that_has_ended_keeps_its_phase_when_it_is_deleted(kube: Kube, exit_code: int, phase: str) -> None:
    await kube.create("a", annotations=script(lines=1, exit_code=exit_code))
    headers = {"Content-Type": "application/merge-patch+json"}
    await kube.ask("PATCH", f"{PODS}/a", {"metadata": {"finalizers": ["a/b"]}}, headers=headers)
    await settled(kube, "a", phase)
    changes = kube.store.subscribe("pods")
    await kube.ask("DELETE", f"{PODS}/a")
    await kube.create("z", annotations=script(run=3600))
    await settled(kube, "z", "Running")
    await kube.ask("PATCH", f"{PODS}/a", {"metadata": {"finalizers": None}}, headers=headers)
    phases = [one.object["status"]["phase"] for one in changes.take() if one.object["metadata"]["name"] == "a"]
    assert set(phases) == {phase}
