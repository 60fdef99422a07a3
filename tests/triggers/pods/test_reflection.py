"""The list-and-watch protocol by itself: what is asked next, and when."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.clients.kube_api import PodPage, WatchLine
from asyncrun.model.errors import Expired, MalformedAnswer, RequestRefused, Unavailable
from asyncrun.model.pod import read_pod
from asyncrun.triggers.watch.pods.agenda import Agenda
from asyncrun.triggers.watch.pods.labels import matches
from asyncrun.triggers.watch.pods.reflection import ListPage, Reflection, Request, WatchFrom
from asyncrun.triggers.watch.pods.row import PodRow, version_of
from asyncrun.triggers.watch.pods.tuning import PodTuning

DOWN = Unavailable("down")
GONE = Expired("too old")


def reflection() -> Reflection:
    return Reflection(150, PodTuning(), jitter=lambda: 1.0)


def page(*uids: str, version: str = "10", rest: str = "") -> PodPage:
    pods = [read_pod(f'{{"metadata":{{"name":"p","uid":"{uid}"}}}}'.encode()) for uid in uids]
    return PodPage(pods, {}, version, rest)


def line(version: str, kind: str = "BOOKMARK", body: str = "{}") -> WatchLine:
    return WatchLine(kind, "", version, msgspec.Raw(body.encode()))


def watching(now: float = 0) -> Reflection:
    one = reflection()
    one.page(page(), now)
    one.opened(now)
    return one


def test_pages_lead_to_a_watch_from_the_place_of_the_first_one() -> None:
    one = reflection()
    requests: list[Request] = [one.request]
    assert one.page(page("a", "b", rest="next"), 0) is None
    requests.append(one.request)
    assert one.page(PodPage([], {"c": MalformedAnswer("?")}, "12", ""), 1) == {"a", "b", "c"}
    assert [*requests, one.request] == [ListPage(""), ListPage("next"), WatchFrom("10")]
    assert one.wait == 0


def test_a_page_that_failed_is_asked_for_again_and_one_that_expired_begins_anew() -> None:
    one = reflection()
    one.page(page("a", rest="next"), 0)
    one.failed(DOWN, 1)
    assert one.request == ListPage("next")
    one.failed(GONE, 2)
    assert (one.request, one.wait) == (ListPage(""), 0)
    assert one.page(page("b"), 3) == {"b"}


def test_a_refused_request_is_not_made_again_with_the_same_token_or_place() -> None:
    """As by an API server that was replaced in the midst of a listing."""
    refused = RequestRefused("continue key is not valid")
    one = reflection()
    one.page(page("a", rest="next"), 0)
    one.failed(refused, 1)
    assert one.request == ListPage("")
    other = reflection()
    other.page(page("a"), 0)
    other.failed(refused, 1)
    assert other.request == ListPage("")


def test_every_line_and_bookmark_moves_the_place() -> None:
    one = watching()
    assert one.line(line("11", "ADDED"), 1) is None
    assert one.line(line("15"), 60) is None
    one.failed(DOWN, 61)
    assert one.request == WatchFrom("15")
    assert 0 < one.wait <= 0.25


@pytest.mark.parametrize(
    "status", ['{"code":410}', '{"reason":"Expired"}', '{"reason":"Gone","message":7}', '{"code":410,"reason":null}']
)
def test_an_error_line_of_410_leads_to_a_listing_at_once_and_later_and_later_if_that_goes_on(status: str) -> None:
    one = watching()
    error = one.line(line("", "ERROR", status), 0.1)
    assert isinstance(error, Expired)
    waits = []
    for _ in range(8):
        one.failed(error, 0.1)
        assert one.request == ListPage("")
        waits.append(one.wait)
        one.page(page(), 0.1)
        one.opened(0.1)
    assert waits == [0, 0.25, 0.5, 1, 2, 4, 5, 5]


def test_other_error_lines_do_not_lose_the_place() -> None:
    for status in ('{"code":500,"message":"etcd"}', "[]", "{", "[" * 100_000):
        one = watching()
        error = one.line(line("", "ERROR", status), 3)
        assert type(error) is Unavailable
        one.failed(error, 3)
        assert one.request == WatchFrom("10")


def test_a_silent_watch_leads_to_a_listing_and_a_cut_one_does_not() -> None:
    for came, broke, request in ((10, 161, ListPage("")), (100, 161, WatchFrom("12"))):
        one = watching()
        one.line(line("12"), came)
        one.failed(DOWN, broke)
        assert one.request == request
    assert one.silent == 0


def test_a_line_that_cannot_be_read_leads_to_a_listing() -> None:
    one = watching()
    one.failed(MalformedAnswer("?"), 1)
    assert one.request == ListPage("")


def test_a_clean_end_goes_on_at_once_and_healthy_time_ends_the_backing_off() -> None:
    one = watching()
    one.ended(300)
    assert (one.request, one.wait) == (WatchFrom("10"), 0)
    for _ in range(10):
        one.failed(DOWN, 301)
    assert one.wait == 5
    one.opened(400)
    one.failed(DOWN, 402)
    assert one.wait == 0.25


@pytest.mark.parametrize("end", ["410", "clean", "cut"])
def test_one_line_of_each_short_watch_does_not_end_the_backing_off(end: str) -> None:
    one, now, requests = reflection(), 0.0, 0
    while now < 60:
        if isinstance(one.request, ListPage):
            one.page(page(version=str(requests + 1)), now)
        else:
            one.opened(now)
            one.line(line(str(requests + 1)), now)
            if end == "410":
                error = one.line(line("", "ERROR", '{"code":410}'), now)
                assert error is not None
                one.failed(error, now)
            elif end == "cut":
                one.failed(DOWN, now)
            else:
                one.ended(now)
        requests += 1
        now += one.wait + 0.01
    assert requests < 40
    assert one.lists == 1 or end == "410", "watches that bring something are worth resuming"
    one.page(page(), now)
    one.opened(now)
    one.ended(now + 3)
    assert one.wait == 0


def test_watches_that_end_at_once_again_and_again_lead_to_listings_ever_more_slowly() -> None:
    one = watching()
    requests, waits = [], []
    for _ in range(7):
        one.ended(0.1)
        requests.append(one.request)
        waits.append(one.wait)
        if isinstance(one.request, ListPage):
            one.page(page(), 0.1)
        one.opened(0.1)
    kinds = [type(one).__name__ for one in requests]
    assert kinds == ["WatchFrom", "WatchFrom", "ListPage", "WatchFrom", "WatchFrom", "ListPage", "WatchFrom"]
    assert waits == [0.25, 0.5, 1, 2, 4, 5, 5]


def test_a_list_without_a_version_is_repeated_slowly() -> None:
    one = reflection()
    assert one.page(page("a", version=""), 0) == {"a"}
    assert one.request == ListPage("")
    assert one.wait > 0


def test_after_a_crash_it_begins_with_a_listing() -> None:
    one = watching()
    one.restart()
    assert one.request == ListPage("")
    one.failed(DOWN, 1000)
    assert one.silent == one.cuts == 0


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("a=1", {"a": "1", "b": "2"}, True),
        ("a=1,b=2", {"a": "1", "b": "2"}, True),
        ("a==1, b = 2", {"a": "1", "b": "2"}, True),
        ("a=1,b=2", {"a": "1"}, False),
        ("a=1", {"a": "2"}, False),
        ("a=1", None, False),
        ("a", {"a": "1"}, False),
        ("a in (1)", {"a": "1"}, False),
        ("a!=2", {"a": "1"}, False),
    ],
)
def test_a_selector_of_our_form_is_understood_and_any_other_means_polling(
    selector: str, labels: dict[str, str] | None, expected: bool
) -> None:
    assert matches(selector, labels) is expected


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("", 0), ("abc", 0), ("-1", 0), ("²", 0), ("1e3", 0), ("٣", 0)]
)
def test_versions_are_numbers_or_nothing(text: str, number: int) -> None:
    assert version_of(text) == number


def test_the_agenda_hands_out_each_row_once_and_again_when_it_was_asked_for_meanwhile() -> None:
    agenda, a, b = Agenda(), PodRow("a/1"), PodRow("b/2")
    agenda.at(a, 5)
    agenda.at(b, 3)
    agenda.at(a, 1)
    assert agenda.next_due() == 1
    assert agenda.take(0.5) is None
    assert agenda.take(9) is a
    agenda.at(a, 2)
    assert agenda.next_due() == 3, "a call for it is under way"
    assert agenda.take(9) is b
    agenda.done(b)
    agenda.done(a)
    assert agenda.next_due() == 2
    agenda.drop(a)
    assert agenda.next_due() is None
    assert not b.by_calls
