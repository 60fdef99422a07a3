"""Whatever happens to the connections: the records are those of an uninterrupted read, so a replay shows once."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import NamedTuple

import looptime
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from asyncrun.model.logs import LogLine
from asyncrun.model.pod_log_text import TextLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.lines import kept_bytes, line_of
from asyncrun.triggers.logs.records import RecordBuilder
from tests.triggers.pods.followed_run import Run
from tests.triggers.pods.log_lines import Cut, stamp_at
from tests.triggers.pods.log_server import LogServer

SETTINGS = dataclasses.replace(Settings(), log_line_limit=256)
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # a failure tells enough, and shrinking takes minutes


class Step(NamedTuple):
    """One written line: seconds after the one before, how much its stamp is behind, its bytes."""

    after: float
    behind: float
    text: bytes


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.0, 1e-9, 0.0004, 0.02, 0.3, 0.4, 1.0, 3.0]),
        st.sampled_from([0.0, 0.0, 0.0, 0.002]),
        st.sampled_from([b"line", b"", b"ERROR: broken", b"\xff\0\x80", "é€😀".encode() * 30, b"y" * 900, b"x" * 1200]),
    ),
    min_size=1,
    max_size=30,
)


def believable(cuts: list[Cut]) -> list[Cut]:
    """A kubelet is not killed again at once: after a clean cut the next two connections are not cut cleanly."""
    out: list[Cut] = []
    for cut in cuts:
        out.append(dataclasses.replace(cut, clean=cut.clean and not any(one.clean for one in out[-2:])))
    return out


CUTS = st.lists(
    st.builds(
        Cut,
        after_bytes=st.sampled_from([0, 1, 15, 31, 40, 100, 1000, float("inf")]),
        after=st.sampled_from([0.05, 0.5, 2.0, 40.0]),
        clean=st.booleans(),
    ),
    max_size=8,
).map(believable)
CHUNKS = st.sampled_from([1, 7, 31, 100, 65536])


def play(steps: list[Step], cuts: list[Cut], chunk: int, seed: int, *, feed: bool, restart_at: int = -1) -> None:
    random.seed(seed)
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(_play(steps, cuts, chunk, feed=feed, restart_at=restart_at))


async def _play(steps: list[Step], cuts: list[Cut], chunk: int, *, feed: bool, restart_at: int) -> None:
    server = LogServer(
        chunk_size=lambda: chunk, cut=lambda number: cuts[number] if number < len(cuts) else None, lag=0.2
    )
    written: list[LogLine] = []
    async with Run(server, settings=SETTINGS) as run:
        server.start()
        for number, step in enumerate(steps):
            await asyncio.sleep(step.after)
            if number == restart_at:
                server.end(exit_code=1)
                await asyncio.sleep(0.3)
                server.start()
            moment = asyncio.get_running_loop().time()
            last = number == len(steps) - 1
            server.write(step.text, stamp=stamp_at(moment - step.behind), feed=feed or not last)
            stamp, kept = stamp_at(moment - step.behind), step.text[: kept_bytes(SETTINGS.log_line_limit)]
            written.append(line_of(TextLine(stamp, kept, len(step.text)), stamp, "main", SETTINGS.log_line_limit))
        server.finish()
        await asyncio.sleep(0.2)  # the run ends when its state is seen
        drained = await run.end()
    builder = RecordBuilder(["main"], SETTINGS)
    expected = [*builder.add(written), *builder.flush()]
    assert run.sink.records == expected
    assert drained.complete
    assert server.open_now == 0


@settings(max_examples=100, deadline=None, phases=PHASES)
@example([Step(0.0, 0.0, b"line"), Step(0.4, 0.0, b"line")], [Cut(after_bytes=40)], 1, 0, True)
@given(STEPS, CUTS, CHUNKS, st.integers(0, 5), st.booleans())
def test_records_do_not_depend_on_chunks_and_cuts(
    steps: list[Step], cuts: list[Cut], chunk: int, seed: int, feed: bool
) -> None:
    play(steps, cuts, chunk, seed, feed=feed)


@settings(max_examples=60, deadline=None, phases=PHASES)
@given(STEPS, CUTS, CHUNKS, st.integers(0, 5), st.integers(0, 29))
def test_nor_on_a_restart_in_between(
    steps: list[Step], cuts: list[Cut], chunk: int, seed: int, restart_at: int
) -> None:
    play([step._replace(behind=0.0) for step in steps], cuts, chunk, seed, feed=True, restart_at=restart_at)
