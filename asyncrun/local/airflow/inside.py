"""What runs inside the processes of the local Airflow: hooks that Airflow offers in its local settings.

Airflow imports ``airflow_local_settings`` from ``$AIRFLOW_HOME/config``; the file written there
(:data:`LOCAL_SETTINGS`) takes its content
from here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

LOCAL_SETTINGS = """\
from asyncrun.local.airflow.inside import bind_log_server, create_async_metadata_engine, create_metadata_engine

__all__ = ["create_metadata_engine", "create_async_metadata_engine"]

bind_log_server()
"""

ADDRESS_VARIABLE = "ASYNCRUN_LOCAL_ADDRESS"
"""Environment variable with the loopback address that this component's log server binds to and is found at."""

LOCK_TIMEOUT = 60.0
"""Seconds a statement waits for SQLite's only write lock (the driver's default of 5 is exceeded by 20 tasks starting
on 2 cores)."""


def hostname() -> str:
    """The name under which the API server finds this component's log server; Airflow's ``[core] hostname_callable``."""
    return os.environ.get(ADDRESS_VARIABLE, "127.0.0.1")


def bind_log_server() -> None:
    """Keep the component's log server on loopback: Airflow binds it to every interface of the machine and has no
    setting for it."""
    address = os.environ.get(ADDRESS_VARIABLE)
    if not address:
        return
    import uvicorn

    run = uvicorn.run

    def run_on_loopback(app: Any, *, host: str = "", **options: Any) -> None:
        run(app, host=host or address, **options)

    uvicorn.run = run_on_loopback


def create_metadata_engine(
    sql_alchemy_conn: str, *, engine_args: Mapping[str, Any], connect_args: Mapping[str, Any]
) -> Engine:
    """The engine for Airflow's database (hook of Airflow 3.3): SQLite that waits for locks and does not fsync."""
    from sqlalchemy import create_engine, event

    engine = create_engine(sql_alchemy_conn, connect_args={"timeout": LOCK_TIMEOUT, **connect_args}, **engine_args)
    event.listen(engine, "connect", _relax_durability)
    return engine


def create_async_metadata_engine(
    sql_alchemy_conn_async: str, *, connect_args: Mapping[str, Any], engine_args: Mapping[str, Any] | None = None
) -> AsyncEngine:
    """As :func:`create_metadata_engine`, for the API server's asynchronous routes."""
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(
        sql_alchemy_conn_async, connect_args={"timeout": LOCK_TIMEOUT, **connect_args}, **(engine_args or {})
    )
    event.listen(engine.sync_engine, "connect", _relax_durability)
    return engine


def _relax_durability(connection: Any, _record: Any) -> None:
    """The database lives as long as the process that started Airflow: a power cut may destroy it, and a commit costs
    no fsync."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()
