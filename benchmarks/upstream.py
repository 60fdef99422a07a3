"""
Upstream's providers in an environment of their own, made by ``python -m benchmarks.upstream`` and so by ``make bench``.

They are installed from their wheels, in the releases that ``upstream.txt`` pins, and nothing of ours is there.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PINS = Path(__file__).with_name("upstream.txt")
FOLDER = _ROOT / "build" / "upstream"
REQUIREMENTS = (
    "apache-airflow",
    "apache-airflow-providers-amazon[aiobotocore]",
    "apache-airflow-providers-cncf-kubernetes",
)
"""``aiobotocore`` is what the amazon provider's deferrable operators ask for."""


def interpreter() -> str:
    """
    The Python of upstream's environment.

    :raises RuntimeError: it is not there, or not of the pinned releases; with what to do.
    """
    python = FOLDER / "bin" / "python"
    if not python.exists() or not _is_fresh():
        raise RuntimeError(
            f"upstream's environment in {FOLDER.relative_to(_ROOT)} is missing or out of date: 'make bench' makes it, "
            "or 'python -m benchmarks.upstream'; '--triggers ours' measures without it"
        )
    return str(python)


def make() -> None:
    """
    Make it, where it is not there as pinned.

    :raises subprocess.CalledProcessError: pip could not install something; it has said what.
    """
    if _is_fresh():
        return
    print(f"Installing upstream's providers into {FOLDER.relative_to(_ROOT)} (a few minutes the first time) ...")
    venv.create(FOLDER, with_pip=False, clear=True)
    pip = [sys.executable, "-m", "pip", "--python", str(FOLDER / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-qq", "--only-binary", ":all:", "-c", str(_PINS), *REQUIREMENTS], check=True)
    _stamp().write_bytes(_PINS.read_bytes())


def releases() -> dict[str, str]:
    """What is measured: the pinned releases of ``REQUIREMENTS``."""
    pinned = dict(line.split("==", 1) for line in _PINS.read_text().split() if "==" in line)
    return {name: pinned[name] for name in (one.split("[", 1)[0] for one in REQUIREMENTS)}


def _stamp() -> Path:
    return FOLDER / "pins.txt"


def _is_fresh() -> bool:
    return _stamp().exists() and _stamp().read_bytes() == _PINS.read_bytes()


if __name__ == "__main__":
    make()
