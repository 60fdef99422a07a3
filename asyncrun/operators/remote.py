"""A worker's short visits to AWS or Kubernetes: one event loop, one access, some calls, everything closed again."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from asyncrun.model.refs import AwsTarget, KubeTarget

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.clients.kube_api import KubeAccess
    from asyncrun.clients.patience import Patience
    from asyncrun.model.settings import Settings

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
T = TypeVar("T")


class Way(Protocol[A_co]):
    """A worker's way to a platform."""

    def open(self, settings: Settings) -> AbstractAsyncContextManager[A_co]:
        """
        The platform, in the running event loop.

        :raises RemoteError: the connection cannot be resolved.
        """

    async def close_all(self) -> None:
        """Close everything that the running event loop has open there."""


class Aws(NamedTuple):
    """The way to AWS."""

    target: AwsTarget

    def open(self, settings: Settings) -> AbstractAsyncContextManager[AwsAccess]:
        """AWS, as the target reaches it."""
        from asyncrun.clients.aws import open_aws

        return open_aws(self.target, settings)

    async def close_all(self) -> None:
        """Close its clients."""
        from asyncrun.clients.aws import close_all

        await close_all()


class Kube(NamedTuple):
    """The way to a Kubernetes cluster."""

    target: KubeTarget

    def open(self, settings: Settings) -> AbstractAsyncContextManager[KubeAccess]:
        """The cluster, as the target reaches it."""
        from asyncrun.clients.kube import open_kube

        return open_kube(self.target, settings)

    async def close_all(self) -> None:
        """Close its sessions."""
        from asyncrun.clients.kube import close_all_kube

        await close_all_kube()


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


def call(way: Way[A], work: Callable[[A], Awaitable[T]], *, log: Any, patience: Patience | None = None) -> T:
    """
    Run ``work`` in an event loop of its own, and close all clients afterwards. It is done once: see ``ask``.

    :param log: the task's: told where finding the way is repeated.
    :param patience: how long it is; None: ``IN_A_WORKER``.
    :raises RemoteError: from the calls in ``work``, or because there are no credentials.
    """

    async def visit() -> T:
        try:
            async with AsyncExitStack() as stack:
                access = await _patiently(
                    lambda: stack.enter_async_context(way.open(running_settings())), log, patience
                )
                return await work(access)
        finally:
            await way.close_all()

    return asyncio.run(visit())


def ask(way: Way[A], work: Callable[[A], Awaitable[T]], *, log: Any, patience: Patience | None = None) -> T:
    """
    The same for what is safe to repeat: it is, while nobody answers or calls are throttled.

    :param log: the task's: told where it is repeated.
    :param patience: how long it is; None: ``IN_A_WORKER``.
    :raises RemoteError: it was refused, or there was no answer for too long.
    """

    async def repeated(access: A) -> T:
        return await _patiently(lambda: work(access), log, patience)

    return call(way, repeated, log=log, patience=patience)


async def _patiently(work: Callable[[], Awaitable[T]], log: Any, patience: Patience | None) -> T:
    from asyncrun.clients.patience import IN_A_WORKER, patiently

    return await patiently(work, lambda why: log.warning("%s", why), patience or IN_A_WORKER)


def ask_from_signal(
    way: Way[A], work: Callable[[A, Callable[[], None]], Awaitable[T]], *, settings: Settings, log: Any
) -> T | None:
    """
    The same for what stops a run, from a signal handler or any other place where this thread may already run an event
    loop. It is repeated for ``kill_grace``.

    The SDK calls ``on_kill`` in its handler of SIGTERM, in the main thread, between two steps of whatever runs there:
    possibly our own loop, where ``asyncio.run`` is refused. So the calls are made in a thread.

    :param work: its second argument is to be called when the platform has answered that it does not show the run (yet).
    :param settings: the thread is waited for as long as ``kill_grace``, and if that answer came, ``missing_grace``
        more: then the run is shown, or known to be gone. It goes on after that, as long as the process lives.
    :return: None where it took longer.
    """
    from asyncrun.clients.patience import for_a_stop

    hidden, patience = Event(), for_a_stop(settings.kill_grace)

    # Unlike the trigger's, this way was opened for this very call: there are no newer credentials to look up.
    async def asked(access: A) -> T:
        return await work(access, hidden.set)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="asyncrun-stop")
    try:
        answer = pool.submit(partial(contextvars.copy_context().run, ask, way, asked, log=log, patience=patience))
        wait([answer], settings.kill_grace)
        return answer.result(settings.missing_grace if hidden.is_set() else 0)
    except TimeoutError:
        return None
    finally:
        pool.shutdown(wait=False)


def wait_here(trigger: Any, begun: Callable[[], None] | None = None) -> Any:
    """
    Drive a trigger to its event in this process (``deferrable=False``).

    :param begun: called first, in the task that drives it: whoever cancels that task ends the waiting.
    :return: the event's payload, or the name of the end state for an event that ends the task.
    """
    from asyncrun.triggers.base import run_inline

    async def drive() -> Any:
        if begun is not None:
            begun()
        return await run_inline(trigger)

    return asyncio.run(drive()).payload
