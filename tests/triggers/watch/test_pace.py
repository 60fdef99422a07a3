"""The rhythm of a poller, without a clock."""

from __future__ import annotations

import pytest

from asyncrun.triggers.watch.pace import Pace


def early_rounds(pace: Pace, now: float) -> int:
    """How many early rounds may follow each other at that time; newcomers never cease."""
    rounds = 0
    while pace.due(fresh_since=now) < pace.next_at and rounds < 50:
        pace.went_well(now, early=True)
        rounds += 1
    return rounds


def test_early_rounds_are_a_credit_that_regular_rounds_earn_slowly_and_only_up_to_three() -> None:
    pace = Pace(pause=0.2, longest=5)
    pace.went_well(10, early=False)
    assert early_rounds(pace, 1) == 3
    for regular, more in ((4, 0), (1, 1), (9, 1), (100, 3)):
        for _ in range(regular):
            pace.went_well(20, early=False)
        assert early_rounds(pace, 11) == more


def test_after_what_made_a_round_fail_was_mended_the_next_one_is_at_once() -> None:
    pace = Pace(pause=0.2, longest=5, jitter=lambda: 1.0)
    pace.failed(130, 101, wholly=True)
    assert pace.next_at == 130
    pace.again(102)
    assert pace.due(None) == pytest.approx(102.2)
