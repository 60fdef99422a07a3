"""How the demo looks: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from asyncrun.local.airflow import FINISHED, LogRecord, TaskInstance
from asyncrun.local.demo.lines import is_from_container

STYLES = {
    "success": "green",
    "failed": "red",
    "upstream_failed": "red",
    "skipped": "yellow",
    "running": "cyan",
    "deferred": "magenta",
    "up_for_retry": "yellow",
}
TOLD = frozenset({"running", "deferred", "up_for_retry", *FINISHED})
"""States whose beginning is a line of its own where there is no live table; of mapped tasks only the last one."""

_ARN = re.compile(r"arn:aws[\w-]*:ecs:[^:\s]*:\d*:[a-z-]+/(?:[\w-]+/)?")
"""What stands before the id or the name in an ARN of ECS: most of a terminal's line, and the same in each."""

LONGEST = 8
"""Lines that are shown of one record that is not a container's. A diagnosis has three, a pod's definition a hundred."""

PIPED_WIDTH = 140
"""Columns where nobody says how wide the output may be."""


def make_console() -> Console:
    """For stdout; a character that its encoding does not know becomes `?` instead of an error."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPED_WIDTH)


def short(text: str) -> str:
    """ARNs of ECS without what is the same in all of them."""
    return _ARN.sub("", text)


def cut(lines: list[str]) -> list[str]:
    """At most ``LONGEST``, the last of which says how many are missing."""
    if len(lines) <= LONGEST:
        return lines
    kept = LONGEST - 1
    return [*lines[:kept], f"... ({len(lines) - kept} more lines in the task's log)"]


def styled(state: str | None) -> Text:
    return Text(state or "waiting", style=STYLES.get(state or "", "dim"))


class LiveView:
    """Log lines scroll by; on a terminal the states of all tasks stand below them, elsewhere changes are lines of
    their own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[tuple[str, str], str | None] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show_states(self, tasks: Mapping[str, Sequence[TaskInstance]]) -> None:
        """Called with all task instances by DAG id, each time they were looked at."""
        if self._live:
            self._live.update(Group(Text(), states_table(tasks)))
            return
        for dag_id, instances in tasks.items():
            for ti in instances:
                told = FINISHED if ti.map_index >= 0 else TOLD
                if ti.state in told and self._states.get((dag_id, ti.label)) != ti.state:
                    self._states[dag_id, ti.label] = ti.state
                    self._print(f"{dag_id}.{ti.label}", Text(f"-> {ti.state}"))

    def show_record(self, ti: TaskInstance, record: LogRecord) -> None:
        style = "" if is_from_container(record) else "dim"
        if record.level in {"error", "critical"}:
            style = "red"
        lines = record.event.split("\n") if is_from_container(record) else cut(short(record.event).split("\n"))
        for line in lines:
            self._print(f"{ti.dag_id}.{ti.label}", Text.from_ansi(line, style=style))

    def _print(self, source: str, line: Text) -> None:
        self._console.print(Text.assemble((f"{source:<32} | ", "blue"), line), soft_wrap=True)


def states_table(tasks: Mapping[str, Sequence[TaskInstance]]) -> Table:
    """One row for each DAG."""
    table = Table(show_edge=False, pad_edge=False, box=None)
    table.add_column("DAG", style="bold", no_wrap=True)
    table.add_column("tasks")
    for dag_id, instances in tasks.items():
        table.add_row(dag_id, Text("  ").join(_cells(instances)))
    return table


def _cells(instances: Sequence[TaskInstance]) -> list[Text]:
    cells = [Text.assemble(ti.task_id, " ", styled(ti.state)) for ti in instances if ti.map_index < 0]
    mapped = Counter((ti.task_id, ti.state) for ti in instances if ti.map_index >= 0)
    cells += [
        Text.assemble(f"{count} x {task_id} ", styled(state))
        for (task_id, state), count in sorted(mapped.items(), key=str)
    ]
    return cells


@dataclass(frozen=True)
class Row:
    """One line of the results; `seconds` is the longest of the task instances in it."""

    dag_id: str
    task: str
    state: str | None
    exit_code: str
    diagnosis: str
    seconds: float | None = None


def summary_table(rows: Sequence[Row]) -> Table:
    table = Table(title="Results", title_justify="left")
    for name in ("DAG", "task", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("exit code", justify="right")
    table.add_column("diagnosis")
    last = ""
    for row in rows:
        dag_id = "" if row.dag_id == last else row.dag_id
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        table.add_row(dag_id, row.task, styled(row.state), seconds, row.exit_code, escape(row.diagnosis))
        last = row.dag_id
    return table
