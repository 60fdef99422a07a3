"""Numbers of the pod reflector that nobody has had a reason to configure."""

from __future__ import annotations

import msgspec

from asyncrun.model.backoff import Backoff


class PodTuning(msgspec.Struct, frozen=True, kw_only=True):
    """
    Times in seconds.

    :param backoff: waits after a list or a watch that failed, and after calls for single pods that did. The longest is
        short: an outage is over when it is over, and there is one such request per namespace.
    :param healthy: a watch that lasted for that long ends the backing off.
    :param doubtful_after: watches in a row that ended at once and brought nothing, after which a list tells.
    :param watch_seconds: the server ends a watch after that long, or up to twice that: watches that began together, at
        a server's restart, should not all end together.
    :param forbidden_rest: between attempts to list and watch where that is forbidden.
    :param expired_rest: the same, where the credentials are not accepted for anything.
    :param patience: passing trouble is told to subscribers after that long: one cut is nobody's concern.
    :param newcomer_wait: a pod that is in no listing yet is asked for after that long: mostly, the watch was faster.
    :param confirm_after: a pod that only one call did not find is asked for again after that long.
    :param unreadable_limit: a pod is given up after that many answers about it in a row that cannot be read.
    :param rests: waits between those.
    :param concurrency: calls for single pods under way at the same time, at most.
    :param hopeless_after: such calls in a row that failed, after which one at a time finds out whether that is over.
    :param piece: pods that are read in one step of the event loop, at most: a pod of 10 KiB takes some 20 us.
    :param shelf_bytes: of pods that nobody is subscribed to (see ``Shelf``).
    :param shelf_deleted: those of them that are deleted are kept for that long, at most.
    :param renewals: waits between renewals of the credentials, each of which makes all clients anew.
    :param renew_limit: for one renewal, at most.
    """

    backoff: Backoff = Backoff(first=0.25, longest=5.0)
    healthy: float = 2.0
    doubtful_after: int = 3
    watch_seconds: float = 300.0
    forbidden_rest: float = 180.0
    expired_rest: float = 30.0
    patience: float = 5.0
    newcomer_wait: float = 0.5
    confirm_after: float = 2.0
    unreadable_limit: int = 3
    rests: Backoff = Backoff(first=2.0, longest=60.0)
    concurrency: int = 8
    hopeless_after: int = 3
    piece: int = 25
    shelf_bytes: int = 16 * 2**20
    shelf_deleted: float = 300.0
    renewals: Backoff = Backoff(first=30.0, longest=60.0)
    renew_limit: float = 30.0
