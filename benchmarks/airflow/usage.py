"""What the processes of an Airflow used: CPU seconds by component, worker executions with their wall seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import psutil

from asyncrun.local.airflow import LocalAirflow

WORKERS = "workers"
_COMPONENTS = ("scheduler", "triggerer", "api-server", "dag-processor")
_WORKER_TITLE = "LocalExecutor"
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FINISHED = re.compile(
    r"^(?P<at>\S+)\s.*Workload finished.*?\bduration=(?P<duration>[\d.]+).*\bworkload_id=(?P<id>[0-9a-f-]{36})"
)


class Execution(msgspec.Struct, frozen=True):
    """
    One execution of a task on a worker: until it was deferred, or from its resumption to its end.

    :param task: id of the task instance.
    :param seconds: for which it held a worker slot, as Airflow's own supervisor measured them.
    """

    task: str
    seconds: float


def executions(airflow: LocalAirflow) -> list[Execution]:
    """All so far, in the order of their ends; from the scheduler's output, where the LocalExecutor's workers write."""
    return finished(airflow.component_logs()["scheduler"].read_text(errors="replace"))


def finished(output: str) -> list[Execution]:
    """Those that the output of workers tells of."""
    found = (_FINISHED.match(_ANSI.sub("", line)) for line in output.splitlines())
    return [Execution(one["id"], float(one["duration"])) for one in found if one]


def workers_idle(airflow: LocalAirflow) -> bool:
    """No worker has a task's process any more."""
    return not any(worker.children() for worker in _workers(airflow))


def _workers(airflow: LocalAirflow) -> list[psutil.Process]:
    scheduler = psutil.Process(airflow.component("scheduler").pid)
    return [one for one in scheduler.children() if _is_worker(one)]


def cpu(airflow: LocalAirflow, server: int) -> dict[str, float]:
    """
    CPU seconds used so far, by component; exact, from the kernel's accounts, ended processes included.

    ``workers`` are the LocalExecutor's processes with the tasks that they ran; ``scheduler`` is without them.

    :param server: pid of the played containers' server.
    """
    used = {name: sum(map(_used, _tree(airflow.component(name).pid))) for name in _COMPONENTS}
    used[WORKERS] = sum(_used(one) for worker in _workers(airflow) for one in _tree(worker.pid))
    used["scheduler"] -= used[WORKERS]
    used["postgresql"] = sum(_used(one) for one in airflow.processes() if one.name() == "postgres")
    used["containers"] = sum(map(_used, _tree(server)))
    return used


def _tree(pid: int) -> Iterator[psutil.Process]:
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        yield root
        yield from root.children(recursive=True)


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return _WORKER_TITLE in " ".join(process.cmdline())
    return False


def _used(process: psutil.Process) -> float:
    """With its children that have ended: the kernel adds these when they are waited for."""
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0
