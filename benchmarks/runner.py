"""
Runs N triggers in one process the way Airflow's triggerer does, and notes what happens.

``measure`` is for the caller's process; the supervisor (``benchmarks.supervise``) and the forked runner live in
processes of their own, so that they inherit nothing from a test runner, and their memory and CPU are their own. Ours
run with this interpreter, upstream's with that of an environment in which asyncrun does not exist.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.load import Load, Platform, Raw
from benchmarks.upstream import interpreter

__all__ = ["Load", "Platform", "Raw", "measure"]

_ROOT = Path(__file__).resolve().parents[1]
_SPARE = 180  # s that start and end of the processes may take, besides the limit of a measurement


def measure(load: Load, standin: Platform) -> Raw:
    """
    Run it to the end.

    :param standin: what they run on.
    :raises RuntimeError: the harness itself failed, with its output; or upstream's environment is not there.
    """
    python = sys.executable if load.trigger == "ours" else interpreter()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        (home / "load.json").write_bytes(msgspec.json.encode(load))
        with (home / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [python, "-m", "benchmarks.supervise", standin.address, str(home)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=_environment(home, load, standin),
                start_new_session=True,  # so that the forked runner can be ended with it
            )
            try:
                code = process.wait(load.limit + load.stagger + load.settle + _SPARE)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        text = (home / "output.txt").read_text(errors="replace")
        if code != 0:
            raise RuntimeError(f"the harness ended with exit code {code}:\n{text[-8000:]}")
        raw = msgspec.json.decode((home / "raw.json").read_bytes(), type=Raw)
        raw.output = text
        _check_modules(load, raw)
        return raw


def _check_modules(load: Load, raw: Raw) -> None:
    """
    Upstream is measured as it is installed from its wheels: our package must not even be imported beside it.

    :raises RuntimeError: it was.
    """
    if load.trigger == "upstream" and any(one.get("asyncrun") for one in raw.lags):
        raise RuntimeError("asyncrun was imported in the process in which upstream's triggers are measured")


def _environment(home: Path, load: Load, standin: Platform) -> dict[str, str]:
    left_out = ("AIRFLOW", "_AIRFLOW", "AWS_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        **standin.environment(),
        **{f"AIRFLOW__ASYNCRUN__{name.upper()}": value for name, value in load.settings.items()},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": str(_import_path(home, load)),
    }


def _import_path(home: Path, load: Load) -> Path:
    """For upstream a folder with nothing but this package: the root of the repository has ours, too."""
    if load.trigger == "ours":
        return _ROOT
    folder = home / "path"
    folder.mkdir()
    (folder / "benchmarks").symlink_to(_ROOT / "benchmarks")
    return folder
