"""A worker's short visits to AWS: one event loop, one access, some calls, everything closed again."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from asyncrun.model.refs import AwsTarget

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.model.settings import Settings

T = TypeVar("T")


def settings() -> Settings:
    """
    Section ``[asyncrun]`` of Airflow's configuration.

    :raises InvalidSetting: a value in it cannot work.
    """
    from asyncrun.clients.config import load_settings

    return load_settings()


def call_aws(target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]]) -> T:
    """
    Run ``work`` in an event loop of its own, and close all clients afterwards.

    :raises RemoteError: from the calls in ``work``, or because there are no credentials.
    """

    async def visit() -> T:
        from asyncrun.clients.aws import close_all, open_aws

        try:
            async with open_aws(target, settings()) as access:
                return await work(access)
        finally:
            await close_all()

    return asyncio.run(visit())


def call_aws_from_signal(target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]], *, limit: float) -> T | None:
    """
    The same from a signal handler or any other place where this thread may already run an event loop.

    The SDK calls ``on_kill`` in its handler of SIGTERM, in the main thread, between two steps of whatever runs there:
    possibly our own loop, where ``asyncio.run`` is refused. So the calls are made in a thread.

    :param limit: seconds to wait for the thread; it goes on after that, as long as the process lives.
    :return: None where it took longer.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncrun-stop")
    try:
        return pool.submit(contextvars.copy_context().run, call_aws, target, work).result(limit)
    except TimeoutError:
        return None
    finally:
        pool.shutdown(wait=False)


def wait_here(trigger: Any) -> Any:
    """
    Drive a trigger to its event in this process (``deferrable=False``).

    :return: the event's payload, or the name of the end state for an event that ends the task.
    """

    from asyncrun.triggers.base import run_inline

    return asyncio.run(run_inline(trigger)).payload
