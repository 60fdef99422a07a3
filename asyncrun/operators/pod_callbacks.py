"""
Users' code that is called as a pod goes on: upstream's ``callbacks``, ``progress_callback`` and ``log_formatter``.

It gets what upstream gives it: models and a client of the ``kubernetes`` SDK. All of it is code of the DAG file, so it
runs on workers only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.model.logs import LogLine
    from asyncrun.model.pod import Pod
    from asyncrun.model.refs import PodRef

A = TypeVar("A")
T = TypeVar("T")

_MODE = "sync"  # upstream's ExecutionMode.SYNC: the client that is passed on is the synchronous one


class Callbacks:
    """
    The callbacks of one task.

    :param operator: has ``callbacks``, ``client`` and ``log``.
    """

    def __init__(self, operator: Any, context: Context) -> None:
        self._operator, self._context = operator, context
        self._callbacks: Sequence[Any] = operator.callbacks

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def call(self, method: str, **facts: Any) -> None:
        """
        Call that method of each, in order. What it raises fails the task, as upstream has it.

        :param facts: arguments beside client, mode, operator and context.
        """
        for callback in self._callbacks:
            if (called := getattr(callback, method, None)) is None:
                continue  # any class with some of the methods will do
            called(client=self._operator.client, mode=_MODE, operator=self._operator, context=self._context, **facts)


class Observer:
    """
    What a worker that waits itself tells user code: see ``triggers.pod_observer``.

    What that code raises ends the waiting, and so the task, as upstream has it. It is called no more then.

    :param ref: of the pod.
    """

    def __init__(self, operator: Any, callbacks: Callbacks, ref: PodRef) -> None:
        self._operator, self._callbacks, self._ref = operator, callbacks, ref
        self._model: Any = None
        self._waiting: asyncio.Task[Any] | None = None
        self._error: Exception | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether there is anybody to tell."""
        operator = self._operator
        return bool(self._callbacks or operator.progress_callback or operator.log_formatter)

    def begin(self) -> None:
        """The current task is the one that waits."""
        self._waiting = asyncio.current_task()

    def unless_it_failed(self, wait: Callable[[], T]) -> T:
        """
        The result of that waiting.

        :raises Exception: what the user's code raised meanwhile.
        """
        try:
            result = wait()
        except asyncio.CancelledError:
            if self._error is None:
                raise
        else:
            if self._error is None:
                return result
        raise self._error

    def started(self, pod: Pod) -> None:
        """``on_pod_starting``."""
        if self._callbacks:
            self._guarded(self._tell_start, pod)

    def _tell_start(self, _: Pod) -> None:
        self._read()
        self._callbacks.call("on_pod_starting", pod=self._model)

    def _read(self) -> None:
        from asyncrun.clients.pod_models import read_model

        self._model = read_model(self._operator.client, self._ref.name, self._ref.namespace, self._operator.log)

    def lines(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """``progress_callback`` of all of them, and ``log_formatter``. Where they fail: as the container wrote them."""
        shown = self._guarded(self._tell_lines, lines)
        return lines if shown is None else shown

    def _guarded(self, work: Callable[[A], T], what: A) -> T | None:
        if self._error is not None:
            return None
        try:
            return work(what)
        except Exception as error:  # noqa: BLE001 - the user's code; it is raised where the user expects it
            self._error = error
            if self._waiting is not None:
                self._waiting.cancel()
            return None

    def _tell_lines(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        for line in lines:
            self._progress(line)
        formatter = self._operator.log_formatter
        if formatter is None:
            return lines
        from msgspec.structs import replace

        return [replace(line, text=str(formatter(line.container, line.text))) for line in lines]

    def _progress(self, line: LogLine) -> None:
        if self._operator.progress_callback is not None:
            self._operator.progress_callback(line.text)
        if self._callbacks and self._model is None:  # an init container's line, before the start
            self._read()
        for callback in self._operator.callbacks:
            if (called := getattr(callback, "progress_callback", None)) is None:
                continue
            called(
                line=line.text, client=self._operator.client, mode=_MODE, container_name=line.container,
                timestamp=_moment(line.time_ms), pod=self._model,
            )  # fmt: skip


def needs_worker(operator: Any) -> str:
    """Why only a worker can wait for this task's pod; empty where nothing speaks against the triggerer."""
    if operator.log_formatter is not None:
        return "log_formatter"
    if operator.progress_callback is not None:
        return "progress_callback"
    for callback in operator.callbacks:
        if _overrides(callback, "progress_callback"):
            return "callbacks with a progress_callback"
        if _overrides(callback, "on_pod_starting"):
            return "callbacks with on_pod_starting"
    return ""


def _overrides(callback: Any, method: str) -> bool:
    """Upstream's base class has every method, and none of them does anything."""
    kind = callback if isinstance(callback, type) else type(callback)
    defined = next((one for one in kind.__mro__ if method in vars(one)), None)
    return defined is not None and defined.__name__ != "KubernetesPodOperatorCallback"


def _moment(time_ms: int) -> Any:
    from pendulum import from_timestamp

    return from_timestamp(time_ms / 1000)
