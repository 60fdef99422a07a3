"""The wheel: what is in it, and that it works without the repository around it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_USE_IT = """
import importlib.metadata, json, sys
sys.path.insert(0, sys.argv[1])
import asyncrun.triggers.ecs, asyncrun.operators.ecs, asyncrun.sensors.ecs, asyncrun.provider
entry = [e for e in importlib.metadata.entry_points(group="apache_airflow_provider") if e.value.startswith("asyncrun")]
print(json.dumps([asyncrun.triggers.ecs.__file__, len(entry[0].load()()["config"]["asyncrun"]["options"])]))
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


def test_the_installed_wheel_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path, wheel], check=True
    )
    answer = subprocess.run(
        [sys.executable, "-c", _USE_IT, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, options = json.loads(answer.stdout.splitlines()[-1])
    assert Path(file) == tmp_path / "asyncrun" / "triggers" / "ecs.py"
    assert options > 20


def test_triggers_refuse_another_name(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "import triggers"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert "import asyncrun.triggers, not 'triggers'" in answer.stderr
