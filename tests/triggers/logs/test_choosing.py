"""Which streams are asked together next, how soon, and from where. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from asyncrun.clients.api import LogEvent
from asyncrun.triggers.logs.choosing import DUE, STREAMS_PER_CALL, Choice, Now, choose, due_at, need_of, set_pace
from asyncrun.triggers.logs.streams import Stream
from tests.triggers.logs.test_passes import Nobody

AGO = 1000
"""ms since the latest pass, unless said otherwise."""
NOW = Now(ticks=1000.0, ms=10_000_000, overlap_ms=15_000, shortest=1.0)
LAST = NOW.ms - 2000
SECOND = 1000


def stream(
    name: str = "a",
    times: Iterable[int] = (LAST,),
    *,
    age: float = 1.0,
    interval: float = 1.0,
    full_ago: int = AGO,
    far_ago: int | None = None,
) -> Stream:
    """One with events at those times, which CloudWatch took in at once; they were read as long ago as said, in ms."""
    out = Stream(name, Nobody(), 0)
    out.take([LogEvent(name, f"{time}", time, time, "") for time in times], NOW.ms, 0)
    for ago in sorted({full_ago, far_ago or full_ago}, reverse=True):
        start = out.far_start_ms if ago == (far_ago or full_ago) else out.full_start_ms
        out.pass_done(start, NOW.ms - ago, NOW.ms - ago - NOW.overlap_ms)
    out.looked_at, out.interval = NOW.ticks - age, interval
    return out


def ended(one: Stream) -> Stream:
    """Its run has ended, and its last look is waited for."""
    one.final_wanted = True
    return one


def chosen(*streams: Stream) -> Choice:
    choice = choose(streams, NOW)
    assert choice is not None
    return choice


def names(choice: Choice) -> set[str]:
    return {one.name for one in choice.streams}


class TestNeed:
    def test_it_is_due_after_its_interval(self) -> None:
        one = stream(age=3.0, interval=3.0)
        assert need_of(one, NOW) == pytest.approx(1)
        assert due_at(one, NOW.shortest) == NOW.ticks
        assert need_of(stream(age=1.5, interval=3.0), NOW) == pytest.approx(0.5)

    @pytest.mark.parametrize("wanted", ["final_wanted", "awake"])
    def test_what_somebody_waits_for_is_due_four_times_as_soon_however_quiet_it_was(self, wanted: str) -> None:
        one = stream(age=0.25, interval=5.0)
        setattr(one, wanted, True)
        assert need_of(one, NOW) == pytest.approx(1)
        assert due_at(one, NOW.shortest) == NOW.ticks

    @pytest.mark.parametrize(("full_ago", "need"), [(30 * SECOND, 0.5), (60 * SECOND, 1), (90 * SECOND, 1.5)])
    def test_a_stream_is_to_be_read_in_full_every_minute(self, full_ago: int, need: float) -> None:
        one = stream(age=0.1, full_ago=full_ago)
        assert need_of(one, NOW) == pytest.approx(need)

    def test_and_far_back_every_five_minutes(self) -> None:
        one = stream(times=[NOW.ms - 700 * SECOND, LAST], age=0.1, far_ago=600 * SECOND)
        assert need_of(one, NOW) == pytest.approx(2)

    def test_but_more_seldom_where_it_was_quiet_for_long(self) -> None:
        """CloudWatch may give empty pages for a long time without events."""
        one = stream(times=[NOW.ms - 2400 * SECOND], age=0.1, full_ago=60 * SECOND)
        assert need_of(one, NOW) == pytest.approx(0.5)


class TestPace:
    @pytest.mark.parametrize(
        ("quiet", "interval"),
        [
            (0, 1.0),
            (11 * SECOND, 1.0),
            (12 * SECOND, 1.8),
            (20 * SECOND, 3.0),
            (30 * SECOND, 4.5),
            (3600 * SECOND, 5.0),
        ],
    )
    def test_the_longer_a_stream_is_quiet_the_less_often_it_is_looked_at(self, quiet: int, interval: float) -> None:
        one = stream(times=[NOW.ms - AGO - quiet])
        set_pace(one, 1.0, 5.0)
        assert one.interval == pytest.approx(interval)

    def test_one_that_writes_with_pauses_is_taken_to_pause_again(self) -> None:
        one = stream(times=[NOW.ms - AGO - 20 * SECOND, NOW.ms - AGO])
        set_pace(one, 1.0, 5.0)
        assert one.interval == pytest.approx(3.0)

    def test_none_is_looked_at_more_often_than_those_that_write(self) -> None:
        one = stream(times=[NOW.ms - AGO - 12 * SECOND])
        set_pace(one, 3.5, 5.0)
        assert one.interval == 3.5

    def test_one_whose_run_has_ended_is_looked_at_as_if_it_wrote(self) -> None:
        one = stream(times=[NOW.ms - 3600 * SECOND])
        one.urgent = True
        set_pace(one, 1.0, 5.0)
        assert one.interval == 1.0


class TestWhoIsAskedTogether:
    def test_nothing_is_asked_where_nothing_is_followed(self) -> None:
        assert choose([], NOW) is None

    def test_the_one_that_needs_it_most_takes_along_those_that_are_nearly_due(self) -> None:
        choice = chosen(stream("soon", age=0.6), stream("first", age=2.0), stream("later", age=0.4))
        assert choice.need == pytest.approx(2)
        assert names(choice) == {"first", "soon"}

    @pytest.mark.parametrize(("ago", "together"), [(50 * SECOND, True), (90 * SECOND, False)])
    def test_streams_that_go_on_far_apart_are_not_asked_together(self, ago: int, together: bool) -> None:
        behind = stream("behind", [NOW.ms - 200 * SECOND], full_ago=ago)
        choice = chosen(stream("ahead", age=3.0), behind)
        assert names(choice) == ({"ahead", "behind"} if together else {"ahead"})

    def test_where_there_are_too_many_those_of_its_pace_come_first(self) -> None:
        writing = [stream(f"writing {i}", age=1.0) for i in range(80)]
        quiet = [stream(f"quiet {i}", age=10.0, interval=5.0) for i in range(80)]
        choice = chosen(*quiet, *writing, stream("first", age=3.0))
        assert len(choice.streams) == STREAMS_PER_CALL
        assert names(choice) >= {"first", *(one.name for one in writing)}

    def test_who_waits_for_its_end_comes_before_one_that_is_overdue_and_is_not_asked_with_it(self) -> None:
        choice = chosen(stream("overdue", age=1.9), ended(stream("ended", age=0.5)))
        assert names(choice) == {"ended"}
        assert choice.need == pytest.approx(2)

    def test_all_who_wait_are_asked_together(self) -> None:
        goes_on = stream("goes on", age=0.3)
        goes_on.awake = True
        assert names(chosen(stream("new"), ended(stream("ended", age=0.5)), goes_on)) == {"ended", "goes on"}
        assert names(chosen(stream("new"), stream("overdue", age=3.0), goes_on)) == {"new", "overdue"}

    def test_one_that_is_to_be_asked_alone_is(self) -> None:
        alone = stream("alone", age=3.0)
        alone.alone = True
        assert names(chosen(stream("a"), alone)) == {"alone"}
        alone.looked_at = NOW.ticks - 0.5
        assert names(chosen(stream("a"), alone)) == {"a"}

    def test_those_that_are_to_be_read_in_full_are_asked_together_and_without_others(self) -> None:
        late = [stream(f"late {i}", age=0.1, full_ago=61 * SECOND + i) for i in range(2)]
        choice = chosen(*late, stream("usual", age=0.9))
        assert names(choice) == {"late 0", "late 1"}
        assert choice.need >= DUE


class TestFromWhere:
    def test_few_events_are_read_again_in_full(self) -> None:
        one = stream(times=[NOW.ms - 40 * SECOND, NOW.ms - 30 * SECOND, LAST])
        assert one.position_ms == NOW.ms - 30 * SECOND
        assert chosen(one).start_ms == one.full_start_ms < one.position_ms

    def test_of_many_events_the_reading_goes_on_at_the_last(self) -> None:
        one = stream(times=range(NOW.ms - 60 * SECOND, LAST + 1, 10))
        assert chosen(one).start_ms == LAST

    def test_but_in_full_each_third_of_the_overlap(self) -> None:
        one = stream(times=range(NOW.ms - 60 * SECOND, LAST + 1, 10), full_ago=6 * SECOND)
        assert chosen(one).start_ms == one.full_start_ms

    def test_one_that_is_asked_alone_is_read_in_full_and_its_last_look_goes_far_back(self) -> None:
        one = stream(times=range(NOW.ms - 200 * SECOND, LAST + 1, 100))
        one.alone = True
        assert chosen(one).start_ms == one.full_start_ms > one.far_start_ms
        assert chosen(ended(one)).start_ms == one.far_start_ms

    def test_after_five_minutes_it_goes_far_back(self) -> None:
        one = stream(times=range(NOW.ms - 400 * SECOND, LAST + 1, 200), age=0.1, far_ago=301 * SECOND)
        assert chosen(one).start_ms == one.far_start_ms < one.full_start_ms

    @pytest.mark.parametrize("count", [2, 20])
    def test_last_looks_go_far_back_but_less_far_where_there_are_many(self, count: int) -> None:
        times = range(NOW.ms - 200 * SECOND, LAST + 1, 100)
        choice = chosen(*(ended(stream(f"{i}", times)) for i in range(count)))
        assert len(choice.streams) == count
        far = choice.streams[0].far_start_ms
        assert far < LAST - 100 * SECOND
        assert choice.start_ms == (far if count == 2 else LAST - 30 * SECOND)
