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
    from asyncrun.clients.patience import Patience
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


def call_aws(
    target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]], *, log: Any, patience: Patience | None = None
) -> T:
    """
    Run ``work`` in an event loop of its own, and close all clients afterwards. It is done once: see ``ask_aws``.

    :param log: the task's: told where finding the way to AWS is repeated.
    :param patience: how long it is; None: ``IN_A_WORKER``.
    :raises RemoteError: from the calls in ``work``, or because there are no credentials.
    """

    async def visit() -> T:
        from asyncrun.clients.aws import close_all, open_aws

        try:
            async with AsyncExitStack() as stack:
                access = await _patiently(
                    lambda: stack.enter_async_context(open_aws(target, running_settings())), log, patience
                )
                return await work(access)
        finally:
            await close_all()

    return asyncio.run(visit())


def ask_aws(
    target: AwsTarget, work: Callable[[AwsAccess], Awaitable[T]], *, log: Any, patience: Patience | None = None
) -> T:
    """
    The same for what is safe to repeat: it is, while AWS does not answer or throttles.

    :param log: the task's: told where it is repeated.
    :param patience: how long it is; None: ``IN_A_WORKER``.
    :raises RemoteError: it was refused, or there was no answer for too long.
    """

    async def repeated(access: AwsAccess) -> T:
        return await _patiently(lambda: work(access), log, patience)

    return call_aws(target, repeated, log=log, patience=patience)


async def _patiently(work: Callable[[], Awaitable[T]], log: Any, patience: Patience | None) -> T:
    from asyncrun.clients.patience import IN_A_WORKER, patiently

    return await patiently(work, lambda why: log.warning("%s", why), patience or IN_A_WORKER)


def ask_aws_from_signal(
    target: AwsTarget, work: Callable[[AwsAccess, Callable[[], None]], Awaitable[T]], *, settings: Settings, log: Any
) -> T | None:
    """
    The same for what stops a run, from a signal handler or any other place where this thread may already run an event
    loop. It is repeated for ``kill_grace``.

    The SDK calls ``on_kill`` in its handler of SIGTERM, in the main thread, between two steps of whatever runs there:
    possibly our own loop, where ``asyncio.run`` is refused. So the calls are made in a thread.

    :param work: its second argument is to be called when ECS has answered that it does not show the task (yet).
    :param settings: the thread is waited for as long as ``kill_grace``, and if ECS gave that answer, ``missing_grace``
        more: then the task is shown, or known to be gone. It goes on after that, as long as the process lives.
    :return: None where it took longer.
    """
    from asyncrun.clients.patience import for_a_stop

    hidden, patience = Event(), for_a_stop(settings.kill_grace)

    # Unlike the trigger's, this way to AWS was opened for this very call: there are no newer credentials to look up.
    async def asked(access: AwsAccess) -> T:
        return await work(access, hidden.set)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncrun-stop")
    try:
        answer = pool.submit(
            partial(contextvars.copy_context().run, ask_aws, target, asked, log=log, patience=patience)
        )
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
