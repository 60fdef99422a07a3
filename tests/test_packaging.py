"""The wheel: what is in it, and that it works without the repository around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from asyncrun.model.settings import Settings

ROOT = Path(__file__).resolve().parent.parent

_USE_IT = """
import importlib.metadata, importlib.util, json
import asyncrun.operators.ecs, asyncrun.provider, asyncrun.sensors.ecs, asyncrun.triggers.ecs
import asyncrun.clients.generation  # the SDK, which the extra brings
entries = importlib.metadata.entry_points(group="apache_airflow_provider")
(entry,) = [one for one in entries if one.value.startswith("asyncrun")]
print(json.dumps({
    "triggers": asyncrun.triggers.ecs.__file__,
    "operator": asyncrun.operators.ecs.EcsRunTaskOperator.__name__,
    "sensor": asyncrun.sensors.ecs.EcsTaskStateSensor.__name__,
    "options": len(entry.load()()["config"]["asyncrun"]["options"]),
    "top level": importlib.util.find_spec("triggers") is not None,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is, from a copy: building leaves files in the source tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in files.decode().split("\0"):
        if name and (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, source],
        check=True,
    )
    (built,) = out.glob("*.whl")
    return built


def used(python: str | Path, folder: Path, **environment: str) -> dict[str, Any]:
    """What a program of that interpreter finds, with an Airflow of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    answer = subprocess.run(
        [python, "-W", "ignore", "-c", _USE_IT],
        cwd=folder,
        env={**inherited, "AIRFLOW_HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def installed_in(packages: Path) -> dict[str, Any]:
    """What must be found where the wheel was installed."""
    return {
        "triggers": str(packages / "asyncrun" / "triggers" / "ecs.py"),
        "operator": "EcsRunTaskOperator",
        "sensor": "EcsTaskStateSensor",
        "options": len(fields(Settings)),
        "top level": False,
    }


def site_packages(python: Path) -> Path:
    command = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", command], capture_output=True, text=True, check=True).stdout.strip())


def test_the_wheel_has_no_top_level_triggers_and_everything_of_ours(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"asyncrun"}
    for wanted in (
        "asyncrun/py.typed",
        "asyncrun/triggers/ecs.py",
        "asyncrun/triggers/watch/ecs_tasks.py",
        "asyncrun/triggers/logs/emitter.py",
        "asyncrun/local/demo/dags/ecs_minimal.py",
    ):
        assert wanted in names


@pytest.mark.scale
def test_the_wheel_installed_into_an_empty_environment_works_without_the_repository(
    wheel: Path, tmp_path: Path
) -> None:
    """With the extra and all that it needs, from wherever pip takes packages on this machine: minutes."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    empty = subprocess.run([python, "-c", "import airflow"], capture_output=True, text=True, check=False)
    assert "No module named 'airflow'" in empty.stderr
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", f"{wheel}[aws]"], check=True)
    assert used(python, tmp_path) == installed_in(site_packages(python))


def test_triggers_refuse_another_name(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import triggers"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert "import asyncrun.triggers, not 'triggers'" in answer.stderr
