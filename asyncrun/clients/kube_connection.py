"""The Airflow connection of a ``KubeTarget``: its look-up and its fields."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncrun.clients.kube_config import KubeconfigError
from asyncrun.model.errors import AccessDenied, CredentialsExpired, Unavailable

DEFAULT_CONNECTION = "kubernetes_default"
"""The only connection that need not exist: then there is none, as for the cncf provider's hook."""


class Extra:
    """A connection's extra fields, with or without the prefix that they had before Airflow 2.3."""

    def __init__(self, fields: Any) -> None:
        self._fields = fields if isinstance(fields, dict) else {}

    def __bool__(self) -> bool:
        return bool(self._fields)

    def get(self, name: str) -> Any:
        """Its value, None if it is empty."""
        if name in self._fields:
            return self._fields[name] or None
        return self._fields.get(f"extra__kubernetes__{name}") or None

    def flag(self, name: str) -> bool:
        """Whether it is set; a text counts as the connection form writes it."""
        value = self.get(name)
        if isinstance(value, str):
            if value.strip().lower() not in ("true", "false"):
                raise KubeconfigError(f"its field {name} is neither true nor false")
            return value.strip().lower() == "true"
        return bool(value)

    def text(self, name: str) -> str | None:
        """Its value, which must be text."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise KubeconfigError(f"its field {name} is no text")
        return value

    def mapping(self, name: str) -> dict[str, Any] | None:
        """Its value: a JSON object, or the text of one."""
        value = self.get(name)
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError:
                raise KubeconfigError(f"its field {name} is no JSON") from None
        if value is not None and not isinstance(value, dict):
            raise KubeconfigError(f"its field {name} is no JSON object")
        return value


def look_up(conn_id: str | None, *, decides: bool = True) -> tuple[Extra, bool]:
    """
    The connection's fields, and whether it is there. Blocks.

    :param decides: whether it may say which cluster is meant. Then it counts as missing only if Airflow says that it
        is: a look-up that failed must not lead to another cluster.
    :raises RemoteError: it is not there or has no fields that can be read, or Airflow does not answer.
    """
    if not conn_id:
        return Extra({}), True
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    name = f"Airflow connection {conn_id!r}"
    try:
        connection = _found(conn_id, decides=decides)
    except AirflowNotFoundException as error:
        if conn_id == DEFAULT_CONNECTION:
            return Extra({}), False
        raise CredentialsExpired(
            f"There is no {name}: whoever manages connections must create it, or the operator must name another one in "
            "kubernetes_conn_id.",
            service="airflow",
        ) from error
    except PermissionError as error:
        raise AccessDenied(
            f"Airflow denies access to connection {conn_id!r}: whoever runs Airflow must allow it.",
            service="airflow",
        ) from error
    except (AirflowRuntimeError, OSError, EOFError, RuntimeError, ImportError) as error:
        raise Unavailable(
            f"{name} cannot be resolved at the moment ({type(error).__name__}).", service="airflow"
        ) from error
    _check(connection.extra, name)
    return Extra(connection.extra_dejson), True


def _found(conn_id: str, *, decides: bool) -> Any:
    """
    The connection.

    :raises AirflowNotFoundException: there is none; only if ``decides`` that is certain.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        if not decides and conn_id == DEFAULT_CONNECTION:
            raise
        _ask_each(conn_id)
    try:
        return Connection.get(conn_id)  # it has come meanwhile
    except AirflowNotFoundException as error:
        raise Unavailable(
            f"Airflow gives contradictory answers about connection {conn_id!r}.", service="airflow"
        ) from error


def _ask_each(conn_id: str) -> None:
    """
    Ask each place where connections are kept, and return if one has it.

    ``Connection.get`` skips a secrets backend that fails, and the supervisor's does not tell a missing connection from
    one that could not be asked for: both end as "isn't defined" (SDK 1.3, source).

    :raises AirflowNotFoundException: each of them says that it has none.
    :raises Unavailable: one of them did not answer.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    silent: tuple[str, Exception] | None = None
    for backend in ensure_secrets_backend_loaded():
        try:
            if _has(backend, conn_id):
                return
        except PermissionError:
            raise
        except Exception as error:  # noqa: BLE001 - other people's code, whose errors Airflow swallows
            silent = type(backend).__name__, error
    if silent is None:
        raise AirflowNotFoundException(conn_id)
    raise Unavailable(
        f"Whether there is an Airflow connection {conn_id!r} cannot be told at the moment: {silent[0]} did not answer "
        f"({type(silent[1]).__name__}). If none is wanted, the operator must say kubernetes_conn_id=None.",
        service="airflow",
    ) from silent[1]


def _has(backend: Any, conn_id: str) -> bool:
    """
    Whether it keeps that connection.

    :raises Exception: it does not answer.
    """
    from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend

    if not isinstance(backend, ExecutionAPISecretsBackend):
        return backend.get_connection(conn_id=conn_id) is not None
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    if not isinstance(answer, ErrorResponse):
        return answer is not None
    if answer.error is ErrorType.PERMISSION_DENIED:
        raise PermissionError(conn_id)
    if answer.error is not ErrorType.CONNECTION_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return False


def _check(extra: str | None, name: str) -> None:
    """Airflow takes fields that it cannot read for none: then other credentials than the connection's would be used."""
    try:
        fields = msgspec.json.decode(extra) if extra else {}
    except msgspec.DecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise CredentialsExpired(
            f"The extra of {name} is no JSON object: whoever manages it must correct it.", service="airflow"
        )
