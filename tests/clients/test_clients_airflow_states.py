"""Few messages ask for the states of many task instances, and each state is found again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.clients.airflow_states import StatesQuestion, TaskKey, state_questions

# Names that collide in Airflow's answer: task `t_1`, and index 1 of mapped task `t`.
KEYS = st.builds(
    TaskKey,
    st.sampled_from(["d", "e"]),
    st.sampled_from(["r", "r1", "r2"]),
    st.sampled_from(["t", "t_1", "t_1_1", "u"]),
    st.sampled_from([-1, 0, 1, 700]),
)


def answered(question: StatesQuestion, database: dict[TaskKey, str]) -> dict[str, dict[str, str]]:
    """As Airflow's API does it, see ``get_task_instance_states``."""
    answer: dict[str, dict[str, str]] = {}
    for key, state in database.items():
        if key.dag_id == question.dag_id and key.run_id in question.run_ids and key.task_id in question.task_ids:
            if question.map_index is not None and question.map_index != key.map_index:
                continue
            name = key.task_id if key.map_index < 0 else f"{key.task_id}_{key.map_index}"
            answer.setdefault(key.run_id, {})[name] = state
    return answer


@given(st.lists(KEYS), st.dictionaries(KEYS, st.sampled_from(["deferred", "failed", "running"])))
def test_every_state_is_found_again(keys: list[TaskKey], database: dict[TaskKey, str]) -> None:
    # A task is either mapped or not.
    mapped = {(key.dag_id, key.run_id, key.task_id): key.map_index >= 0 for key in database}
    database = {key: state for key, state in database.items() if mapped[key[:3]] == (key.map_index >= 0)}
    keys = [key for key in keys if mapped.get(key[:3], key.map_index >= 0) == (key.map_index >= 0)]
    found: dict[TaskKey, Any] = {}
    for question in state_questions(keys):
        states = question.read(answered(question, database))
        assert not states.keys() & found.keys()
        found |= states
    assert found == {key: database.get(key) for key in keys}


@pytest.mark.parametrize(
    ("keys", "messages"),
    [
        ([TaskKey("d", "r", "m", index) for index in range(1000)], 1),
        ([TaskKey("d", f"r{number}", "t", -1) for number in range(900)], 1),
        ([TaskKey("d", f"r{number}", "m", 5) for number in range(900)], 1),
        ([TaskKey("d", f"r{run}", f"t{task}", -1) for run in range(10) for task in range(10)], 1),
        # Each run comes with a hundred.
        ([TaskKey("d", f"r{run}", "m", index) for run in range(50) for index in (0, 99)], 5),
        ([TaskKey("d", "r", f"m{task}", index) for task in range(10) for index in range(300)], 4),
        # Long names: the whole address must stay below 65,536 characters.
        ([TaskKey("d", "r", f"{number:04}" + "\N{SNOWMAN}" * 246, -1) for number in range(100)], 15),
        ([TaskKey(dag, "r", "t", -1) for dag in "abc"], 3),
        ([TaskKey("d", "r", "t", -1), TaskKey("d", "r", "m", 1)], 2),
        ([], 0),
    ],
)  # fmt: skip
def test_messages_are_as_few_as_are_sane(keys: list[TaskKey], messages: int) -> None:
    assert len(state_questions(keys)) == messages


def test_a_question_says_what_it_asks_for() -> None:
    one_task = [TaskKey("d", "r", "t", -1)]
    assert [str(one) for one in state_questions(one_task)] == ["the state of task t in run r of DAG d"]
    keys = [TaskKey("d", run, "t", -1) for run in "xyz"]
    assert [str(one) for one in state_questions(keys)] == ["the states of 3 tasks in 3 runs of DAG d"]
