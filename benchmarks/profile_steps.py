"""How long the event loop is held up, by whom, and where."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import threading
import time
import traceback
from collections import Counter
from typing import Any

LONG = 0.02
"""Seconds: what takes longer is shown."""
_SAMPLE = 0.005  # s
_SHOWN = 40
_UNLIKE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{12,}|\d+")


def kind(name: str) -> str:
    """A name without numbers and identifiers."""
    short = _UNLIKE.sub("#", name)
    return "run_trigger" if short.startswith("bench/") else short[:80]


class StepsLook:
    """
    Times each turn of the loop (all that runs between two looks at its sockets) and each step in it.

    A timer of the loop is late by a whole turn: that is what other triggers feel. Told in CPU time of the loop's
    thread, which on an idle machine is the same, and does not depend on who else computes.
    """

    def begin(self) -> None:
        """From now on."""
        self._turns: list[tuple[float, dict[str, Any]]] = []
        self._lengths = Counter[int]()
        self._by_kind, self._steps = Counter[str](), Counter[str]()
        self._now: Counter[str] = Counter()
        self._began = self._cpu = self._longest_step = 0.0
        self._longest_kind = ""
        self._collecting = self._collected = 0.0
        self._stack = ""
        self._wrap_steps()
        self._wrap_turns()
        gc.callbacks.append(self._collection)
        sampler = threading.Thread(target=self._sample, args=(threading.get_ident(),), name="bench-steps", daemon=True)
        sampler.start()

    def end(self, runs: int) -> dict[str, Any]:
        """What was seen so far."""
        turns = sorted(self._turns, key=lambda one: -one[0])
        self._began = 0.0  # what the probe does is nobody's step
        return {
            "what": "steps",
            "runs": runs,
            "longest_turn_ms": turns[0][0] * 1000 if turns else 0.0,
            "longest_turn_without_gc_ms": max((one - details["gc"] for one, details in turns), default=0.0) * 1000,
            "turns_over_20_ms": len(turns),
            "histogram_ms": sorted(self._lengths.items()),
            "by_kind": [
                (name, seconds * 1000 / runs, self._steps[name] / runs)
                for name, seconds in self._by_kind.most_common(_SHOWN)
            ],
            "turns": [
                {"ms": length * 1000, **details, "gc": details["gc"] * 1000} for length, details in turns[:_SHOWN]
            ],
        }

    def _wrap_steps(self) -> None:
        original = asyncio.Handle._run  # noqa: SLF001 - there is no public way

        def timed(handle: Any) -> None:
            name = _name_of(handle)
            began = time.thread_time()
            original(handle)
            lasted = time.thread_time() - began
            self._now[name] += lasted  # type: ignore[assignment]
            self._steps[name] += 1
            if lasted > self._longest_step:
                self._longest_step, self._longest_kind = lasted, name

        asyncio.Handle._run = timed  # type: ignore[method-assign,assignment]  # noqa: SLF001
        asyncio.TimerHandle._run = timed  # type: ignore[method-assign,assignment]  # noqa: SLF001

    def _wrap_turns(self) -> None:
        selector: Any = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # noqa: SLF001
        original = selector.select

        def select(timeout: float | None = None) -> Any:
            if self._began:
                self._turn_over(time.thread_time() - self._cpu)
            self._began = 0.0
            try:
                return original(timeout)
            finally:
                self._began, self._cpu = time.perf_counter(), time.thread_time()

        selector.select = select

    def _turn_over(self, length: float) -> None:
        for name, seconds in self._now.items():
            self._by_kind[name] += seconds  # type: ignore[assignment]
        self._lengths[int(length * 100) * 10] += 1
        if length > LONG:
            details = {
                "at": time.time(),
                "gc": self._collected,
                "longest_step_ms": self._longest_step * 1000,
                "longest_step": self._longest_kind,
                "parts": [(name, seconds * 1000) for name, seconds in self._now.most_common(5)],
                "stack": self._stack,
            }
            self._turns.append((length, details))
        self._now = Counter()
        self._longest_step = self._collected = 0.0
        self._stack = ""

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting

    def _sample(self, loop_thread: int) -> None:
        while True:
            time.sleep(_SAMPLE)
            began = self._began
            if began and time.perf_counter() - began > LONG / 2 and not self._stack:
                frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 - there is no public way
                self._stack = "".join(traceback.format_stack(frame, 12)) if frame else ""


def _name_of(handle: Any) -> str:
    callback = handle._callback  # noqa: SLF001
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        return kind(owner.get_name())
    return kind(getattr(callback, "__qualname__", None) or type(callback).__name__)
