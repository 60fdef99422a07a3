"""
What a subscriber of a shared watcher hears about one object: a small union of values.

Two things are told apart, because neither may hide the other from a slow subscriber:

- the *latest* word on the object itself: ``Seen``, ``Deleted``, ``Gone`` or ``Broken``. The last three are final, and
  so is a ``Seen`` that the watcher knows to be the last one (an ECS task that is STOPPED);
- whether the watcher can *see* it: ``Trouble`` begins, may get worse (at most twice), and is over with ``Recovered``.

A ``Remark`` is about how it is seen, where that is not as it should be and nothing is wrong: told once.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import msgspec

from asyncrun.model.errors import RemoteError

S = TypeVar("S")


class Seen(msgspec.Struct, Generic[S], frozen=True):
    """The object is in this state now."""

    state: S


class Deleted(msgspec.Struct, Generic[S], frozen=True):
    """
    The object was deleted, and a call of its own confirmed that. Final.

    :param state: its last one, as the platform told it with the deletion: of a pod that was deleted by force it may say
        that its containers still run.
    """

    state: S


class Gone(msgspec.Struct, frozen=True):
    """
    The platform does not know the object: after the grace, and confirmed by a call of its own. Final.

    :param first_missing_at: seconds since the epoch.
    """

    first_missing_at: float


class Broken(msgspec.Struct, frozen=True):
    """
    What the platform says about this one object cannot be read, or it refuses to be asked about it. Final.

    :param error: a ``MalformedAnswer`` or ``RequestRefused``.
    """

    error: RemoteError


class Trouble(msgspec.Struct, frozen=True, eq=False):
    """
    The object cannot be seen at the moment. It may well go on running.

    Told once when it begins, again if passing trouble turns out to be refused access, and again if it becomes fatal.

    :param error: its class says who must act.
    :param since: since when there has been no answer about this object, seconds since the epoch.
    :param fatal: access was refused for longer than ``access_grace``: waiting on is no use.
    """

    error: RemoteError
    since: float
    fatal: bool = False


class Recovered(msgspec.Struct, frozen=True):
    """
    The trouble that this subscriber was told of is over.

    :param trouble: what it was told last.
    :param at: seconds since the epoch.
    """

    trouble: Trouble
    at: float


class Remark(msgspec.Struct, frozen=True):
    """
    How the object is seen from now on, for the user; each is told once.

    :param text: one or two plain sentences.
    """

    text: str


Latest: TypeAlias = Seen[S] | Deleted[S] | Gone | Broken
News: TypeAlias = Seen[S] | Deleted[S] | Gone | Broken | Trouble | Recovered | Remark
