"""How much memory a process tree uses, and which process of it most: what a cgroup would know."""

# ruff: noqa: PTH123, PTH208
# Paths are strings here: this runs once for every container.

from __future__ import annotations

import contextlib
import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Direct children of that process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def descendants(pid: int) -> list[int]:
    """All below that process."""
    found: list[int] = []
    todo = children(pid)
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children(one)
    return found


def excess(supervisor: int, limit: int) -> tuple[int, float]:
    """
    Whether the processes below ``supervisor`` use more than ``limit`` bytes.

    Private pages are cheap to count, but count pages that a fork shares once per process: above the limit the exact
    number is read, where the kernel has it.

    :returns: the process that uses most, or 0 if the limit is kept; and the share of the limit that is used.
    """
    used = {pid: _private(pid) for pid in descendants(supervisor)}
    total = sum(used.values())
    if total > limit:
        used = {pid: _proportional(pid, size) for pid, size in used.items()}
        total = sum(used.values())
    return (max(used, key=used.__getitem__) if total > limit else 0), total / limit


def _private(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/statm", "rb") as file:
        _, resident, shared, *_ = map(int, file.read().split())
        return (resident - shared) * _PAGE
    return 0


def _proportional(pid: int, otherwise: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return otherwise
