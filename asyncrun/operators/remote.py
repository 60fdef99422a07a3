"""A worker's short visits to AWS: one event loop, one access, some calls, everything closed again."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AsyncExitStack
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from asyncrun.model.refs import AwsTarget

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.model.settings import Settings

T = TypeVar("T")


def settings() -> Settings:
    """
    Section ``[asyncrun]`` of Airflow's configuration, for what begins something: to be read before it does.

    :raises InvalidSetting: a value in it cannot work.
    """
    from asyncrun.clients.config import load_settings

    return load_settings()


def running_settings() -> Settings:
    """The same for what watches or stops what already runs: a value that cannot work is said, and has its default."""
    from asyncrun.clients.config import running_settings as load

    return load().settings


def call_aws(target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]], *, log: Any) -> T:
    """
    Run ``work`` in an event loop of its own, and close all clients afterwards. It is done once: see ``ask_aws``.

    :param log: the task's: told where finding the way to AWS is repeated.
    :raises RemoteError: from the calls in ``work``, or because there are no credentials.
    """

    async def visit() -> T:
        from asyncrun.clients.aws import close_all, open_aws
        from asyncrun.clients.patience import patiently

        try:
            async with AsyncExitStack() as stack:
                access = await patiently(
                    lambda: stack.enter_async_context(open_aws(target, running_settings())),
                    lambda why: log.warning("%s", why),
                )
                return await work(access)
        finally:
            await close_all()

    return asyncio.run(visit())


def ask_aws(target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]], *, log: Any) -> T:
    """
    The same for what is safe to repeat: it is, for some seconds, while AWS does not answer or throttles.

    :param log: the task's: told where it is repeated.
    :raises RemoteError: it was refused, or there was no answer for too long.
    """
    from asyncrun.clients.patience import patiently

    async def repeated(access: AwsAccess) -> T:
        return await patiently(lambda: work(access), lambda why: log.warning("%s", why))

    return call_aws(target, repeated, log=log)


def ask_aws_from_signal(
    target: AwsTarget, work: Callable[[AwsAccess, Callable[[], None]], Awaitable[T]], *, settings: Settings, log: Any
) -> T | None:
    """
    The same from a signal handler or any other place where this thread may already run an event loop.

    The SDK calls ``on_kill`` in its handler of SIGTERM, in the main thread, between two steps of whatever runs there:
    possibly our own loop, where ``asyncio.run`` is refused. So the calls are made in a thread.

    :param work: its second argument is to be called when ECS has answered that it does not show the task (yet).
    :param settings: the thread is waited for as long as ``kill_grace``, and if ECS gave that answer, ``missing_grace``
        more: then the task is shown, or known to be gone. It goes on after that, as long as the process lives.
    :return: None where it took longer.
    """
    hidden = Event()

    async def asked(access: AwsAccess) -> T:
        return await work(access, hidden.set)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncrun-stop")
    try:
        answer = pool.submit(partial(contextvars.copy_context().run, ask_aws, target, asked, log=log))
        wait([answer], settings.kill_grace)
        return answer.result(settings.missing_grace if hidden.is_set() else 0)
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
