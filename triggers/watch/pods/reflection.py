"""
The list-and-watch protocol of Kubernetes: what to ask next, and when. No I/O, no clock.

A listing, page by page, leads to a *place* (``resource_version``) from which a watch goes on. Each line, bookmarks
included, moves the place; a watch that ends is resumed from there. What leads back to a listing:

- the place is no longer kept: 410 as an HTTP status, or as an ``ERROR`` line inside a 200 (any restart of the API
  server can cause it: trace s_apiserver_killed);
- a page is no longer kept: 410 for its token (k3_expired_continue_token);
- nothing came for too long, no bookmark either. A place in the server's future, which an etcd that was restored from a
  backup leaves us with, hangs like that for ever (k2_watch_semantics), so resuming would not help;
- a line that cannot be read, and watches that end at once again and again: a listing shows the pods nevertheless.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from asyncrun.clients.kube_api import PodPage, WatchLine
from asyncrun.model.errors import Expired, MalformedAnswer, RemoteError, RequestRefused, Unavailable
from asyncrun.triggers.watch.pods.tuning import PodTuning

_GONE = 410
BOOKMARK, DELETED, ERROR = "BOOKMARK", "DELETED", "ERROR"


class ListPage(msgspec.Struct, frozen=True):
    """
    Ask for a page of the list.

    :param token: empty: the first one.
    """

    token: str


class WatchFrom(msgspec.Struct, frozen=True):
    """Watch from that place on."""

    place: str


Request: TypeAlias = ListPage | WatchFrom


class Reflection:
    """
    One list and watch. Moments are the event loop's time, in seconds.

    :param silence: setting ``pod_watch_silence``.
    :param jitter: a number in [0, 1): reflectors of other triggerers must not march in step.
    """

    def __init__(self, silence: float, tuning: PodTuning, *, jitter: Callable[[], float] = random.random) -> None:
        self._silence, self._tuning, self._jitter = silence, tuning, jitter
        self.place = ""
        """Where a watch would go on; empty: a listing comes first."""
        self.placed_at = 0.0
        """When the place moved last."""
        self.wait = 0.0
        """Seconds until the next request."""
        self._first_place = self._token = ""
        self._listed: set[str] = set()
        self._is_open = False
        self._opened_at = self._came_at = 0.0
        self._idle = True  # the open watch brought nothing yet
        self._failures = self._doubts = self._expired_in_a_row = 0
        self.lists = self.watches = self.cuts = self.expired = self.silent = 0

    def restart(self) -> None:
        """The loop around it was broken off, perhaps in the midst of taking something in: begin with a listing."""
        self.place, self._token, self._listed, self._is_open = "", "", set(), False

    @property
    def request(self) -> Request:
        """What to ask next, ``wait`` seconds from now."""
        return WatchFrom(self.place) if self.place else ListPage(self._token)

    @property
    def duration(self) -> float:
        """Seconds after which the server is to end the next watch."""
        return self._tuning.watch_seconds * (1 + self._jitter())

    # -- a list --------------------------------------------------------------------------------------------------------

    def page(self, page: PodPage, now: float) -> set[str] | None:
        """A page came. Returns the uids of all pods that there are if it is the last one."""
        if not self._token:
            # Of the first page: were a later one to show a later moment, the watch replays what lies between.
            self._first_place, self._listed = page.resource_version, set()
        self._listed.update(pod.uid for pod in page.pods)
        self._listed.update(page.unreadable)
        self._token, self.wait = page.next_page, 0.0
        if self._token:
            return None
        listed, self._listed = self._listed, set()
        self.lists += 1
        self.place, self.placed_at = self._first_place, now
        if not self.place:  # a list without a version: nothing to watch from
            self._back_off()
        return listed

    # -- a watch -------------------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The server accepted the watch."""
        self._opened_at = self._came_at = now
        self._is_open = self._idle = True
        self.watches += 1

    def line(self, line: WatchLine, now: float) -> RemoteError | None:
        """A line came. Returns what it means if it is an ``ERROR``, after which the watch is of no use."""
        self._came_at = now
        if line.type == ERROR:
            return _error(line.object)
        self._idle = False
        if line.resource_version:
            self.place, self.placed_at = line.resource_version, now
        return None

    def ended(self, now: float) -> None:
        """The watch came to its clean end: its time was up, or the server went down in order."""
        self._close(now)
        if self._failures:
            self._back_off(again=False)
        else:
            self.wait = 0.0

    # -- both ----------------------------------------------------------------------------------------------------------

    def failed(self, error: RemoteError, now: float) -> None:
        """The request failed, or the open watch did."""
        was_watching = self._is_open
        if was_watching:
            self.cuts += 1
            silent = now - self._came_at >= 0.9 * self._silence  # the client's clock is not quite ours
            self._close(now)
            if silent:
                self.silent += 1
                self.place = ""
        if isinstance(error, Expired):
            self.expired += 1
            self._listed, self._token, self.place = set(), "", ""
            self._expired_in_a_row += 1
            again = self._expired_in_a_row - 1
            self.wait = self._tuning.backoff.wait(again, self._jitter) if again else 0.0
            return
        if isinstance(error, MalformedAnswer) and was_watching:
            self.place = ""
        if isinstance(error, RequestRefused):  # perhaps for the token or the place: the next request has neither
            self._listed, self._token, self.place = set(), "", ""
        self._back_off(again=not was_watching or not self._failures)

    def _close(self, now: float) -> None:
        self._is_open = False
        if now - self._opened_at >= self._tuning.healthy:
            self._failures = self._doubts = self._expired_in_a_row = 0
            return
        self._failures += 1  # also where lines came: each watch may bring one and end, again and again
        self._doubts = self._doubts + 1 if self._idle else 0
        if self._doubts >= self._tuning.doubtful_after:
            self._doubts, self.place = 0, ""

    def _back_off(self, *, again: bool = True) -> None:
        self._failures += again
        self.wait = self._tuning.backoff.wait(self._failures, self._jitter)


class _Status(msgspec.Struct):
    code: Any = 0
    reason: Any = ""
    message: Any = ""


def _error(status: msgspec.Raw) -> RemoteError:
    try:
        said = msgspec.json.decode(status, type=_Status)
    except (msgspec.MsgspecError, RecursionError):
        said = _Status()
    kind = Expired if said.code == _GONE or said.reason in ("Expired", "Gone") else Unavailable
    text = f"Kubernetes ended a watch of pods: {said.message or 'it did not say why'}"
    return kind(text, service="kubernetes", operation="watch", code=str(said.reason), said=str(said.message))
