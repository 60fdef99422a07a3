"""Airflow's public REST API (v2), as far as the demo and the tests use it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from asyncrun.local.airflow.errors import DagsBroken, LocalAirflowError, NotReached

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

POLL_INTERVAL = 0.2
"""Seconds between two looks at a condition that is waited for."""

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance stays; for a DAG run those of them that it knows."""


class ApiError(LocalAirflowError):
    """The REST API answered with an error status.

    :ivar status: HTTP status code
    """

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {body[:500]}")
        self.status = status


@dataclass(frozen=True)
class DagRun:
    dag_id: str
    run_id: str
    state: str
    start_date: datetime | None
    end_date: datetime | None


@dataclass(frozen=True)
class TaskInstance:
    """One task instance as the API shows it; `id` is new for each try."""

    id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start_date: datetime | None
    end_date: datetime | None
    duration: float | None
    operator: str | None
    triggerer_id: int | None

    @property
    def label(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class LogRecord:
    """One record of a task's log, in the order Airflow's reader gives them.

    :ivar timestamp: when the record says it was written; None for the reader's own header lines
    :ivar fields: everything else that the record carries
    """

    timestamp: datetime | None
    level: str
    logger: str
    event: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        """One record as the UI shows it, with the traceback of an error where there is one."""
        error = self.fields.get("error_detail")
        detail = "".join(f"\n  {each.get('exc_type')}: {each.get('exc_value')}" for each in error or [])
        stamp = f"{self.timestamp:%H:%M:%S.%f} " if self.timestamp else ""
        return f"{stamp}{self.level.upper()} {self.logger}: {self.event}{detail}"


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def parse_record(raw: Mapping[str, Any] | str) -> LogRecord:
    """A record of the log endpoint's JSON; a plain string is what Airflow's reader could not parse."""
    if isinstance(raw, str):
        return LogRecord(None, "", "", raw, {})
    rest = {name: value for name, value in raw.items() if name not in {"timestamp", "level", "logger", "event"}}
    return LogRecord(_time(raw.get("timestamp")), raw.get("level", ""), raw.get("logger", ""), raw["event"], rest)


def parse_task_instance(raw: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        id=raw["id"],
        dag_id=raw["dag_id"],
        run_id=raw["dag_run_id"],
        task_id=raw["task_id"],
        map_index=raw["map_index"],
        state=raw["state"],
        try_number=raw["try_number"],
        start_date=_time(raw["start_date"]),
        end_date=_time(raw["end_date"]),
        duration=raw["duration"],
        operator=raw["operator_name"],
        triggerer_id=(raw.get("trigger") or {}).get("triggerer_id"),
    )


def parse_dag_run(raw: Mapping[str, Any]) -> DagRun:
    return DagRun(
        raw["dag_id"], raw["dag_run_id"], raw["state"], _time(raw.get("start_date")), _time(raw.get("end_date"))
    )


class AirflowApi:
    """Blocking client of one Airflow; logs in at the first call.

    Methods raise :class:`ApiError` for an error status and httpx.TransportError when the server does not answer.
    """

    def __init__(self, base_url: str, username: str, password: str) -> None:
        self.base_url = base_url
        self.username = username
        self.password = password
        self._client: httpx.Client | None = None
        self._token: str | None = None

    # --- transport ---

    @property
    def _http(self) -> httpx.Client:
        if self._client is None:
            import httpx

            # trust_env off: a proxy of the environment must not see loopback calls.
            self._client = httpx.Client(base_url=self.base_url, timeout=30, trust_env=False)
        return self._client

    def close_api(self) -> None:
        """Close the connections; the client opens new ones when it is used again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _login(self) -> str:
        answer = self._http.post("/auth/token", json={"username": self.username, "password": self.password})
        if answer.is_error:
            raise ApiError("POST", "/auth/token", answer.status_code, answer.text)
        return cast("str", answer.json()["access_token"])

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One call below /api/v2, with `options` of httpx; returns the decoded JSON (None for an empty body)."""
        if self._token is None:
            self._token = self._login()
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        answer = self._http.request(method, f"/api/v2{path}", headers=headers, **options)
        if answer.is_error:
            raise ApiError(method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def _pages(self, path: str, items: str, **params: Any) -> list[dict[str, Any]]:
        """All items of a listing that is paged by offset."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.request("GET", path, params={**params, "limit": 100, "offset": len(found)})
            found += page[items]
            if not page[items] or len(found) >= page["total_entries"]:
                return found

    # --- health and DAGs ---

    def health(self) -> dict[str, str | None]:
        """Status by component: metadatabase, scheduler, triggerer, dag_processor."""
        return {name: (part or {}).get("status") for name, part in self.request("GET", "/monitor/health").items()}

    def import_errors(self) -> dict[str, str]:
        """Stack trace by file name."""
        return {error["filename"]: error["stack_trace"] for error in self._pages("/importErrors", "import_errors")}

    def dags(self) -> set[str]:
        return {dag["dag_id"] for dag in self._pages("/dags", "dags")}

    def dags_ready(self, dag_ids: Iterable[str], timeout: float = 60) -> None:
        """Wait until all these DAGs can be triggered.

        :raises DagsBroken: one is missing and a DAG file does not import
        :raises NotReached: some are missing after `timeout` seconds
        """
        wanted = set(dag_ids)

        def all_there() -> bool:
            missing = wanted - self.dags()
            if missing and (errors := self.import_errors()):
                raise DagsBroken("\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            return not missing

        self.wait_until(all_there, f"DAGs {sorted(wanted)}", timeout, now=lambda: sorted(self.dags()))

    # --- DAG runs and task instances ---

    def trigger_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of the DAG; returns its run id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return cast("str", self.request("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        return parse_dag_run(self.request("GET", self._run_path(dag_id, run_id)))

    def set_dag_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark the run `success`, `failed` or `queued`."""
        self.request("PATCH", self._run_path(dag_id, run_id), json={"state": state})

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """All task instances of the run, mapped ones singly, ordered by task id and map index."""
        raw = self._pages(f"{self._run_path(dag_id, run_id)}/taskInstances", "task_instances")
        return sorted((parse_task_instance(each) for each in raw), key=lambda ti: (ti.task_id, ti.map_index))

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskInstance:
        return parse_task_instance(self.request("GET", self._task_path(dag_id, run_id, task_id, map_index)))

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Mark the task instance `success`, `failed` or `skipped`, as a user does in the UI."""
        self.request("PATCH", self._task_path(dag_id, run_id, task_id, map_index), json={"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_ids: Iterable[str] | None = None, **options: Any) -> int:
        """Clear tasks of the run (all by default) so that they run again; returns how many task instances were cleared.

        :param options: further fields of the endpoint, such as ``only_failed`` or ``include_downstream``
        """
        body: dict[str, Any] = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, **options}
        if task_ids is not None:
            body["task_ids"] = list(task_ids)
        answer = self.request("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", json=body)
        return cast("int", answer["total_entries"])

    # --- logs and XComs ---

    def logs(
        self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None, map_index: int = -1
    ) -> list[LogRecord]:
        """The whole log of one try (the latest by default) as Airflow's reader merges it, without the reader's
        header."""
        if try_number is None:
            try_number = self.task_instance(dag_id, run_id, task_id, map_index).try_number
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        answer = self.request("GET", path, params={"map_index": map_index, "full_content": True})
        return _without_header([parse_record(raw) for raw in answer["content"]])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """The value as it is stored (JSON, decoded once). Raises ApiError with status 404 where there is none."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        return self.request("GET", path, params={"map_index": map_index})["value"]

    def xcom_keys(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> set[str]:
        path = f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries"
        return {entry["key"] for entry in self._pages(path, "xcom_entries", map_index=map_index)}

    def set_variable(self, key: str, value: str) -> None:
        """Create the Airflow Variable (there must be none with this key)."""
        self.request("POST", "/variables", json={"key": key, "value": value})

    # --- waiting ---

    def wait_until(
        self,
        condition: Callable[[], T | None],
        what: str,
        timeout: float,
        *,
        now: Callable[[], object] | None = None,
    ) -> T:
        """Look at `condition` until it returns something true, and return that.

        :param what: what is waited for, for the message
        :param timeout: seconds
        :param now: tells for the message what is there instead
        :raises NotReached: after `timeout` seconds
        """
        end = time.monotonic() + timeout
        while not (found := condition()):
            self.check_alive()
            if time.monotonic() > end:
                state = f"; now: {now()}" if now else ""
                raise NotReached(f"not reached within {timeout:g} s: {what}{state}")
            time.sleep(POLL_INTERVAL)
        return found

    def check_alive(self) -> None:
        """Called while waiting; raises where waiting is pointless. Here it does nothing."""

    def wait_for(
        self,
        dag_id: str,
        run_id: str,
        task_id: str | None = None,
        states: Iterable[str] = FINISHED,
        *,
        map_index: int = -1,
        timeout: float = 90,
    ) -> str:
        """Wait until the task instance (or, without `task_id`, the DAG run) is in one of `states`; returns the state.

        :raises NotReached: it is not within `timeout` seconds; the message lists the states of all tasks of the run
        """
        wanted = frozenset(states)

        def reached() -> str | None:
            if task_id is None:
                state: str | None = self.dag_run(dag_id, run_id).state
            else:
                state = self.task_instance(dag_id, run_id, task_id, map_index).state
            return state if state in wanted else None

        what = f"{dag_id}/{run_id}" + (f"/{task_id}" if task_id else "") + f" in {'/'.join(sorted(wanted))}"
        return self.wait_until(reached, what, timeout, now=lambda: self._states(dag_id, run_id))

    def wait_for_log(
        self, dag_id: str, run_id: str, task_id: str, text: str, *, map_index: int = -1, timeout: float = 60
    ) -> LogRecord:
        """Wait until a record of the task's latest try contains `text`; returns that record.

        :raises NotReached: the task ended without it, or `timeout` seconds passed; with a :meth:`report`
        """
        what = f"{text!r} in the log of {dag_id}/{run_id}/{task_id}"

        def found() -> LogRecord | None:
            # The state is read before the log, so that a task seen as finished has its whole log read.
            ti = self.task_instance(dag_id, run_id, task_id, map_index)
            records = self.logs(dag_id, run_id, task_id, ti.try_number, map_index) if ti.try_number else []
            record = next((record for record in records if text in record.event), None)
            if record is None and ti.finished:
                raise NotReached(f"{task_id} ended without {what}\n{self.report(dag_id, run_id)}")
            return record

        return self.wait_until(found, what, timeout, now=lambda: self.report(dag_id, run_id))

    def expect(self, dag_id: str, run_id: str, state: str = "success", timeout: float = 90) -> None:
        """Wait for the end of the DAG run, which must be `state`.

        :raises NotReached: it ended otherwise, or not within `timeout` seconds; with a :meth:`report`
        """
        ended = self.wait_for(dag_id, run_id, timeout=timeout)
        if ended != state:
            raise NotReached(f"{dag_id} ended {ended}, not {state}\n{self.report(dag_id, run_id)}")

    def report(self, dag_id: str, run_id: str, lines: int = 25) -> str:
        """What became of a DAG run, for a person: every task's state, and the last records of those that are not
        `success`."""
        parts = []
        for ti in self.task_instances(dag_id, run_id):
            parts.append(f"{ti.label}: {ti.state} (try {ti.try_number})")
            if ti.try_number and ti.state != "success":
                records = self.logs(dag_id, run_id, ti.task_id, ti.try_number, ti.map_index)
                parts += [f"    {record}" for record in records[-lines:]]
        return "\n".join(parts)

    def _states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {ti.label: ti.state for ti in self.task_instances(dag_id, run_id)}

    @staticmethod
    def _run_path(dag_id: str, run_id: str) -> str:
        return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"

    @classmethod
    def _task_path(cls, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"{cls._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        return path if map_index < 0 else f"{path}/{map_index}"


def _without_header(records: list[LogRecord]) -> list[LogRecord]:
    """Drop the group of "Log message source details" that Airflow's reader puts first."""
    if not records or not records[0].event.startswith("::group::Log message source"):
        return records
    for index, record in enumerate(records):
        if record.event.startswith("::endgroup::"):
            return records[index + 1 :]
    return records
