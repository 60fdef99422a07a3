"""How one kind of object is asked for and read: all that the pollers differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic

import msgspec

from asyncrun.clients.api import Described
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import MalformedAnswer, RemoteError
from asyncrun.triggers.watch.news import S

# What reading one object's data can raise, whatever it holds (int(inf) is an OverflowError).
DATA_ERRORS = (
    MalformedAnswer, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def text(value: object) -> str:
    """The value, if it is text. Raises TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """
    Numbers of the rounds that nobody has had a reason to configure. Times in seconds.

    :param pause: newcomers are collected for that long before an early round.
    :param backoff: longest wait after a failed round. Short: an outage is over when it is over, a round that fails is
        given up after a few calls, and the call budget slows down by itself when AWS throttles.
    :param patience: passing trouble is told to subscribers after that long: one throttled call is nobody's concern.
    :param unreadable_limit: an object is given up after that many answers about it in a row that cannot be read.
    :param rests: waits between calls for a single object that AWS refuses to be asked about.
    :param probes: calls per round outside the regular batches, at most.
    :param concurrency: calls under way at the same time, at most.
    :param hopeless_after: failed calls in a row after which a round gives up the rest of its calls.
    :param renewals: waits between renewals of the credentials. The longest is short against ``access_grace``: a
        connection that was mended must be noticed in time.
    :param renew_limit: for one renewal, at most.
    """

    pause: float = 0.2
    backoff: float = 5.0
    patience: float = 5.0
    unreadable_limit: int = 3
    rests: Backoff = Backoff(first=2.0, longest=60.0)
    probes: int = 8
    concurrency: int = 8
    hopeless_after: int = 3
    renewals: Backoff = Backoff(first=30.0, longest=60.0)
    renew_limit: float = 30.0


class Questions(ABC, Generic[S]):
    """One kind of object. Reading may raise any of ``DATA_ERRORS``, which then concerns that object only."""

    what: str
    """One such object, for messages: "ECS task"."""
    cluster = ""
    """The short name of the cluster that they are in, if they are in one."""
    service = "ecs"
    operation: str
    """The API's name of the call."""
    advice = ""
    """A sentence for the error with which an object is given up though nothing is known to be wrong with it."""
    size = 100
    """Objects per call, at most."""

    @abstractmethod
    async def ask(self, idents: Sequence[str]) -> Described:
        """
        One call for at most ``size`` objects.

        :raises RemoteError: and nothing else.
        """

    @abstractmethod
    def idents(self, raw: Mapping[str, Any]) -> Iterable[str]:
        """Under which names an item of the answer may have been asked for."""

    @abstractmethod
    def read(self, raw: Mapping[str, Any]) -> tuple[S, int]:
        """The item's state and version; version 0 where there is none, and states are compared instead."""

    def version(self, raw: Mapping[str, Any]) -> object:  # noqa: ARG002 - for subclasses
        """The version as it stands in the item: equal to the one read last, the item is not read again."""
        return None

    def is_final(self, state: S) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the object will never change again."""
        return False

    def missing_state(self, ident: str) -> S | None:  # noqa: ARG002 - for subclasses
        """The state of an object that the platform does not know, where that is a state and not a loss."""
        return None

    def error(self, kind: type[RemoteError], text: str, code: str = "") -> RemoteError:
        """An error about an answer of ``ask``."""
        return kind(text, service=self.service, operation=self.operation, code=code)

    def unreadable(self, ident: str, error: Exception) -> RemoteError:
        """
        What is said of an object that is given up because its data cannot be read.

        :param error: one of ``DATA_ERRORS``.
        """
        if not isinstance(error, MalformedAnswer):
            error = self.error(MalformedAnswer, f"{self.what} {ident} cannot be read: {error!r}")
        return self.advised(error)

    def advised(self, error: RemoteError) -> RemoteError:
        """That error, with our advice."""
        return error.advising(self.advice) if self.advice else error
