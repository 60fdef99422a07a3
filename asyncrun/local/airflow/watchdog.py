"""Ends the local Airflow when the process that started it died without doing so (kill -9, closed terminal).

Run as ``python -m asyncrun.local.airflow.watchdog MARKER HOME`` with a pipe from the parent as stdin: it carries the
session id of each
started component, one a line, and its end is the parent's end, whatever ended it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from asyncrun.local.airflow import postgres
from asyncrun.local.airflow.processes import Family


class Watchdog:
    """The parent's side. Started before the first component; :meth:`close` makes it clean up and waits for it."""

    def __init__(self, marker: str, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "asyncrun.local.airflow.watchdog", marker, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Neither Ctrl-C nor the terminal's hang-up may end the one that cleans up after them.
            start_new_session=True,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def guard(self, session: int) -> None:
        """Make it answer for one more component."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{session}\n".encode())

    def release(self, session: int) -> None:
        """It is gone: its number may be another program's before long (Linux has 32,768 of them by default)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"-{session}\n".encode())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def clean_up(family: Family, home: Path) -> list[int]:
    """Kill the processes, then remove the folder; returns the pids that could not be killed."""
    postgres.stop(home)
    survivors = family.kill()
    shutil.rmtree(home, ignore_errors=True)
    return survivors


def main() -> None:
    marker, home = sys.argv[1:]
    sessions = set[int]()
    for line in sys.stdin:
        if (session := int(line)) > 0:
            sessions.add(session)
        else:
            sessions.discard(-session)
    clean_up(Family(marker, sessions), Path(home))


if __name__ == "__main__":
    main()
