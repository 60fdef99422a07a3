"""Upstream is measured as installed from its wheels, without asyncrun in its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import runner, upstream
from benchmarks.load import Load, Raw
from benchmarks.standin import TaskSpec

_ROOT = Path(upstream.__file__).resolve().parents[1]


def _pins(path: Path) -> dict[str, str]:
    return dict(line.split("==", 1) for line in path.read_text().split() if "==" in line)


def test_without_its_environment_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(upstream, "_ROOT", tmp_path)
    monkeypatch.setattr(upstream, "FOLDER", tmp_path / "build" / "upstream")
    with pytest.raises(RuntimeError, match=r"build/upstream is missing or out of date: 'make bench' makes it"):
        upstream.interpreter()


def test_an_environment_of_other_pins_is_out_of_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(upstream, "_ROOT", tmp_path)
    monkeypatch.setattr(upstream, "FOLDER", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pins.txt").write_text("apache-airflow==3.3.0\n")
    with pytest.raises(RuntimeError, match="out of date"):
        upstream.interpreter()


def test_both_are_measured_with_the_same_releases_of_what_they_share() -> None:
    ours, theirs = _pins(_ROOT / "constraints.txt"), _pins(_ROOT / "benchmarks" / "upstream.txt")
    different = {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]}
    assert different == set()
    assert set(upstream.releases()) <= theirs.keys()
    assert not any("asyncrun" in name for name in theirs)


def test_what_runs_beside_upstreams_triggers_imports_nothing_of_ours() -> None:
    modules = "benchmarks.supervise, benchmarks.supervisor, benchmarks.loop_lag, benchmarks.pods, benchmarks.standin"
    # Here Airflow itself finds our provider, which is installed; there it is not.
    code = f"import sys, airflow.jobs.triggerer_job_runner; known = set(sys.modules); import {modules}"
    code += "; print([one for one in sys.modules.keys() - known if one.split('.')[0] == 'asyncrun'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    told = subprocess.run([sys.executable, "-c", code], cwd=_ROOT, env=environment, capture_output=True, text=True,
                          timeout=100, check=True)  # fmt: skip
    assert told.stdout.strip().splitlines()[-1] == "[]"


def test_a_measurement_of_upstream_in_which_ours_was_imported_is_refused(tmp_path: Path) -> None:
    load = Load(trigger="upstream", groups=[(1, TaskSpec())])
    with pytest.raises(RuntimeError, match="asyncrun was imported"):
        runner._check_modules(load, Raw(lags=[{"asyncrun": False}, {"asyncrun": True}]))
    runner._check_modules(load, Raw(lags=[{"asyncrun": False}]))


def test_upstreams_process_finds_this_package_and_not_ours(tmp_path: Path) -> None:
    load = Load(trigger="upstream", groups=[(1, TaskSpec())])
    folder = runner._import_path(tmp_path, load)
    assert [one.name for one in folder.iterdir()] == ["benchmarks"]
    assert (folder / "benchmarks" / "supervise.py").exists()
