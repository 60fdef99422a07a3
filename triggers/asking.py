"""What several cancelled triggers ask Airflow at the same time, asked together: it answers one message at a time."""

from __future__ import annotations

import asyncio

from asyncrun.clients.airflow import read_xcom, task_states
from asyncrun.clients.airflow_states import StatesQuestion, TaskKey, state_questions
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers.background import spawn

# Of the few messages that may be under way at a time the others belong to triggers that have something to write.
_NOTES_UNDER_WAY = 2


class Asking:
    """
    The questions of one event loop. Get it by ``asking()``.

    Invariant: an asker runs exactly while somebody waits for a state. While Airflow answers one message, everybody who
    wants a state meanwhile gathers for the next.
    """

    def __init__(self) -> None:
        self._waiting: dict[TaskKey, asyncio.Future[str | None]] = {}
        self._asker: asyncio.Task[None] | None = None
        self._notes = asyncio.Semaphore(_NOTES_UNDER_WAY)

    async def state(self, key: TaskKey) -> str | None:
        """
        State of a task instance, as it is after this call began; None if it has none, or does not exist.

        :raises RemoteError: Airflow gave no answer.
        """
        answer = self._waiting.get(key)
        if answer is None:
            answer = self._waiting[key] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_seen)
        if self._asker is None:
            self._asker = spawn(self._ask_all(), "asyncrun states of killed tasks")
        return await asyncio.shield(answer)

    async def note(self, key: TaskKey) -> object:
        """
        The XCom by which an attempt says which run is its own; None if there is none.

        :raises RemoteError: Airflow gave no answer.
        """
        async with self._notes:
            return await read_xcom(RUN_XCOM_KEY, key.dag_id, key.task_id, key.run_id, key.map_index)

    async def _ask_all(self) -> None:
        asked: dict[TaskKey, asyncio.Future[str | None]] = {}
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, {}
                for question in state_questions(asked):
                    await _ask(question, asked)
        finally:
            self._asker = None
            for answer in (*asked.values(), *self._waiting.values()):
                if not answer.done():
                    answer.set_exception(Unavailable("Nobody asks Airflow for states any more.", service="airflow"))
            self._waiting = {}


async def _ask(question: StatesQuestion, asked: dict[TaskKey, asyncio.Future[str | None]]) -> None:
    try:
        states = await task_states(question)
    except RemoteError as error:
        for key in question.keys:
            asked[key].set_exception(error)
    else:
        for key, state in states.items():
            asked[key].set_result(state)


def _seen(answer: asyncio.Future[str | None]) -> None:
    if not answer.cancelled():
        answer.exception()


asking = PerLoop(Asking)
