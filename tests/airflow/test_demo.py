"""The demo as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from asyncrun.local.demo.expectations import EXPECTATIONS

COMMAND = [sys.executable, "-m", "asyncrun.cli", "demo"]


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        COMMAND,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        output = iter(demo.stdout)
        assert any(line.startswith("Airflow is at http://127.0.0.1:") for line in output)
        processes = psutil.Process(demo.pid).children(recursive=True)
        assert len(processes) > 8
        demo.send_signal(signal.SIGINT)
        rest = "".join(output)
    assert demo.returncode == 130
    assert "Traceback" not in rest
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.scale
def test_whole_demo_succeeds_without_control_characters(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"{len(EXPECTATIONS)} DAGs in" in done.stdout
    assert "\x1b" not in done.stdout
