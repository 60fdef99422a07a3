"""The whole log of an ended container, as for XComs: exactly once, whatever happens to the connections."""

from __future__ import annotations

import random

import pytest

from asyncrun.model.errors import AccessDenied, MalformedAnswer, NotFound, RemoteError, RequestRefused, Unavailable
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.whole import read_whole
from tests.triggers.pods.followed_run import REF
from tests.triggers.pods.log_lines import Cut, now
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


async def read(server: LogServer, limit: int = 1 << 20) -> list[str]:
    return await read_whole(server, REF, "main", limit=limit, settings=Settings())


def ended(server: LogServer, *lines: str | bytes, feed: bool = True) -> LogServer:
    instance = server.start()
    for number, line in enumerate(lines):
        server.write(line, at=number / 3 - 10, feed=feed or number < len(lines) - 1)
    instance.ended_at = 0.0
    return server


async def test_all_lines_are_given_without_their_stamps() -> None:
    assert await read(ended(LogServer(), '{"a": 1}', "", "é")) == ['{"a": 1}', "", "é"]
    assert await read(ended(LogServer())) == []


async def test_a_last_line_without_a_line_feed_is_given() -> None:
    assert await read(ended(LogServer(), "[1,", "2]", feed=False)) == ["[1,", "2]"]


@pytest.mark.parametrize("seed", range(30))
async def test_cuts_lose_and_double_nothing(seed: int) -> None:
    dice = random.Random(seed)
    cuts = [Cut(after_bytes=dice.randrange(600), clean=False) for _ in range(dice.randrange(12))]
    server = LogServer(
        cut=lambda number: cuts[number] if number < len(cuts) else None, chunk_size=lambda: dice.randrange(1, 200)
    )
    lines = ["x" * dice.randrange(150) + str(number) for number in range(20)]
    assert await read(ended(server, *lines, feed=dice.random() < 0.5)) == lines


@pytest.mark.parametrize("size", [0, 31 + 6 + 1, 2 * (31 + 6 + 1), 50])
async def test_a_clean_end_is_not_believed_before_it_came_twice(size: int) -> None:
    """A killed kubelet makes one of a cut (trace r)."""
    server = LogServer(cut=lambda number: Cut(after_bytes=size, clean=True) if number == 0 else None)
    assert await read(ended(server, "line 0", "line 1", "line 2")) == ["line 0", "line 1", "line 2"]


async def test_a_log_that_never_comes_to_the_same_end_is_given_up() -> None:
    dice = random.Random(1)
    server = LogServer(cut=lambda number: Cut(after_bytes=dice.randrange(31, 500), clean=True))
    with pytest.raises(Unavailable, match="The log of container main does not come to the same end twice"):
        await read(ended(server, "x" * 600))
    assert 590 < now() < 640
    assert len(server.opened) < 150


async def test_a_log_that_was_rotated_meanwhile_is_an_error_and_not_a_part_of_it() -> None:
    server = ended(LogServer(cut=lambda number: Cut(after_bytes=100) if number == 0 else None), "one", "two", "three")
    server.refuse = lambda: server.rotate_to(2) if len(server.opened) > 1 else None
    with pytest.raises(NotFound, match="is incomplete: its node rotated a part of it away"):
        await read(server)


async def test_one_line_as_long_as_the_limit_is_read() -> None:
    assert await read(ended(LogServer(), "x" * 9999), limit=10_000) == ["x" * 9999]


@pytest.mark.parametrize("lines", [["x" * 10_000], ["x" * 5000] * 2, ["x" * 10_000_000]])
async def test_a_longer_log_is_refused_before_it_is_all_read(lines: list[str]) -> None:
    server = ended(LogServer(chunk_size=lambda: 4096), *lines)
    with pytest.raises(RequestRefused, match="The log of container main is longer than 10,000 bytes"):
        await read(server, limit=10_000)
    assert server.sent < 20_000
    assert server.open_now == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [(AccessDenied("no"), AccessDenied), (RequestRefused("bad"), RequestRefused), (NotFound("gone"), NotFound)],
)
async def test_refusals_are_raised(error: RemoteError, kind: type[RemoteError]) -> None:
    with pytest.raises(kind):
        await read(ended(LogServer(refuse=lambda: error), "x"))
    assert now() < 10


async def test_an_outage_is_waited_for_but_not_for_ever() -> None:
    assert await read(ended(LogServer(refuse=lambda: Unavailable("x") if now() < 300 else None), "x")) == ["x"]
    began = now()
    with pytest.raises(Unavailable):
        await read(ended(LogServer(refuse=lambda: Unavailable("x")), "x"))
    assert now() - began < 620


async def test_a_log_that_is_gone_is_an_error_and_no_line() -> None:
    server = ended(LogServer(), "x")
    server.containers["main"][0].gone = True
    with pytest.raises(NotFound, match="The log of container main is gone"):
        await read(server)


async def test_an_error_in_place_of_the_log_is_an_error() -> None:
    server = ended(LogServer())
    server.containers["main"][0].in_place = b"failed to try resolving symlinks\n"
    with pytest.raises(MalformedAnswer, match="In place of the log of container main came: failed to try"):
        await read(server)
