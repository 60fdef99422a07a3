"""What a try tells by XCom of its run: it lies in Airflow's database over an upgrade, and a kill depends on it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.refs import EcsTaskRef, LaunchRecord, RunRecord

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/c/0123456789abcdef"
RECORD = RunRecord(
    ref=EcsTaskRef(cluster="c", task_arn=ARN), ti_id="0190", try_number=2, links={"task_url": "t", "logs_url": "l"}
)
# Before there was a version.
FIRST: dict[str, Any] = {
    "try_number": 2,
    "ref": {"cluster": "c", "task_arn": ARN},
    "ti_id": "0190",
    "links": {"task_url": "t", "logs_url": "l"},
}


def test_a_record_comes_back_as_it_was() -> None:
    assert RunRecord.from_dict(json.loads(json.dumps(RECORD.to_dict()))) == RECORD


def test_a_record_of_the_first_release_still_loads_and_what_is_written_now_loads_there() -> None:
    assert RunRecord.from_dict(FIRST) == RECORD
    # That release knew one kind of runs; it leaves out what it does not know, as this one does (below).
    assert {key: RECORD.to_dict()[key] for key in FIRST} == {**FIRST, "ref": {"kind": "ecs", **FIRST["ref"]}}


def test_a_record_of_a_newer_release_loads_as_far_as_it_is_known() -> None:
    newer = {**FIRST, "version": 9, "new": 1, "ref": {**FIRST["ref"], "region": "eu-west-1"}}
    assert RunRecord.from_dict(newer).identity == ARN


@pytest.mark.parametrize("missing", ["ref", "ti_id"])
def test_without_what_a_kill_depends_on_it_is_no_record(missing: str) -> None:
    with pytest.raises(MalformedAnswer, match=r"The XCom that names the container run cannot be read: .*missing"):
        RunRecord.from_dict({key: value for key, value in FIRST.items() if key != missing})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {}, optional={key: PLAIN | st.just(value) for key, value in {**FIRST, "phase": "launched", "version": 1}.items()}
)


@pytest.mark.parametrize("kind", [RunRecord, LaunchRecord])
@given(plain=PLAIN | NEARLY)
def test_whatever_else_lies_there_is_a_malformed_answer_and_nothing_else(
    kind: type[RunRecord] | type[LaunchRecord], plain: Any
) -> None:
    try:
        record = kind.from_dict(plain)
    except MalformedAnswer:
        return
    assert plain["ref"]["task_arn"] == record.ref.identity
    assert kind.from_dict(record.to_dict()) == record


def test_reading_it_imports_nothing_heavy() -> None:
    """The links read it wherever Airflow computes them."""
    code = (
        "import sys; import asyncrun.model.refs;"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('airflow', 'botocore', 'aiobotocore', 'anyio')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
