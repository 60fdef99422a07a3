"""What is remembered of a stream's events: each is new once, and the memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncrun.clients.api import LogEvent
from asyncrun.triggers.logs import seen as module
from asyncrun.triggers.logs.seen import Seen


def event(time_ms: int, ident: str = "") -> LogEvent:
    return LogEvent("s", ident, time_ms, time_ms, f"{time_ms}")


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc"))), st.integers(0, 6))
def test_an_event_is_new_once_and_never_again_before_the_horizon(events: list[tuple[int, str]], before: int) -> None:
    seen, known = Seen(0), set()
    for half in (events[::2], events[1::2]):
        for time_ms, ident in half:
            expected = time_ms >= seen.horizon_ms and (time_ms, ident) not in known
            assert seen.add(event(time_ms, ident)) == expected
            known.add((time_ms, ident))
        kept = [one for one in known if one[0] >= seen.horizon_ms]
        for start in range(seen.horizon_ms, 7):
            assert seen.since(start) == sum(time_ms >= start for time_ms, _ in kept)
        assert not seen.forget(before)
        assert seen.horizon_ms <= max(before, 0)
    for time_ms, ident in known:
        assert not seen.add(event(time_ms, ident))


def test_what_is_read_again_from_before_the_horizon_is_not_underestimated() -> None:
    seen = Seen(0)
    for time_ms in range(100):
        seen.add(event(time_ms))
    seen.forget(90)
    assert (len(seen), seen.horizon_ms, seen.since(95), seen.since(0)) == (10, 90, 5, 100)
    assert (seen.nth_last(3), seen.nth_last(50)) == (97, 90)


def test_memory_is_bounded_and_it_is_told_where_too_much_had_to_be_forgotten() -> None:
    seen = Seen(0)
    for time_ms in range(module.MOST + 10):
        seen.add(event(time_ms))
    assert seen.forget(0)
    assert len(seen) == module.MOST
    assert not seen.add(event(9))
    assert not seen.forget(0)


def test_events_of_one_millisecond_are_not_forgotten_while_more_of_them_may_come() -> None:
    seen = Seen(0)
    for n in range(module.MOST + 10):
        seen.add(event(7, f"{n}"))
    assert not seen.forget(0)
    assert seen.add(event(7, "one more"))
