"""
``python -m benchmarks.profile``: what runs cost the triggerer in memory, CPU and steps of its event loop, and where.

The triggers run in the real ``TriggerRunner`` (``benchmarks.supervisor``); a probe among them looks from inside.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.pods import Pods
from benchmarks.standin import StandIn

_ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    for title, report in looked(**vars(arguments)).items():
        _print(title, report, arguments.top)


def looked(
    *, backend: str = "ecs", runs: int = 500, lines: float = 1.0, what: str = "memory", stagger: float = 10.0,
    steady: float = 20.0, no_end: bool = False, **_: Any,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """
    Measure.

    :return: what was seen, by phase; see the looks.
    """
    plan = {"backend": backend, "runs": runs, "lines": lines, "what": what, "stagger": stagger, "steady": steady,
            "no_end": no_end}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="profile-") as name:
        folder = Path(name)
        (folder / "plan.json").write_text(json.dumps(plan))
        with Pods() if backend == "pods" else StandIn() as server:
            environment = _environment(folder) | server.environment()
            command = [sys.executable, "-m", "benchmarks.profile_host", server.address, name]
            subprocess.run(command, check=True, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL)
        return {one.stem: json.loads(one.read_text()) for one in sorted(folder.glob("phase-*.json"))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--backend", choices=("ecs", "pods", "sleep"), default="ecs",
                        help="sleep: triggers that only sleep, the floor")  # fmt: skip
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--lines", type=float, default=1.0, help="lines per second and run; 0: no logs")
    parser.add_argument("--what", choices=("memory", "garbage", "cpu", "steps"), default="memory")
    parser.add_argument("--stagger", type=float, default=10.0, help="s over which the runs are handed over")
    parser.add_argument("--steady", type=float, default=20.0, help="s that are looked at after the start")
    parser.add_argument("--top", type=int, default=25, help="rows of each table")
    parser.add_argument("--no-end", action="store_true", help="do not wait for the ends")
    return parser.parse_args()


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_HOME", "AWS_"))}
    return kept | {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": str(_ROOT),
    }


def _print(title: str, report: dict[str, Any], top: int) -> None:
    print(f"\n===== {title}: {report['runs']} runs")
    for name, value in report.items():
        if isinstance(value, int | float):
            print(f"  {name}: {value:,.2f}")
        elif isinstance(value, dict):
            print(f"  {name}: {json.dumps(value)}")
    for name, rows in report.items():
        if isinstance(rows, list):
            print(f"  -- {name}")
            for row in rows[:top]:
                print("    " + (_turn(row) if isinstance(row, dict) else _row(row)))


def _row(row: list[Any]) -> str:
    name, *figures = row
    text = str(name).replace(str(_ROOT) + "/", "").split("site-packages/")[-1]
    return "".join(f"{figure:>14,.3f}" for figure in figures) + f"  {text}"


def _turn(turn: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {ms:.0f}" for name, ms in turn["parts"])
    stack = "\n".join("          " + line for line in turn["stack"].splitlines()[-14:])
    head = (
        f"{turn['ms']:.0f} ms, gc {turn['gc']:.0f}, longest step {turn['longest_step_ms']:.0f} {turn['longest_step']}"
    )
    return f"{head}\n      parts: {parts}\n{stack}"


if __name__ == "__main__":
    main()
