"""What a scripted node says that really happened is what its API shows."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions, KubeControlError
from tests.support.kube_lab import NAMESPACE, KubeLab


def lines_of(lab: KubeLab, name: str) -> list[float]:
    """When each line was written; none while it has not started."""
    answer = httpx.get(
        f"{lab.kube.url}/api/v1/namespaces/{NAMESPACE}/pods/{name}/log?timestamps=true",
        headers={"Authorization": f"Bearer {lab.kube.token}"},
    )
    if answer.is_error:
        return []
    return [datetime.fromisoformat(line[:26] + "+00:00").timestamp() for line in answer.text.splitlines()]


def truth(lab: KubeLab, uid: str) -> dict[str, Any]:
    (found,) = [one for one in lab.kube.control.node_fault("truth")["pods"] if one["uid"] == uid]
    return dict(found)


def test_the_truth_of_a_pod_is_what_its_log_and_its_status_say(tmp_path: Path) -> None:
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted")) as kube:
        lab = KubeLab(kube, tmp_path)
        ref = lab.create({"lines": 5, "interval": 0.1, "burst": 2, "exit_code": 3, "status_delay": 0.3})
        lab.until(lambda: truth(lab, ref.uid)["containers"].get("base", {}).get("told"))
        told = truth(lab, ref.uid)
        base = told["containers"]["base"]
        assert (told["name"], told["deleted"], base["exit_code"]) == (ref.name, False, 3)
        assert base["lines"] == pytest.approx(lines_of(lab, ref.name), abs=1e-4)
        assert base["ended"] + 0.25 < base["told"] < base["ended"] + 2


def test_what_was_deleted_is_remembered_and_wrote_nothing_after_its_end(tmp_path: Path) -> None:
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted")) as kube:
        lab = KubeLab(kube, tmp_path)
        ref = lab.create({"lines": 1000, "interval": 0.02, "status_delay": 0.2})
        lab.until(lambda: len(lines_of(lab, ref.name)) > 5)
        lab.delete(ref)
        asyncio.run(lab.gone(ref))
        told = truth(lab, ref.uid)
        base = told["containers"]["base"]
        assert (told["deleted"], base["exit_code"]) == (True, 143)
        assert max(base["lines"]) <= base["ended"] < base["told"] < time.time()
        with pytest.raises(KubeControlError, match="knows no weather"):
            kube.control.node_fault("weather")
