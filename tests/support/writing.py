"""
Containers that write lines of which it is known what they are, and what of them a task log shows.

Ten lines in a burst: six at once, so in one millisecond, identical ones among them and one of another level; then four
with pauses in which time slots end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

BURST = 10
AGAIN = "again and again"

_PROGRAM = """\
import os, random, sys, time

folder, name = sys.argv[1:]
pause, burst, began = float(open(folder + "/pause").read()), 0, time.monotonic()
chance = random.Random(name)
time.sleep(chance.random() * pause)
while not os.path.exists(f"{folder}/told-{name.rpartition('-')[2]}"):
    at = burst * 10
    number = lambda index: f"{name} line {at + index}"
    again = "again and again"
    together = [number(0), again, again, "ERROR " + number(3), again, number(5) + " \\u00fc"]
    os.write(1, "".join(line + "\\n" for line in together).encode())
    for line in (number(6), number(7), again, number(9)):
        time.sleep(chance.random() * 0.03)
        os.write(1, (line + "\\n").encode())
    burst += 1
    time.sleep(max(0.0, began + burst * pause - time.monotonic()))
with open(f"{folder}/{name}.bursts", "w") as file:
    file.write(str(burst))
os.write(1, f"{name} wrote {burst} bursts\\n".encode())
"""


class Writers:
    """
    The containers of some runs.

    :param folder: where their program is, and where each tells how much it wrote.
    :param pause: seconds between two bursts of one container.
    """

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "write.py").write_text(_PROGRAM)
        (folder / "pause").write_text(str(pause))

    def end(self, container: str) -> None:
        """Tell all containers of that name to end."""
        (self.folder / f"told-{container}").touch()

    def has_ended(self, name: str) -> bool:
        """Whether this one has written all but its last line."""
        return (self.folder / f"{name}.bursts").exists()

    def written(self, name: str) -> list[str]:
        """All that this one has written; it has ended."""
        bursts = int((self.folder / f"{name}.bursts").read_text())
        return [*lines(name, bursts), f"{name} wrote {bursts} bursts"]


def lines(name: str, bursts: int) -> list[str]:
    """What a container of that name writes in so many bursts."""
    out = []
    for at in range(0, bursts * BURST, BURST):
        number = f"{name} line {{}}".format
        out += [
            number(at), AGAIN, AGAIN, "ERROR " + number(at + 3), AGAIN, number(at + 5) + " ü",
            number(at + 6), number(at + 7), AGAIN, number(at + 9),
        ]  # fmt: skip
    return out


@dataclass(frozen=True)
class Count:
    """What is wrong with what is shown of some containers' lines."""

    lines: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    examples: tuple[str, ...] = ()

    @property
    def wrong(self) -> tuple[int, int, int]:
        return self.lost, self.doubled, self.disordered

    def __add__(self, other: Count) -> Count:
        return Count(
            self.lines + other.lines,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.disordered + other.disordered,
            (*self.examples, *other.examples)[:40],
        )

    def __str__(self) -> str:
        return f"{self.lost:,} lost, {self.doubled:,} doubled, {self.disordered:,} out of order"


def compare(shown: Sequence[str], written: Sequence[str]) -> Count:
    """Count what is missing, too much and out of order (lines that come after one with a higher number)."""
    lost, doubled = Counter(written) - Counter(shown), Counter(shown) - Counter(written)
    numbers = [number for line in shown if (number := number_of(line)) is not None]
    disordered = sum(after < before for before, after in pairwise(numbers))
    examples = [f"lost: {line}" for line in lost] + [f"doubled: {line}" for line in doubled]
    return Count(len(written), lost.total(), doubled.total(), disordered, tuple(examples[:20]))


def compare_so_far(shown: Sequence[str], name: str) -> Count:
    """The same while the container writes: up to the last line that is shown."""
    last = max((number for line in shown if (number := number_of(line)) is not None), default=None)
    if last is None:
        return Count()
    full = lines(name, last // BURST + 1)
    upto = next(at for at, line in enumerate(full) if number_of(line) == last) + 1
    must, may = compare(shown, full[:upto]), compare(shown, full)
    over = [line for line in may.examples if line.startswith("doubled")]
    under = [line for line in must.examples if line.startswith("lost")]
    return Count(upto, must.lost, may.doubled, must.disordered, (*under, *over))


def number_of(line: str) -> int | None:
    """The number of a line that has one."""
    found = re.search(r" line (\d+)", line)
    return int(found[1]) if found else None
