"""
How the states of many task instances are asked for in few messages: pure.

Airflow's ``GetTaskStates`` takes one DAG, lists of runs and of tasks, and perhaps a map index, and answers for all that
match (airflow 3.3.2: ``api_fastapi/execution_api/routes/task_instances.py`` ``get_task_instance_states``). The state of
a mapped task instance comes under ``<task id>_<map index>``, where a task of that very name would come too: so tasks
that are mapped and tasks that are not never share a message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import msgspec

# The message becomes a GET request, and httpx refuses an address above 65,536 characters.
_LONGEST_LIST = 16_384  # characters, of all runs or all tasks of one message
# Airflow loads each match as a full object, inside of its supervisor's loop: 1,000 took 0.16 s (23 KB, Airflow 3.3.2).
_ROWS = 1000


class TaskKey(NamedTuple):
    """
    One task instance.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


class StatesQuestion(msgspec.Struct, frozen=True):
    """
    One message.

    :param map_index: None: all of them.
    :param keys: whose states are wanted.
    """

    dag_id: str
    run_ids: tuple[str, ...]
    task_ids: tuple[str, ...]
    map_index: int | None
    keys: tuple[TaskKey, ...]

    def __str__(self) -> str:
        runs = f"run {self.run_ids[0]}" if len(self.run_ids) == 1 else f"{len(self.run_ids)} runs"
        if len(self.keys) > 1:
            return f"the states of {len(self.keys)} tasks in {runs} of DAG {self.dag_id}"
        return f"the state of task {self.task_ids[0]} in {runs} of DAG {self.dag_id}"

    def read(self, answer: Mapping[str, Any]) -> dict[TaskKey, str | None]:
        """The states of ``keys`` from what Airflow answered: by run, then by task."""
        states: dict[TaskKey, str | None] = {}
        for key in self.keys:
            name = key.task_id if key.map_index < 0 else f"{key.task_id}_{key.map_index}"
            state = (answer.get(key.run_id) or {}).get(name)
            states[key] = None if state is None else str(state)
        return states


def state_questions(keys: Iterable[TaskKey]) -> list[StatesQuestion]:
    """
    Messages that together ask for all of these.

    Tasks of one run go together, and so do runs of which the same tasks are asked.
    """
    alike: defaultdict[tuple[str, tuple[str, ...], int | None, bool], dict[str, list[TaskKey]]] = defaultdict(dict)
    for (dag_id, run_id, mapped), of_run in _by_run(keys).items():
        indexes = {key.map_index for key in of_run}
        only = next(iter(indexes)) if mapped and len(indexes) == 1 else None
        by_task: dict[str, list[TaskKey]] = {}
        for key in of_run:
            by_task.setdefault(key.task_id, []).append(key)
        for tasks in _parts(sorted(by_task), {task: _rows(by_task[task], only) for task in by_task}):
            alike[dag_id, tasks, only, mapped][run_id] = [key for task in tasks for key in by_task[task]]
    return [
        StatesQuestion(dag_id, runs, tasks, only, tuple(key for run in runs for key in by_run[run]))
        for (dag_id, tasks, only, _), by_run in alike.items()
        for runs in _parts(list(by_run), {run: _rows(of_run, only) for run, of_run in by_run.items()})
    ]


def _by_run(keys: Iterable[TaskKey]) -> dict[tuple[str, str, bool], list[TaskKey]]:
    found: dict[tuple[str, str, bool], list[TaskKey]] = {}
    for key in dict.fromkeys(keys):
        found.setdefault((key.dag_id, key.run_id, key.map_index >= 0), []).append(key)
    return found


def _rows(keys: Sequence[TaskKey], only: int | None) -> int:
    """How many task instances match at least: without ``only`` a task comes with all its map indexes."""
    highest: dict[str, int] = {}
    for key in keys:
        highest[key.task_id] = max(highest.get(key.task_id, 0), key.map_index if only is None else 0)
    return sum(index + 1 for index in highest.values())


def _parts(names: Sequence[str], rows: Mapping[str, int]) -> Iterator[tuple[str, ...]]:
    """The names in parts that fit into one message each."""
    part: list[str] = []
    length = matches = 0
    for name in names:
        more = len("&task_ids=") + len(quote_plus(name))
        if part and (length + more > _LONGEST_LIST or matches + rows[name] > _ROWS):
            yield tuple(part)
            part, length, matches = [], 0, 0
        part.append(name)
        length += more
        matches += rows[name]
    if part:
        yield tuple(part)
