"""When the record of the last lines goes out although no later line came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# A timer that runs so much too late was held up by the event loop, and so may have been the bytes that have arrived.
_LATE = 0.02


class Quiet:
    """
    Calls ``settle`` when nothing has come for some time while somebody was waiting for bytes.

    Lines of one time slot form one record, and after a triggerer's death its successor must form the same one. So a
    record may go out only when no later line can fall into its slot. A line's stamp is of before its arrival, by the
    node's own clock; a slot's length after the arrival, the slot is over on the node, whatever the difference to our
    clock. What was written in it is on its way then, and ``seconds`` has room for that, too. Only time counts in which
    a connection that has caught up was being read: not while it is cut, while we pause, or while the loop stands
    still. So pressure and outages delay a record, and never cut it in two. What the way delays for longer than that
    does cut it: the record is not equal in a replay then, and nothing is lost.

    :param seconds: a slot's length and the usual delay of the way.
    :param may_settle: asked before; no: the wait begins anew.
    """

    __slots__ = ("_may_settle", "_open", "_seconds", "_settle", "_since", "_timer")

    def __init__(self, seconds: float, settle: Callable[[], None], may_settle: Callable[[], bool]) -> None:
        self._seconds, self._settle, self._may_settle = seconds, settle, may_settle
        self._open = False
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def lines_came(self) -> None:
        """There is a record that may wait for company."""
        self._open = True

    def waiting(self) -> None:
        """From now on the next bytes are waited for."""
        if self._open:
            self._since = asyncio.get_running_loop().time()
            if self._timer is None:
                self._start(self._seconds)

    def not_waiting(self) -> None:
        """They came, or the connection ended."""
        self._since = None

    def settled(self) -> None:
        """Nothing waits for company any more."""
        self._open = False
        self.not_waiting()

    def stop(self) -> None:
        """Nothing will be settled any more, until ``waiting``."""
        self.not_waiting()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """It will not be used again: what it calls refers to it, and such cycles only the garbage collector frees."""
        self.stop()
        self._settle, self._may_settle = _nothing, _never

    def _start(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(loop.time() + seconds, self._fire)

    def _fire(self) -> None:
        timer, self._timer = self._timer, None
        if self._since is None or timer is None:
            return
        now = asyncio.get_running_loop().time()
        if now - timer.when() > _LATE or not self._may_settle():
            self._since = now
        left = self._since + self._seconds - now
        if left > 0.001:
            self._start(left)
        else:
            self.settled()
            self._settle()


def _nothing() -> None:
    pass


def _never() -> bool:
    return False
