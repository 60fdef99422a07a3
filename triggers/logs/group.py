"""One log group, as both ways of reading it see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from asyncrun.clients.api import LogEvent, LogPage, LogsApi
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
)
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.streams import Stream

_TRIES = 3  # of one throttled call within a round; the call budget slows them down
_REFUSED_SAID_AFTER = 30.0  # s
FULL_WAIT = 0.5  # s until a follower that was full is looked at again
_SMALL_PAGE = 100  # events; a page has up to 1 MB, and each of a thousand runs may be given one


class LogGroup:
    """
    Where the calls for a group go, who gets its events, and what was counted.

    :param clock: ours, seconds since the epoch.
    :param give: hands events to the stream's follower; told how many were read for them.
    :param answered: told of each call that was answered, be it by a refusal.
    """

    def __init__(
        self,
        api: LogsApi,
        name: str,
        settings: Settings,
        clock: Callable[[], float],
        give: Callable[[Stream, Sequence[LogEvent], int], Awaitable[None]],
        answered: Callable[[], None],
    ) -> None:
        self.api, self.name, self.settings, self.give = api, name, settings, give
        self.clock, self._answered = clock, answered
        self.ticks = asyncio.get_running_loop().time
        """For waiting; the wall clock may jump."""
        self.calls = self.failed = 0
        self.could_read = True
        """Whether a page could be read since an answer came last that could not be read."""
        self._read_at = float("-inf")

    @staticmethod
    def page_limit(streams: Sequence[Stream]) -> int | None:
        """How many events a page should have, None: as many as there are. Those of many streams are shared."""
        return _SMALL_PAGE if len(streams) == 1 and streams[0].follower.sparing else None

    def now_ms(self) -> int:
        """AWS's time, as far as it is known: never later than it is. Milliseconds since the epoch."""
        return self.there_ms(self.clock())

    def there_ms(self, moment: float) -> int:
        """
        A moment of our clock in AWS's time, in which all events and the end of a run are told.

        To be asked when an answer has come: before the first one AWS's time is not known.
        """
        return int((moment + self.api.ahead) * 1000)

    async def ask(self, call: Callable[[], Awaitable[LogPage]], wanted: Callable[[], bool]) -> LogPage | None:
        """
        One call, repeated where it is throttled: others of the account take turns, and we need not start anew.

        :param wanted: whether anybody still wants the page.
        :return: None if it was throttled, and nobody does.
        :raises RemoteError: the call was refused, or not answered.
        """
        for tries in range(1, _TRIES + 1):
            self.calls += 1
            try:
                page = await call()
            except RemoteError as error:
                self.failed += 1
                self.could_read = self.could_read and not isinstance(error, MalformedAnswer)
                if isinstance(error, Throttled) and tries < _TRIES:
                    if wanted():
                        continue
                    return None
                if is_refusal(error):
                    self._answered()
                raise
            self._answered()
            self.could_read, self._read_at = True, self.ticks()
            return page
        raise AssertionError("unreachable")

    def say_missing(self, stream: Stream, error: NotFound) -> None:
        """The group does not exist: for that stream's task log, once."""
        stream.say_once(
            "group",
            "warning",
            f"The log group {self.name} does not exist in {self.api.region}: its lines will show here once it does. "
            f"Check awslogs-group and awslogs-region of the task definition ({error})",
        )

    def say_denied(self, stream: Stream, error: AccessDenied) -> None:
        """FilterLogEvents is not allowed: for that stream's task log, once."""
        stream.say_once(
            "denied",
            "warning",
            "The permission logs:FilterLogEvents is missing: each log stream is read by itself with "
            f"logs:GetLogEvents, and with many runs lines arrive late ({error})",
        )

    def say_withdrawn(self, stream: Stream, error: AccessDenied) -> None:
        """FilterLogEvents is no longer allowed: for that stream's task log, once, in place of ``refused``'s warning."""
        stream.say_once(
            "withdrawn",
            "error",
            "The permission logs:FilterLogEvents was taken away while this log was read: lines are missing "
            f"until it is given back ({error})",
        )
        stream.told |= {"refused"}

    def refused(self, stream: Stream, error: RemoteError, longest_wait: float) -> bool:
        """
        A call for that stream alone, or for all like it, was refused.

        :param longest_wait: seconds until it is asked again.
        :return: whether it is given up: it was refused for ``access_grace``, or, where its run has ended, for as long
            as the end of a log takes anyway.
        """
        settings = self.settings
        lasted = stream.refusal.again(error, self.ticks(), self._read_at, longest_wait)
        limit = min(settings.access_grace, settings.logs_quiet_period) if stream.urgent else settings.access_grace
        what = f"The log stream {stream.name} of group {self.name} cannot be read"
        if lasted >= limit:
            stream.give_up(f"{what} ({error})")
            return True
        if lasted >= _REFUSED_SAID_AFTER:
            stream.say_once(
                "refused",
                "warning",
                f"{what}, for {lasted:.0f} s now; it is given up after {settings.access_grace:.0f} s ({error})",
            )
        return False


def is_refusal(error: RemoteError) -> bool:
    """Whether CloudWatch answered, and the answer was no. Expired credentials say nothing about what is asked for."""
    return isinstance(error, NotFound | AccessDenied | RequestRefused) and not isinstance(error, CredentialsExpired)
