"""What runs inside the processes of the local Airflow: hooks that Airflow offers in its local settings.

Airflow imports ``airflow_local_settings`` from ``$AIRFLOW_HOME/config``; the file written there
(:data:`LOCAL_SETTINGS`) takes its content
from here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    _LogAction = Callable[..., Coroutine[Any, Any, None]]

LOCAL_SETTINGS = """\
from asyncrun.local.airflow import inside
from asyncrun.local.airflow.inside import create_async_metadata_engine, create_metadata_engine

__all__ = ["create_metadata_engine", "create_async_metadata_engine"]

inside.bind_log_server()
inside.log_actions_in_threads()
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


def log_actions_in_threads() -> None:
    """Let the API server commit its record of a user's action (POST, PATCH, DELETE) outside of its event loop.

    Airflow 3.3 commits it in the loop. With SQLite, that is a deadlock where a request of a task holds the write lock:
    its own commit needs the loop, which waits for the lock, for ``LOCK_TIMEOUT`` (triggering DAG runs while tasks
    start: one in 20 calls).
    """
    if "api-server" not in sys.argv:
        return
    import uvicorn

    run = uvicorn.run

    def run_api_server(app: Any, **options: Any) -> None:
        # Not before: the module needs an initialized Airflow. Not later: routes take what it has when they are made.
        from airflow.api_fastapi.logging import decorators

        decorators.action_logging = _in_threads(decorators.action_logging)
        run(app, **options)

    uvicorn.run = run_api_server


def _in_threads(action_logging: Callable[..., _LogAction]) -> Callable[..., _LogAction]:
    def in_threads(event: str | None = None) -> _LogAction:
        log_action = action_logging(event)

        @wraps(log_action)
        async def log_in_thread(request: Any, **dependencies: Any) -> None:
            await request.body()  # the request keeps it, so there is nothing left that must be awaited in this loop
            await asyncio.to_thread(lambda: asyncio.run(log_action(request=request, **dependencies)))

        return log_in_thread

    return in_threads


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
