"""
The pods of one reflector: what each line, listing and answer means for whom. No I/O.

A subscribed pod is seen by the watch. It is asked for by a call of its own (GET) only where the watch cannot tell:

- a newcomer that neither a listing nor a line has shown yet;
- the watch says that it is deleted, which it also says of a pod that has left our selector, or a listing does not have
  it: only a call tells whether it is gone (404, or another uid under its name);
- what the watch says of it cannot be read;
- it does not carry our labels, or list and watch are forbidden: it is polled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from asyncrun.clients.kube_api import PodPage, WatchLine
from asyncrun.model.errors import AccessDenied, MalformedAnswer, NotFound, RemoteError
from asyncrun.model.pod import Pod, read_pod
from asyncrun.triggers.watch.pods.agenda import Agenda
from asyncrun.triggers.watch.pods.labels import matches
from asyncrun.triggers.watch.pods.reflection import DELETED
from asyncrun.triggers.watch.pods.row import PodRow, Said, version_of
from asyncrun.triggers.watch.pods.shelf import Shelf, Shelved
from asyncrun.triggers.watch.pods.tuning import PodTuning
from asyncrun.triggers.watch.questions import DATA_ERRORS

_ADVICE = "The pod may still be running."


class PodBook:
    """
    The pods that somebody is subscribed to, and the others that carry our selector. Moments are the loop's time.

    :param namespace: for messages.
    :param selector: empty: there is no watch, every pod is polled.
    :param interval: seconds between two looks at a pod that is polled, at least.
    :param rate: looks per second, at most, at all pods that are polled.
    :param access_grace: seconds that access must be refused to be fatal.
    """

    def __init__(
        self,
        namespace: str,
        selector: str,
        *,
        interval: float,
        rate: float,
        access_grace: float,
        tuning: PodTuning,
        clock: Callable[[], float],
    ) -> None:
        self._namespace, self._selector, self._tuning, self._clock = namespace, selector, tuning, clock
        self._interval, self._rate, self._access_grace = interval, rate, access_grace
        self.rows: dict[str, PodRow] = {}
        self.agenda = Agenda()
        self.shelf = Shelf(tuning.shelf_bytes)
        self.forbidden: RemoteError | None = None
        """Why pods cannot be listed and watched, while that is so."""
        self._forbidden_anew = False  # list and watch were refused since calls for single pods were refused last
        self._listed = False  # a listing is complete, so what is neither in it nor told by a line is not seen at all
        self.decoded = 0
        self._answered = 0  # pages, lines, and calls for single pods

    @property
    def polling(self) -> bool:
        """Whether every pod is polled."""
        return not self._selector or self.forbidden is not None

    @property
    def polled(self) -> int:
        """How many pods are polled."""
        return len(self.rows) if self.polling else sum(row.alone for row in self.rows.values())

    # -- who wants to know ---------------------------------------------------------------------------------------------

    def add(self, ident: str) -> PodRow:
        """
        The row of that pod, new or known.

        :param ident: ``name/uid``.
        """
        uid = ident.rpartition("/")[2]
        row = self.rows.get(uid)
        if row is None:
            row = self.rows[uid] = PodRow(ident)
            self._welcome(row)
        return row

    def _welcome(self, row: PodRow) -> None:
        shelved = self.shelf.take(row.uid)
        if self.polling:
            self.agenda.at(row, self._clock())
        elif shelved is not None:
            self._take(row, shelved.pod, deleted=shelved.deleted_at is not None)
        elif self._listed:
            self.agenda.at(row, self._clock() + self._tuning.newcomer_wait)

    def remove(self, ident: str) -> None:
        """Nobody wants to know any more."""
        row = self.rows.pop(ident.rpartition("/")[2], None)
        if row is None:
            return
        self.agenda.drop(row)
        state = getattr(row.latest, "state", None)
        if isinstance(state, Pod) and not (row.final or row.suspect or row.alone or self.polling):
            self.shelf.put(row.uid, Shelved(state, row.version))

    def restart(self) -> None:
        """Calls that were under way were broken off: make them again."""
        for row in self.rows.values():
            if row.looking:
                self.agenda.done(row)
                self.retry(row, self._clock())

    # -- what list and watch tell --------------------------------------------------------------------------------------

    def page(self, page: PodPage) -> None:
        """A page of a listing came."""
        self._answered += 1
        for pod in page.pods:
            row = self.rows.get(pod.uid)
            if row is None:
                self.shelf.put(pod.uid, Shelved(pod, version_of(pod.metadata.resource_version)))
            elif not row.final:
                self._see(row, pod)
                if 0 < version_of(pod.metadata.resource_version) < row.version:
                    self._ask(row, self._clock())  # a call overtook the listing, or history went back
        for uid in page.unreadable:
            if (row := self.rows.get(uid)) is not None and not row.final:
                row.garbled = True
                self._ask(row, self._clock())

    def listed(self, uids: set[str]) -> None:
        """It is complete: whoever is not in it is gone, or has left our selector, or is newer than it."""
        now = self._clock()
        self._listed = True
        self.shelf.keep(uids, now - self._tuning.shelf_deleted)
        for uid, row in self.rows.items():
            if uid in uids or row.final or row.alone:
                continue
            if row.latest is not None:
                row.suspect = True
                self._ask(row, now)
            elif not row.by_calls:
                self._ask(row, now + self._tuning.newcomer_wait)

    def line(self, line: WatchLine) -> None:
        """A pod was added, changed or deleted, or has entered or left our selector."""
        self._answered += 1
        is_deletion = line.type == DELETED
        row = self.rows.get(line.uid)
        version = version_of(line.resource_version)
        known = self.shelf.version(line.uid) if row is None else row.version
        if 0 < version <= known or (row is not None and row.final):
            return
        if row is None:
            # A copy: the raw JSON would keep alive all that came with it.
            self.shelf.put(line.uid, Shelved(bytes(line.object), version, self._clock() if is_deletion else None))
        else:
            self._take(row, line.object, deleted=is_deletion)

    def _take(self, row: PodRow, body: Pod | bytes | msgspec.Raw, *, deleted: bool) -> None:
        pod = body if isinstance(body, Pod) else self._read(body)
        if pod is not None and not deleted:
            self._see(row, pod)
            return
        if pod is None:
            row.garbled = True
        else:
            row.see_pod(pod)
        if deleted:
            state = pod if pod is not None else getattr(row.latest, "state", None)
            row.deleted, row.suspect = state, True
        self._ask(row, self._clock())

    def _see(self, row: PodRow, pod: Pod) -> None:
        """The watch shows it: there is no need to ask for it, unless what was seen is older than what made us ask."""
        is_old = 0 < version_of(pod.metadata.resource_version) < row.version
        row.see_pod(pod)
        if not is_old and not self.polling:
            row.alone, row.suspect, row.deleted = False, False, None
            self.agenda.drop(row)
            row.answered()

    def _read(self, body: bytes | msgspec.Raw) -> Pod | None:
        self.decoded += 1
        try:
            return read_pod(body)
        except DATA_ERRORS:
            return None  # a call tells whether that lasts

    # -- whether it can be seen ----------------------------------------------------------------------------------------

    def reached(self) -> None:
        """List or watch was answered."""
        for row in self._watched():
            row.answered()

    def unreached(self, error: RemoteError) -> None:
        """List or watch failed."""
        now = self._clock()
        for row in self._watched():
            if isinstance(error, NotFound):  # no Kubernetes at that address any more, perhaps
                row.count_refusal(now)
                row.refused(error, now, self._access_grace, patience=self._tuning.patience)
            else:
                row.unanswered(error, now, self._tuning.patience)

    def _watched(self) -> Iterable[PodRow]:
        """Those for whom list and watch tell whether they can be seen."""
        if self.polling:
            return ()
        return [row for row in self.rows.values() if not (row.final or row.alone or row.by_calls)]

    def forbid(self, error: RemoteError) -> None:
        """List or watch is refused: poll every pod from now on."""
        if self.forbidden is None:
            now = self._clock()
            for row in self.rows.values():
                if not row.final and not row.by_calls:
                    self.agenda.at(row, now)
        self.forbidden, self._forbidden_anew = error, True

    def permit(self) -> None:
        """List and watch work again; each pod is polled once more, which tells whether the watch will show it."""
        self.forbidden = None

    # -- calls for single pods -----------------------------------------------------------------------------------------

    def _ask(self, row: PodRow, when: float) -> None:
        row.requests += 1
        self.agenda.at(row, when if row.due is None else min(when, row.due))

    def wants(self, row: PodRow) -> bool:
        """Whether somebody waits for news of it."""
        return not row.final and self.rows.get(row.uid) is row

    def found(self, row: PodRow, pod: Pod, requests: int, sequence: int) -> None:
        """
        A call told about it.

        :param requests: ``row.requests`` when the call began.
        :param sequence: the same of ``row.sequence``: what came since may be newer.
        """
        self._answered += 1
        if not self.wants(row):
            return
        row.see_pod(pod, latest=row.sequence == sequence)
        row.answered()
        if row.requests != requests:
            return  # it is asked for again
        row.suspect, row.garbled, row.deleted = False, False, None
        if self.polling:
            if self.forbidden is not None and self._forbidden_anew:
                row.say(Said.FORBIDDEN, self._forbidden_text(self.forbidden))
        else:
            row.alone = not matches(self._selector, pod.metadata.labels)
            if not row.alone:
                self.agenda.drop(row)
                return
            row.say(Said.UNLABELLED, self._unlabelled_text())
        self.agenda.at(row, self._clock() + max(self._interval, self.polled / self._rate))

    def not_found(self, row: PodRow) -> None:
        """A call told that there is none of its name, or that it is another one."""
        self._answered += 1
        if not self.wants(row):
            return
        was_missing = row.missing_at is not None
        row.missing(self._clock())
        if row.suspect or was_missing:
            row.ended()
            self.agenda.drop(row)
        else:
            self.agenda.at(row, self._clock() + self._tuning.confirm_after)

    def unreadable(self, row: PodRow, error: MalformedAnswer) -> None:
        """
        A call was answered by something that is no pod.

        A gateway's page is everybody's trouble: it counts against this pod only if the watch cannot read it either, if
        others were answered for since, or if it has lasted for ``access_grace``.
        """
        if not self.wants(row):
            return
        now = self._clock()
        row.count_refusal(now, error.code)
        row.suspected(error, now, self._tuning.patience)
        if row.garbled or self._answered != row.unreadable_at or row.refused_for >= self._access_grace:
            row.unreadable_at = self._answered
            row.unreadable(error.advising(_ADVICE), self._tuning.unreadable_limit)
        if not row.final:
            self.agenda.at(row, now + self._tuning.rests.wait(self._tuning.unreadable_limit))

    def unanswered(self, rows: Iterable[PodRow], error: RemoteError) -> None:
        """Calls for these failed, or were not made since others failed, for a reason that passes."""
        now = self._clock()
        for row in rows:
            row.unanswered(error, now, self._tuning.patience)

    def refused(self, rows: Iterable[PodRow], error: RemoteError, *, renewed: bool) -> None:
        """
        The same where access is refused.

        :param renewed: the credentials were renewed just now: whoever was not told yet is told if that did not help.
        """
        now, self._forbidden_anew = self._clock(), False
        for row in rows:
            row.count_refusal(now, "" if isinstance(error, AccessDenied) else error.code)
            if not (renewed and row.trouble is None):
                row.refused(error, now, self._access_grace)

    def retry(self, row: PodRow, when: float) -> None:
        """Ask for it again."""
        if self.wants(row):
            self.agenda.at(row, when if row.due is None else min(when, row.due))

    def waiting(self) -> list[PodRow]:
        """Those who are asked for by calls."""
        return [row for row in self.rows.values() if row.by_calls and not row.final]

    # -- texts ---------------------------------------------------------------------------------------------------------

    def _forbidden_text(self, error: RemoteError) -> str:
        advice = " Allow the verbs list and watch on pods beside get." if isinstance(error, AccessDenied) else ""
        return (
            f"Pods of namespace {self._namespace} cannot be listed and watched, so the pod is asked for every "
            f"{self._interval:g} s, which sees changes later and costs far more requests.{advice} {error}"
        )

    def _unlabelled_text(self) -> str:
        return (
            f"The pod does not carry the labels by which asyncrun watches pods ({self._selector}), so it is asked for "
            f"every {self._interval:g} s. Something has changed or removed them"
        )
