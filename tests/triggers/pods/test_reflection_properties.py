"""Whatever is cut, expires, is repeated or missed: each subscriber ends with the last state, and never goes back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import looptime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncrun.model.errors import AccessDenied, MalformedAnswer, RemoteError, Throttled, Unavailable
from asyncrun.triggers.watch.news import Broken, Deleted, Gone, Seen, Trouble
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.memory_kube import uid_of

NAMES = st.integers(0, 3)
FAULTS = st.sampled_from(
    [
        None,
        Unavailable("connection refused"),
        Throttled("429"),
        MalformedAnswer("<html>"),
        AccessDenied("forbidden", code="Forbidden"),
    ]
)
OPERATIONS = st.sampled_from([("list",), ("watch",), ("get",), ("list", "watch"), ("list", "watch", "get")])
STEPS = st.one_of(
    st.tuples(st.just("change"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("recreate"), NAMES),
    st.tuples(st.just("unlabel"), NAMES),
    st.tuples(st.just("subscribe"), NAMES),
    st.tuples(st.just("leave"), NAMES),
    st.tuples(st.just("repeat"), st.integers(1, 6)),
    st.tuples(st.just("cut"), st.none()),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("as status"), st.booleans()),
    st.tuples(st.just("silent"), st.booleans()),
    st.tuples(st.just("fault"), st.tuples(OPERATIONS, FAULTS)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.03, 0.3, 2.0, 7.0, 40.0, 200.0])),
)


PATIENCE = 250.0
"""Seconds that a fault lasts at most: access that is refused for access_grace (300 s) is fatal, and rightly so."""


class Play:
    """Each change of a pod writes the next number into its status."""

    def __init__(self, page: int) -> None:
        self.reflected = Reflected()
        self.reflected.settings = type(self.reflected.settings)(pod_list_page=page)
        self.kube, self.pods = self.reflected.kube, self.reflected.pods
        self.numbers, self.uids = 0, 0
        self.present: dict[int, int] = {}  # name -> number of its uid
        self.last: dict[str, str] = {}  # uid -> the number written last
        self.labelled: dict[int, bool] = {}
        self.open: list[Any] = []
        self.heard: list[tuple[Any, list[Any]]] = []
        self.tasks: list[asyncio.Task[None]] = []
        for name in range(3):
            self.recreate(name)

    def put(self, name: int, phase: str = "Running") -> None:
        self.numbers += 1
        labels = {"asyncrun.test/deployment": "d1"} if self.labelled[name] else {}
        uid = self.pods.put(self.present[name], phase, name=f"n{name}", labels=labels, message=str(self.numbers))
        self.last[uid] = str(self.numbers)

    def recreate(self, name: int) -> None:
        self.delete(name)
        self.uids += 1
        self.present[name], self.labelled[name] = self.uids, True
        self.put(name)

    def delete(self, name: int) -> None:
        if name in self.present:
            self.numbers += 1
            self.last[uid_of(self.present.pop(name))] = str(self.numbers)
            self.pods.remove(f"n{name}", message=str(self.numbers))

    def subscribe(self, name: int) -> None:
        if name in self.present:
            subscription = self.reflected.subscribe(uid_of(self.present[name]), f"n{name}")
            notes: list[Any] = []
            self.open.append(subscription)
            self.heard.append((subscription, notes))
            self.tasks.append(asyncio.create_task(self.listen(subscription, notes)))

    async def listen(self, subscription: Any, notes: list[Any]) -> None:
        while True:
            notes.append(await subscription.news())

    def fault(self, operations: tuple[str, ...], error: RemoteError | None) -> None:
        self.kube.fault = lambda operation: error if operation in operations else None

    def repeat(self, back: int) -> None:
        """An old line of a pod that somebody is subscribed to comes again."""
        followed = {one.ident.rpartition("/")[2] for one in self.open}
        lines = [change for change in self.pods.history if change[2]["metadata"]["uid"] in followed]
        if len(lines) >= back:
            for watch in self.pods.watches:
                watch.tell(lines[-back])

    def change(self, name: int, *, unlabel: bool = False) -> None:
        if name in self.present:
            self.labelled[name] ^= unlabel
            self.put(name)

    def leave(self, number: int) -> None:
        if self.open:
            self.open.pop(number % len(self.open)).close()

    def step(self, what: str, value: Any) -> None:
        steps: dict[str, Callable[[], object]] = {
            "change": lambda: self.change(value),
            "unlabel": lambda: self.change(value, unlabel=True),
            "delete": lambda: self.delete(value),
            "recreate": lambda: self.recreate(value),
            "subscribe": lambda: self.subscribe(value),
            "leave": lambda: self.leave(value),
            "repeat": lambda: self.repeat(value),
            "cut": self.kube.cut,
            "compact": self.kube.compact,
            "as status": lambda: setattr(self.kube, "status_410", value),
            "silent": lambda: setattr(self.kube, "silent", value),
            "fault": lambda: self.fault(*value),
        }
        steps[what]()

    async def run(self, steps: list[tuple[str, Any]]) -> None:
        waited = 0.0
        for what, value in steps:
            if what == "wait":
                waited += value
                if waited < PATIENCE:
                    await asyncio.sleep(value)
            else:
                waited = 0.0 if what == "fault" else waited
                self.step(what, value)
        self.fault((), None)
        self.kube.silent = False
        for name in list(self.present):
            self.put(name, "Succeeded")
        await asyncio.sleep(400)
        await self.check()
        await self.winds_up()

    async def check(self) -> None:
        for subscription, notes in self.heard:
            uid = subscription.ident.rpartition("/")[2]
            states = [one.state for one in notes if isinstance(one, Seen | Deleted)]
            seen = [int(state.status.message) for state in states]
            assert seen == sorted(seen), "went back"
            assert all(state.uid == uid for state in states)
            assert not any(isinstance(one, Broken) for one in notes)
            assert not any(isinstance(one, Trouble) and one.fatal for one in notes)
            if subscription not in self.open:
                continue
            is_present = uid in {uid_of(number) for number in self.present.values()}
            final = [one for one in notes if isinstance(one, Gone | Deleted)]
            assert len(final) == (not is_present)
            if is_present or isinstance(final[0], Deleted):
                assert states[-1].status.message == self.last[uid]
            if is_present:
                assert states[-1].status.phase == "Succeeded"
            assert subscription.trouble is None

    async def winds_up(self) -> None:
        for subscription in self.open:
            subscription.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(6)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not self.pods.watches


GAP = [
    ("subscribe", 0), ("subscribe", 1), ("wait", 2.0), ("fault", (("watch",), Unavailable("down"))), ("cut", None),
    ("wait", 0.3), ("recreate", 0), ("unlabel", 1), ("compact", None), ("wait", 7.0),
]  # fmt: skip


@settings(max_examples=120, deadline=None)
@example(GAP, 1, 0)
@given(st.lists(STEPS, max_size=30), st.sampled_from([1, 2, 100]), st.integers(0, 3))
def test_each_subscriber_ends_with_the_last_state_and_never_goes_back(
    steps: list[tuple[str, Any]], page: int, seed: int
) -> None:
    random.seed(seed)
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(_play(steps, page))


async def _play(steps: list[tuple[str, Any]], page: int) -> None:
    await Play(page).run(steps)


@pytest.mark.parametrize("seed", range(4))
def test_long_plays(seed: int) -> None:
    """What is rare in short ones: several faults at once, again and again."""
    rng = random.Random(seed)
    simple: list[tuple[str, Any]] = []
    kinds = ["change", "change", "delete", "recreate", "unlabel", "subscribe", "subscribe", "repeat", "cut", "compact"]
    for _ in range(300):
        what = rng.choice([*kinds, "wait", "wait", "wait", "fault"])
        value: Any = rng.randrange(4)
        if what == "wait":
            value = rng.choice([0.0, 0.02, 0.3, 2.0, 7.0])
        elif what == "fault":
            error = rng.choice([None, None, Unavailable("down"), AccessDenied("forbidden", code="Forbidden")])
            value = (rng.choice([("list",), ("watch",), ("get",), ("list", "watch", "get")]), error)
        elif what == "repeat":
            value += 1
        simple.append((what, value))
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(_play(simple, 2))
