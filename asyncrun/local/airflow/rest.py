"""Airflow's public REST API (v2), call by call, as far as the demo and the tests use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from asyncrun.local.airflow.errors import LocalAirflowError
from asyncrun.local.airflow.values import (
    DagRun,
    LogRecord,
    TaskInstance,
    parse_dag_run,
    parse_record,
    parse_task_instance,
    without_header,
)

if TYPE_CHECKING:
    import httpx


class ApiError(LocalAirflowError):
    """The REST API answered with an error status.

    :ivar status: HTTP status code
    """

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {body[:500]}")
        self.status = status


class RestApi:
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
        return without_header([parse_record(raw) for raw in answer["content"]])

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

    @staticmethod
    def _run_path(dag_id: str, run_id: str) -> str:
        return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"

    @classmethod
    def _task_path(cls, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
        path = f"{cls._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"
        return path if map_index < 0 else f"{path}/{map_index}"
