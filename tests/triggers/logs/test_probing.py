"""How the streams that exist are found: no I/O, no clock."""

from __future__ import annotations

from typing import Any, cast

from asyncrun.triggers.logs.choosing import STREAMS_PER_CALL
from asyncrun.triggers.logs.probing import Prober
from asyncrun.triggers.logs.streams import Stream


def prober(streams: int) -> Prober:
    made = Prober(first_wait=1, longest_wait=30, urgent_wait=2)
    for number in range(streams):
        made.add(Stream(f"s{number}", cast("Any", None), 0), 0)
    return made


def test_after_a_hit_as_many_as_possible_are_asked_for() -> None:
    probing = prober(300)
    assert not probing.refused(probing.next_group(0), 0)
    group = probing.next_group(0)
    assert len(group) == STREAMS_PER_CALL // 4
    probing.present(group)
    assert len(probing.next_group(0)) == STREAMS_PER_CALL


def test_a_leap_that_failed_makes_the_next_ones_smaller() -> None:
    """Where some streams never appear, each leap to the full width would be one more refused call."""
    probing = prober(400)
    probing.present(probing.next_group(0))
    leap = probing.next_group(0)
    probing.refused(leap, 0)
    group = probing.next_group(0)
    probing.refused(group, 0)
    probing.present(probing.next_group(0))
    assert len(probing.next_group(0)) == len(leap) // 4
