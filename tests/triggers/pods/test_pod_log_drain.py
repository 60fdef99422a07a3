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
    one.asked(10, "main")
    one.asked(20, "main")
    assert one.decide(100, complete=False).end is None
    assert one.answered(310, "main")
    assert not one.answered(310, "main")
    assert one.decide(310, complete=False) == Decision(wait=50)
    assert one.decide(360, complete=False) == Decision(end=End.LIMIT)


def test_time_in_which_any_container_waits_is_excused() -> None:
    one = PodDrainRule(0, limit=LIMIT, patience=PATIENCE, asked=["main"])
    one.asked(5, "proxy")
    one.answered(30, "main")
    one.answered(90, "proxy")
    assert one.decide(90, complete=False) == Decision(wait=60)


def test_but_not_for_ever() -> None:
    one = rule()
    one.asked(0, "main")
    assert one.decide(0, complete=False) == Decision(wait=660)
    assert one.decide(659, complete=False) == Decision(wait=1)
    assert one.decide(660, complete=False) == Decision(end=End.UNANSWERED)


def test_a_node_that_does_not_answer_has_its_own_limit_and_nothing_is_excused() -> None:
    one = rule()
    one.asked(0, "main")
    one.node_failed(30, "main", limit=15)  # that long the API server dialled
    assert one.decide(30, complete=False) == Decision(wait=15)
    one.asked(44, "main")
    assert one.decide(45, complete=False).end is None  # what comes of it is told within 35 s
    one.node_failed(74, "main", limit=15)
    assert one.decide(74, complete=False) == Decision(end=End.NODE)


def test_a_node_that_answers_again_has_the_whole_limit() -> None:
    one = rule()
    one.node_failed(10, "main", limit=15)
    assert one.node_answered()
    assert not one.node_answered()
    assert one.decide(30, complete=False) == Decision(wait=30)


def test_a_running_pods_node_has_the_usual_limit() -> None:
    one = rule()
    for moment in range(0, 60, 5):
        one.asked(moment, "main")
        one.node_failed(moment + 0.1, "main", limit=LIMIT)
        assert one.decide(moment + 0.1, complete=False).end is None
    assert one.decide(61, complete=False) == Decision(end=End.NODE)


def test_a_lost_node_is_not_waited_for_whatever_is_asked() -> None:
    one = rule()
    one.asked(0, "main")
    one.node_lost(0, limit=15)
    assert one.decide(0, complete=False) == Decision(wait=15)
    assert one.decide(15, complete=False) == Decision(end=End.NODE)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["asked", "answered", "node"]), st.sampled_from(["a", "b"])))
)
def test_it_never_takes_longer_than_both_limits_without_progress(steps: list[tuple[float, str, str]]) -> None:
    one, now = rule(), 0.0
    for pause, what, container in steps:
        now += pause
        if what == "asked":
            one.asked(now, container)
        elif what == "answered":
            one.answered(now, container)
        else:
            one.node_failed(now, container, limit=LIMIT)
        decision = one.decide(now, complete=False)
        assert (decision.end is None) or now >= LIMIT
        assert now < LIMIT + PATIENCE or decision.end is not None
        assert decision.end is not None or 0 < decision.wait <= LIMIT + PATIENCE - now + 1e-6


def test_a_timer_that_runs_a_tick_too_early_ends_it_too() -> None:
    assert rule().decide(60 - 1e-7, complete=False) == Decision(end=End.LIMIT)
    one = rule()
    one.node_failed(10, "main", limit=15)
    assert one.decide(25 - 1e-7, complete=False) == Decision(end=End.NODE)
