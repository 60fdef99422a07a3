"""When a pod's log counts as read to its end: times alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncrun.triggers.logs.pods.drain import Decision, End, PodDrainRule

LIMIT, PATIENCE = 60.0, 600.0


def rule(now: float = 0.0) -> PodDrainRule:
    return PodDrainRule(now, limit=LIMIT, patience=PATIENCE)


def test_it_is_over_when_all_was_read() -> None:
    assert rule().decide(0, complete=True) == Decision(end=End.COMPLETE)


def test_otherwise_at_the_limit() -> None:
    one = rule()
    assert one.decide(0, complete=False) == Decision(wait=60)
    assert one.decide(59, complete=False) == Decision(wait=1)
    assert one.decide(60, complete=False) == Decision(end=End.LIMIT)


def test_lines_of_an_ended_container_begin_the_limit_anew() -> None:
    one = rule()
    one.progress(50)
    assert one.decide(60, complete=False) == Decision(wait=50)


def test_time_without_answers_is_excused() -> None:
    one = rule()
    one.failed(10)
    one.failed(20)
    assert one.decide(100, complete=False).end is None
    one.answered(310)
    assert one.decide(310, complete=False) == Decision(wait=50)
    assert one.decide(360, complete=False) == Decision(end=End.LIMIT)


def test_but_not_for_ever() -> None:
    one = rule()
    one.failed(0)
    assert one.decide(0, complete=False) == Decision(wait=660)
    assert one.decide(659, complete=False) == Decision(wait=1)
    assert one.decide(660, complete=False) == Decision(end=End.UNANSWERED)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())))
def test_it_never_takes_longer_than_both_limits_without_progress(steps: list[tuple[float, bool]]) -> None:
    one, now = rule(), 0.0
    for pause, answered in steps:
        now += pause
        (one.answered if answered else one.failed)(now)
        decision = one.decide(now, complete=False)
        assert (decision.end is None) or now >= LIMIT
        assert now < LIMIT + PATIENCE or decision.end is not None
        assert decision.wait <= LIMIT + PATIENCE - now + 1e-6 or decision.end is not None
