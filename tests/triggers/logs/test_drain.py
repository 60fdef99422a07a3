"""When a log is at its end: judged by reads that were made, not by the clock alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncrun.triggers.logs.drain import Ask, Decision, DrainRule, End

QUIET, LIMIT, PATIENCE = 12.0, 60.0, 600.0


def rule(now: float = 1000.0, ended: float | None = 1000.0) -> DrainRule:
    return DrainRule(now, ended, quiet=QUIET, limit=LIMIT, patience=PATIENCE)


def test_only_a_read_that_began_after_the_quiet_period_counts() -> None:
    drain = rule()
    assert drain.decide(1012, 1011.9, final=True).ask is Ask.FINAL
    assert drain.decide(1014, 1012.0, final=False).ask is Ask.FINAL
    assert drain.decide(1014, 1012.0, final=True) == Decision(Ask.NOTHING, end=End.QUIET)


def test_the_last_read_is_asked_for_when_it_can_be_the_last_and_not_sooner() -> None:
    drain = rule()
    assert drain.decide(1001, 1000.5, final=False) == Decision(Ask.WAIT, wait=11.0)
    assert drain.decide(1011.9, 1011.5, final=False).ask is Ask.WAIT
    assert drain.decide(1012, 1011.5, final=False).ask is Ask.FINAL


def test_news_begin_the_quiet_period_again() -> None:
    drain = rule()
    drain.news(1010, newest=999, taken_in=1009)
    assert drain.decide(1020, 1020, final=True) == Decision(Ask.WAIT, wait=1.0)
    assert drain.decide(1021, 1021, final=False).ask is Ask.FINAL


def test_the_quiet_period_counts_from_the_end_if_news_are_older() -> None:
    drain = rule()
    drain.news(1003, newest=990, taken_in=991)
    assert drain.decide(1011, 1011, final=False).ask is Ask.WAIT
    assert drain.decide(1012, 1012, final=False).ask is Ask.FINAL


def test_a_run_that_ended_long_ago_needs_one_read() -> None:
    drain = rule(now=5000, ended=1000)
    assert drain.decide(5000, float("-inf"), final=False).ask is Ask.FINAL
    drain.news(5001, newest=900, taken_in=905)
    assert drain.decide(5001, 5000, final=True) == Decision(Ask.NOTHING, end=End.QUIET)


def test_an_unknown_end_counts_from_the_drains_beginning() -> None:
    drain = rule(ended=None)
    assert drain.decide(1011, 1011, final=False).ask is Ask.WAIT
    assert drain.decide(1012, 1012, final=False).ask is Ask.FINAL


def test_an_end_in_the_future_is_waited_for_as_long_as_the_limit() -> None:
    soon, never = rule(ended=1020.0), rule(ended=9000.0)
    for now in range(1001, 1060):
        assert soon.decide(now, now, final=False).ask is (Ask.WAIT if now < 1032 else Ask.FINAL)
        assert never.decide(now, now, final=False).ask is Ask.WAIT
    assert never.decide(1060, 1060, final=False) == Decision(Ask.NOTHING, end=End.LIMIT)


def test_a_last_look_that_brought_news_is_not_the_last() -> None:
    drain = rule()
    assert drain.decide(1012, 1012, final=False).ask is Ask.FINAL
    drain.news(1013, newest=999, taken_in=1012)
    assert drain.decide(1013, 1013, final=True).ask is Ask.WAIT
    assert drain.decide(1024, 1024, final=False).ask is Ask.FINAL
    assert drain.decide(1025, 1025, final=True) == Decision(Ask.NOTHING, end=End.QUIET)


def reads(drain: DrainRule, first: float, last: float, step: float = 5.0) -> Decision:
    """Completed reads, and lines at each of them; the last decision."""
    now, decision = first, Decision(Ask.WAIT)
    while now <= last and decision.ask is not Ask.NOTHING:
        drain.news(now, newest=now, taken_in=now)
        decision = drain.decide(now, now, final=False)
        now += step
    return decision


def test_news_that_never_end_are_bounded_by_the_limit() -> None:
    assert reads(rule(), 1000, 1055).wait == 5
    assert reads(rule(), 1000, 1060) == Decision(Ask.NOTHING, end=End.LIMIT)


def test_without_any_read_the_patience_ends_it() -> None:
    drain = rule()
    assert drain.decide(1060, float("-inf"), final=False) == Decision(Ask.FINAL, wait=600.0)
    assert drain.decide(1659, float("-inf"), final=False) == Decision(Ask.FINAL, wait=1.0)
    assert drain.decide(1660, float("-inf"), final=False) == Decision(Ask.NOTHING, end=End.UNANSWERED)


def test_time_without_an_answer_does_not_count_and_what_was_left_of_the_limit_is_left_after_it() -> None:
    drain = rule()
    assert reads(drain, 1000, 1030).ask is Ask.WAIT
    assert drain.decide(1200, 1030, final=False).ask is Ask.FINAL
    # 30 s of the limit were used up before, and a quiet period without a read counts.
    assert reads(drain, 1230, 1230 + 17).ask is Ask.WAIT
    assert drain.decide(1230 + 18, 1247, final=False).end is End.LIMIT


def test_after_an_outage_the_quiet_period_begins_again_once() -> None:
    drain = rule()
    drain.unanswered()
    assert drain.decide(1100, 1099, final=True) == Decision(Ask.WAIT, wait=12.0)
    drain.unanswered()
    assert drain.decide(1150, 1112, final=True) == Decision(Ask.NOTHING, end=End.QUIET)


def test_a_read_that_waited_long_for_its_turn_is_no_outage() -> None:
    drain = rule()
    assert drain.decide(1040, 1039, final=True) == Decision(Ask.NOTHING, end=End.QUIET)
    drain = rule()
    drain.unanswered()
    assert drain.decide(1005, 1004, final=False).ask is Ask.WAIT
    assert drain.decide(1040, 1039, final=True) == Decision(Ask.NOTHING, end=End.QUIET)


def test_reads_that_are_completed_too_seldom_are_excused_until_the_patience_is_used_up() -> None:
    drain, ends = rule(), []
    for now in range(1100, 3000, 100):
        drain.news(now, newest=now, taken_in=now)
        ends.append(drain.decide(now, now, final=False).end)
    assert ends.index(End.LIMIT) == 4, "each of them counts for a quiet period"
    drain = rule()
    drain.decide(1001, 1001, final=False)
    assert drain.decide(1659, 1001, final=False).end is None
    assert drain.decide(1660, 1001, final=False).end is End.UNANSWERED


def test_a_final_read_that_never_ends_is_bounded_too() -> None:
    drain = rule()
    assert drain.decide(1013, 1013, final=False).ask is Ask.FINAL
    assert drain.decide(1025, 1013, final=False).ask is Ask.FINAL
    assert reads(drain, 1026, 1062, step=1).end is End.LIMIT  # for 14 s nothing was read, and 12 of them count


def test_a_look_counts_for_what_a_container_wrote_once_its_last_lines_should_be_there() -> None:
    assert not rule().was_looked_at(float("-inf"))
    assert not rule().was_looked_at(1011)
    assert rule().was_looked_at(1012)


def test_while_old_lines_still_come_the_limit_does_not_count() -> None:
    drain = rule(now=5000, ended=4990)
    for now in range(5000, 5300, 10):
        drain.news(now, newest=now - 1000, taken_in=now - 990)
        assert drain.decide(now, float("-inf"), final=False).end is None
    assert drain.decide(5290 + LIMIT + PATIENCE, float("-inf"), final=False).end is End.UNANSWERED


def test_the_limit_begins_when_no_more_old_lines_come_though_reads_are_completed() -> None:
    drain = rule(now=5000, ended=4990)
    for now in range(5000, 5300, 5):
        drain.news(now, newest=now - 1000, taken_in=now)
        assert drain.decide(now, now, final=False).ask is Ask.WAIT
    assert reads(drain, 5300, 5295 + LIMIT - 1).ask is Ask.WAIT
    assert reads(drain, 5295 + LIMIT, 5295 + LIMIT).end is End.LIMIT


def test_waiting_for_airflow_to_take_lines_does_not_count() -> None:
    drain = rule()
    drain.held_back(1055)
    drain.news(1056, newest=1056, taken_in=1056)
    assert reads(drain, 1060, 1110).ask is Ask.WAIT
    assert reads(drain, 1115, 1115).end is End.LIMIT


def test_nothing_readable_is_over_at_once() -> None:
    assert rule().decide(1000, None, final=False) == Decision(Ask.NOTHING, end=End.UNREADABLE)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-20, 100), st.floats(0, 30)), max_size=80))
def test_it_always_ends_within_the_limit_when_nothing_old_comes(arrivals: list[tuple[float, float, float]]) -> None:
    """News that may come late, out of order, or for ever."""
    drain, now = rule(), 1000.0
    for step, newest, delay in arrivals:
        now += step
        drain.news(now, newest=max(1000 + newest, 1000 - QUIET), taken_in=now - delay)
        decision = drain.decide(now, now, final=False)
        assert decision.wait <= 1000 + LIMIT + PATIENCE - now or decision.ask is Ask.NOTHING
        if decision.ask is not Ask.WAIT:
            assert decision.ask is Ask.FINAL or decision.end is not None
            return
        assert now < 1000 + LIMIT
    reads(drain, now, 1000 + LIMIT, step=1)
    assert drain.decide(1000 + LIMIT, 1000 + LIMIT, final=False).ask is Ask.NOTHING
