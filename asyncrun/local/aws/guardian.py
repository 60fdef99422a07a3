"""Kills what is left of the containers when the server is gone, however it ended (SIGKILL included).

Started by the server as ``python -m asyncrun.local.aws.guardian MARK DIRECTORY``; waits for the end of its standard
input, which only the server holds.
"""

from __future__ import annotations

import shutil
import signal
import sys

from asyncrun.local.aws.process import kill_marked


def main() -> None:
    """Waits, then kills, then removes the containers' directories."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _, mark, directory = sys.argv
    kill_marked(mark)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
