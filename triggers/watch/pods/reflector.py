"""The pods of one namespace that carry our selector: one list and one watch, whoever waits for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import msgspec

from asyncrun.clients.kube_api import KubeAccess, WatchLine
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    Expired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
)
from asyncrun.model.pod import Pod
from asyncrun.model.settings import Settings
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.pods.book import PodBook
from asyncrun.triggers.watch.pods.reflection import BOOKMARK, ListPage, Reflection, WatchFrom
from asyncrun.triggers.watch.pods.row import PodRow
from asyncrun.triggers.watch.pods.tuning import PodTuning
from asyncrun.triggers.watch.renewals import Renewals


class ReflectorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counters of one reflector since it was made.

    :param subscribed: pods that somebody is subscribed to.
    :param polled: those of them that are polled.
    :param lists: complete listings.
    :param watches: that were opened.
    :param cuts: of open watches, silent ones included; a clean end is none.
    :param expired: places and pages that were no longer kept (410): each leads to a listing.
    :param silent: watches that were replaced because nothing came.
    :param lines: of watches, bookmarks included.
    :param decoded: pods of those lines that were read.
    :param gets: calls for single pods.
    :param faults: requests of any kind that failed, 410 and cuts included.
    :param renewals: attempts to renew the credentials.
    :param shelved: pods that are kept though nobody is subscribed to them.
    :param shelved_bytes: their memory, about.
    :param resource_version: where the watch stands; empty before the first listing.
    :param resource_version_age: seconds since it came.
    :param forbidden: pods cannot be listed and watched, so all are polled.
    """

    kind: str = "pod"
    namespace: str
    subscribed: int
    polled: int
    lists: int
    watches: int
    cuts: int
    expired: int
    silent: int
    lines: int
    decoded: int
    gets: int
    faults: int
    renewals: int
    shelved: int
    shelved_bytes: int
    resource_version: str
    resource_version_age: float
    forbidden: bool


class PodReflector:
    """
    A watcher of pods. See ``asyncrun.triggers.registry.Watcher``; objects are named ``name/uid``.

    Two loops: one lists and watches, one asks for single pods where that does not tell (see ``PodBook``).

    :param selector: label selector; empty: nothing is listed or watched, every pod is polled.
    :param settings: ``pod_list_page``, ``pod_watch_silence``, ``pod_poll_interval``, ``kube_rate`` and ``access_grace``
        are used.
    """

    def __init__(
        self, access: KubeAccess, namespace: str, selector: str, settings: Settings, *, tuning: PodTuning | None = None
    ) -> None:
        self.name = f"pods of namespace {namespace} at {access.server}" + ("" if selector else ", polled")
        self._access, self._namespace, self._selector, self._settings = access, namespace, selector, settings
        self._tuning = tuning or PodTuning()
        self._clock = asyncio.get_running_loop().time
        self._book = PodBook(
            namespace,
            selector,
            interval=settings.pod_poll_interval,
            rate=settings.kube_rate / 2,  # the other half is for lists, watches and log followers
            access_grace=settings.access_grace,
            tuning=self._tuning,
            clock=self._clock,
        )
        self._reflection = Reflection(settings.pod_watch_silence, self._tuning)
        self._renewals = Renewals(self.name, access.renew, self._tuning.renewals, self._tuning.renew_limit)
        self._again = asyncio.Event()  # list and watch may be permitted again
        self._changed = asyncio.Event()  # the agenda has
        self._looking = 0
        self._failed_in_a_row = 0  # calls for single pods
        self._rest_until = float("-inf")  # no calls for single pods before that
        self._denied = False  # the last one of them was refused
        self._lines = self._gets = self._faults = 0

    # -- the registry's side -------------------------------------------------------------------------------------------

    def open(self, ident: str) -> Feed[Pod]:
        """The feed of that pod: with its state at once where that is known."""
        row = self._book.add(ident)
        self._changed.set()
        return row

    def forget(self, ident: str) -> None:
        """Nobody wants to know of it any more."""
        self._book.remove(ident)

    def statistics(self) -> ReflectorStatistics:
        """Counters, at any time."""
        book, reflection = self._book, self._reflection
        return ReflectorStatistics(
            namespace=self._namespace,
            subscribed=len(book.rows),
            polled=book.polled,
            lists=reflection.lists,
            watches=reflection.watches,
            cuts=reflection.cuts,
            expired=reflection.expired,
            silent=reflection.silent,
            lines=self._lines,
            decoded=book.decoded,
            gets=self._gets,
            faults=self._faults,
            renewals=self._renewals.count,
            shelved=len(book.shelf),
            shelved_bytes=book.shelf.size,
            resource_version=reflection.place,
            resource_version_age=self._clock() - reflection.placed_at if reflection.place else 0.0,
            forbidden=book.forbidden is not None,
        )

    async def run(self) -> None:
        """Watch until cancelled. After a crash it begins with a listing, and what is known of the pods stays."""
        self._reflection.restart()
        self._book.restart()
        self._looking = 0
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_for_pods(), name=f"asyncrun calls for {self.name}")
            if self._selector:
                group.create_task(self._list_and_watch(), name=f"asyncrun list and watch of {self.name}")

    # -- list and watch ------------------------------------------------------------------------------------------------

    async def _list_and_watch(self) -> None:
        while True:
            self._again.clear()  # before the request: what changes during it may have come too late for it
            try:
                match self._reflection.request:
                    case ListPage(token=token):
                        await self._list(token)
                    case WatchFrom(place=place):
                        await self._watch(place)
            except RemoteError as error:
                wait = await self._failed(error)
            else:
                self._renewals.helped()
                wait = self._reflection.wait
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._again.wait()

    async def _list(self, token: str) -> None:
        pods = self._access.pods(self._namespace)
        page = await pods.list(label_selector=self._selector, limit=self._settings.pod_list_page, next_page=token)
        self._book.page(page)
        self._book.reached()
        if (uids := self._reflection.page(page, self._clock())) is not None:
            self._book.listed(uids)
        self._changed.set()

    async def _watch(self, place: str) -> None:
        pods = self._access.pods(self._namespace)
        async with pods.watch(
            label_selector=self._selector,
            resource_version=place,
            seconds=self._reflection.duration,
            silence=self._settings.pod_watch_silence,
        ) as watch:
            self._reflection.opened(self._clock())
            self._book.permit()
            self._book.reached()
            while lines := await watch.lines():
                await self._take(lines)
        self._reflection.ended(self._clock())

    async def _take(self, lines: Iterable[WatchLine]) -> None:
        """
        Take in what has come, in pieces: after a cut, hundreds of lines come at once.

        Of several lines about one pod only the last is read: each holds the whole pod.
        """
        last: dict[str, WatchLine] = {}
        failure: RemoteError | None = None
        for line in lines:
            self._lines += 1
            failure = failure or self._reflection.line(line, self._clock())
            if failure is None and line.type != BOOKMARK and line.uid:
                last[line.uid] = line
        for number, line in enumerate(last.values(), 1):
            self._book.line(line)
            if number % self._tuning.piece == 0:
                await asyncio.sleep(0)
        if last:
            self._changed.set()
        if failure is not None:
            raise failure

    async def _failed(self, error: RemoteError) -> float:
        """What a failed list or watch means. Returns the seconds to wait."""
        self._faults += 1
        self._reflection.failed(error, self._clock())
        # While calls for single pods are answered, the credentials are good: only permissions are lacking.
        are_good = self._book.forbidden is not None and not self._denied
        if isinstance(error, AccessDenied) and not are_good and await self._renewals.attempt():
            return 0.0
        if isinstance(error, AccessDenied | RequestRefused):
            self._book.forbid(error)
            self._changed.set()
            is_expired = isinstance(error, CredentialsExpired)
            return self._tuning.expired_rest if is_expired else self._tuning.forbidden_rest
        if not isinstance(error, Expired):
            self._book.unreached(error)
        return self._reflection.wait

    # -- calls for single pods -----------------------------------------------------------------------------------------

    async def _ask_for_pods(self) -> None:
        async with asyncio.TaskGroup() as calls:
            while True:
                row = await self._next()
                self._looking += 1
                calls.create_task(self._look(row), name=f"asyncrun call for pod {row.ident}")

    async def _next(self) -> PodRow:
        """Wait for a pod to ask for, and for the permission to."""
        while True:
            now = self._clock()
            is_hopeless = self._failed_in_a_row >= self._tuning.hopeless_after
            due = None
            if self._looking < (1 if is_hopeless else self._tuning.concurrency):
                if now >= self._rest_until and (row := self._book.agenda.take(now)) is not None:
                    return row
                due = self._book.agenda.next_due()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                # A timer may fire a tick of its clock too early.
                async with asyncio.timeout_at(None if due is None else max(due, self._rest_until) + 0.001):
                    await self._changed.wait()

    async def _look(self, row: PodRow) -> None:
        self._gets += 1
        await self._ask(row)
        # Not in a finally: what a crash breaks off, perhaps before its first step, is what run() asks for again.
        self._book.agenda.done(row)
        self._looking -= 1
        self._changed.set()

    async def _ask(self, row: PodRow) -> None:
        book, requests, sequence = self._book, row.requests, row.sequence
        try:
            pod = await self._access.pods(self._namespace).get(row.name)
        except NotFound:
            self._got()
            book.not_found(row)
        except MalformedAnswer as error:
            self._faults += 1
            book.unreadable(row, error)
        except RemoteError as error:
            await self._not_got(row, error)
        else:
            self._got()
            if pod.uid == row.uid:
                book.found(row, pod, requests, sequence)
            else:
                book.not_found(row)

    def _got(self) -> None:
        self._failed_in_a_row = 0
        self._rest_until = float("-inf")
        self._renewals.helped()
        if self._denied:
            self._denied = False
            self._again.set()

    async def _not_got(self, row: PodRow, error: RemoteError) -> None:
        self._faults += 1
        self._failed_in_a_row += 1
        is_hopeless = self._failed_in_a_row >= self._tuning.hopeless_after
        is_refused = isinstance(error, AccessDenied | RequestRefused)
        renewed = is_refused and await self._renewals.attempt()
        # Those who are not asked for now wait for the same reason.
        concerned = self._book.waiting() if is_hopeless else [row]
        if is_refused:
            self._denied = True
            self._book.refused(concerned, error, renewed=renewed)
        else:
            self._book.unanswered(concerned, error)
        now = self._clock()
        wait = 0.0 if renewed else self._tuning.backoff.wait(self._failed_in_a_row)
        if is_hopeless and not renewed:
            self._rest_until = now + wait
        self._book.retry(row, now + wait)
