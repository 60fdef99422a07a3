"""Values that cross from worker to triggerer and back, settings, and levels of lines."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk.serde import serialize
from airflow.triggers.base import TriggerEvent
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.ecs import parse_task
from asyncrun.model.ecs_definition import parse_definition
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskWatch
from asyncrun.model.errors import AccessDenied, ContainerFailed, InvalidArgument, InvalidSetting, MalformedAnswer
from asyncrun.model.event import LAST_LINES_LIMIT, RESULT_LIMIT, CompletionEvent, cut_last_lines, cut_result
from asyncrun.model.logs import level_of
from asyncrun.model.outcome import ContainerOutcome, Outcome, Verdict
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.model.settings import Settings

REF = EcsTaskRef(cluster="c", task_arn="arn:aws:ecs:eu-west-1:123456789012:task/c/0123456789abcdef")
OUTCOME = Outcome(
    verdict=Verdict.FAILED,
    containers=(ContainerOutcome(name="main", exit_code=3, reason="r", essential=False),),
    decided_by="main",
    exit_code=3,
    code="EssentialContainerExited",
    started_at=1.5,
)
EVENT = CompletionEvent(
    ref=REF,
    outcome=OUTCOME,
    diagnosis=Diagnosis(summary="s", cause=Cause.EXIT_CODE, evidence=("e",), next_step="n"),
    last_lines=("a", "b"),
    result="b",
)
# What release 0.1.0 wrote: rows in users' databases look like this, and must load for ever.
EVENT_0_1_0: dict[str, Any] = {
    "ref": {"cluster": "c", "task_arn": REF.task_arn},
    "outcome": {
        "verdict": "failed",
        "containers": [{"name": "main", "exit_code": 3, "reason": "r", "essential": False}],
        "decided_by": "main",
        "exit_code": 3,
        "code": "EssentialContainerExited",
        "reason": "",
        "started_at": 1.5,
        "finished_at": None,
        "stop_cause": None,
    },
    "diagnosis": {"summary": "s", "cause": "exit_code", "evidence": ["e"], "next_step": "n"},
    "last_lines": ["a", "b"],
    "result": "b",
    "version": 1,
}
WATCH_0_1_0: dict[str, Any] = {
    "target": {"conn_id": "aws_default", "region_name": None, "verify": None, "botocore_config": None},
    "deferred_at": 10.0,
    "deadline": None,
    "version": 1,
    "ref": {"cluster": "c", "task_arn": REF.task_arn},
    "deadline_reason": "",
    "container_name": None,
    "log_group": None,
    "log_region": None,
    "log_stream_prefix": None,
    "end_in_triggerer": True,
    "end_reason": "nothing needs a worker",
    "push_result": False,
    "number_logs_exception": 10,
    "launched_at": None,
    "slot_ms": 50,
}


def test_an_event_comes_back_as_it_was() -> None:
    assert CompletionEvent.from_dict(EVENT.to_dict()) == EVENT


def test_the_event_of_the_last_release_still_loads() -> None:
    assert CompletionEvent.from_dict(EVENT_0_1_0) == EVENT


def test_an_event_of_a_newer_release_loads_as_far_as_it_is_known() -> None:
    assert CompletionEvent.from_dict({**EVENT_0_1_0, "version": 9, "new": {"x": 1}}).ref == REF


def test_a_foreign_event_is_refused_with_the_place() -> None:
    with pytest.raises(MalformedAnswer, match=r"the trigger's event cannot be read: .*ref"):
        CompletionEvent.from_dict({"status": "success"})


def test_a_watch_of_the_last_release_still_loads_and_comes_back_as_it_was() -> None:
    watch = EcsTaskWatch.from_dict(WATCH_0_1_0)
    assert watch.ref == REF
    # That release knew one kind of runs, and did not say whether the result is wanted, so it must be there.
    ref = {"kind": "ecs", **WATCH_0_1_0["ref"]}
    assert watch.to_dict() == {**WATCH_0_1_0, "ref": ref, "wants_result": True}


def test_what_airflow_logs_of_an_event_is_short_and_shows_no_line_of_a_container() -> None:
    """Its triggerer writes the ``repr`` of each event into the task log."""
    made = msgspec.structs.replace(EVENT, last_lines=("DB_PASSWORD=hunter2",), result="r" * 10**6)
    assert repr(made.to_dict()) == "failed: s"
    assert repr(TriggerEvent(made.to_dict())) == "TriggerEvent<failed: s>"
    wordy = msgspec.structs.replace(EVENT, diagnosis=Diagnosis(summary="s" * 10**6))
    assert len(repr(wordy.to_dict())) < 600


def test_the_payload_of_an_event_passes_airflows_serializations_as_a_dict() -> None:
    event = TriggerEvent(EVENT.to_dict())
    plain = msgspec.to_builtins(EVENT)
    for dumped in (event.model_dump(), json.loads(event.model_dump_json())):
        assert dumped == {"payload": json.loads(json.dumps(plain))} or dumped == {"payload": plain}
    assert serialize({"event": event.payload}) == serialize({"event": plain})
    assert CompletionEvent.from_dict(json.loads(event.model_dump_json())["payload"]) == EVENT


def test_a_result_is_cut_at_its_limit_and_never_within_a_character() -> None:
    assert cut_result("x" * RESULT_LIMIT) == ("x" * RESULT_LIMIT, 0)
    assert cut_result("x" * (RESULT_LIMIT + 3)) == ("x" * RESULT_LIMIT, 3)
    assert cut_result("x" + "\u00e9" * RESULT_LIMIT) == ("x" + "\u00e9" * (RESULT_LIMIT // 2 - 1), RESULT_LIMIT + 1)
    assert cut_result("half \ud800") == ("half ?", 0)


def test_the_last_lines_are_bounded_all_together_and_say_what_is_missing() -> None:
    few = ("a", "\u00e9" * (LAST_LINES_LIMIT // 2 - 1), "b")
    assert cut_last_lines(few) == few
    shown = cut_last_lines(f"{number:04}" + "x" * 996 for number in range(1000))
    assert shown[0] == "[935 earlier lines are left out here: 65536 bytes are shown at most]"
    assert [line[:4] for line in shown[1:]] == [f"{number:04}" for number in range(935, 1000)]
    assert cut_last_lines(()) == ()
    (only,) = cut_last_lines(("first", "x" * (LAST_LINES_LIMIT + 1)))
    assert only == "x" * LAST_LINES_LIMIT + " ... [cut]"


def test_a_state_watch_round_trips() -> None:
    watch = EcsClusterWatch(
        target=AwsTarget(conn_id=None), deferred_at=1.0, desired=("ACTIVE",), failing=("FAILED",), cluster="c"
    )
    assert EcsClusterWatch.from_dict(watch.to_dict()) == watch


def test_a_ref_knows_region_account_and_id() -> None:
    assert (REF.region, REF.account, REF.task_id) == ("eu-west-1", "123456789012", "0123456789abcdef")
    odd = EcsTaskRef(cluster="c", task_arn="not-an-arn")
    assert (odd.region, odd.account, odd.task_id) == (None, None, "not-an-arn")


def test_errors_survive_pickling_with_their_facts() -> None:
    denied = pickle.loads(pickle.dumps(AccessDenied("m", service="ecs", operation="RunTask", code="C", request_id="r")))
    assert (str(denied), denied.service, denied.operation, denied.code, denied.request_id) == (
        "m", "ecs", "RunTask", "C", "r",
    )  # fmt: skip
    failed = pickle.loads(pickle.dumps(ContainerFailed(EVENT.diagnosis, OUTCOME, ("x",))))
    assert failed.outcome == OUTCOME
    assert str(failed) == EVENT.diagnosis.text(("x",))
    for error in (InvalidArgument("a", 1, "b"), InvalidSetting("a", 1, "b")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "raw",
    [None, [], {}, {"taskArn": 5, "lastStatus": "RUNNING"}, {"taskArn": "a"},
     {"taskArn": "a", "lastStatus": "RUNNING", "version": "x"},
     {"taskArn": "a", "lastStatus": "RUNNING", "containers": [None]},
     {"taskArn": "a", "lastStatus": "RUNNING", "containers": [{"name": "m", "exitCode": "many"}]}],
)  # fmt: skip
def test_a_task_that_cannot_be_read_is_a_malformed_answer(raw: Any) -> None:
    with pytest.raises(MalformedAnswer):
        parse_task(raw)


@pytest.mark.parametrize(
    "raw", [{}, {"taskDefinitionArn": "a"}, {"taskDefinitionArn": "a", "containerDefinitions": [{}]},
            {"taskDefinitionArn": "a", "containerDefinitions": [{"name": "x", "memory": "lots"}]}],
)  # fmt: skip
def test_a_definition_that_cannot_be_read_is_a_malformed_answer(raw: Any) -> None:
    with pytest.raises(MalformedAnswer):
        parse_definition(raw)


@pytest.mark.parametrize(
    ("prefix", "driver", "runtime", "name"),
    [("p", "awslogs", None, "p/main/t"), (None, "awslogs", "r-1", "r-1"), (None, "awslogs", None, None),
     ("p", "splunk", "r-1", None)],
)  # fmt: skip
def test_stream_names_follow_the_log_configuration(
    prefix: str | None, driver: str, runtime: str | None, name: str | None
) -> None:
    options = {"awslogs-group": "g", "awslogs-region": "us-west-2"}
    if prefix:
        options["awslogs-stream-prefix"] = prefix
    log = {"logDriver": driver, "options": options}
    raw = {"taskDefinitionArn": "a", "containerDefinitions": [{"name": "main", "logConfiguration": log}]}
    (container,) = parse_definition(raw).containers
    assert container.stream_name("t", runtime) == name
    assert container.log is not None
    assert (container.log.group, container.log.region) == ("g", "us-west-2")


@pytest.mark.parametrize(
    ("text", "level"),
    [("ERROR: x", "error"), ("an error occurred", "info"), ("[warn] low", "warning"), ("level=error msg=x", "error"),
     ("2026-01-02 03:04:05,678 - name - WARNING - text", "warning"), ('{"level": "debug", "a": 1}', "debug"),
     ("CRITICAL - down", "critical"), ("FATAL: role does not exist", "critical"), ("no ERRORS found", "info"),
     ("", "info"), ("INFO  started", "info"), ("/var/log/ERROR.txt", "info")],
)  # fmt: skip
def test_a_line_has_the_level_that_it_states(text: str, level: str) -> None:
    assert level_of(text) == level


@given(st.text())
def test_every_line_has_a_level(text: str) -> None:
    assert level_of(text) in {"critical", "error", "warning", "info", "debug"}


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_every_number_has_an_end_that_python_can_count_with(one: Any) -> None:
    if one.type == "str":
        return
    top = one.metadata["at_most"]
    assert one.metadata["at_least"] <= one.default <= top
    assert getattr(Settings.load({one.name: f"{top:.0f}"}.get), one.name) == top
    timedelta(seconds=top if one.metadata["unit"] == "s" else 0)
    for value in ("inf", "1e300", "nan"):
        with pytest.raises(InvalidSetting):
            Settings.load({one.name: value}.get)


def test_a_name_that_is_no_setting_is_told_with_the_one_that_is_most_like_it() -> None:
    names = ["poll_interval", "LOG_SLOT", "pol_interval", "METRICS_INTERVALL", "zzz"]
    assert list(Settings.unknown(names)) == [
        ("metrics_intervall", "metrics_interval"),
        ("pol_interval", "poll_interval"),
        ("zzz", ""),
    ]


def test_settings_have_defaults_and_read_what_is_configured() -> None:
    configured = {"poll_interval": "2.5", "log_slot": "100", "end_in_triggerer": "Never", "log_rate": " "}
    settings = Settings.load(configured.get)
    assert (settings.poll_interval, settings.log_slot, settings.end_in_triggerer) == (2.5, 100, "never")
    assert settings.log_rate == Settings().log_rate


def test_the_more_share_a_round_the_longer_it_is_but_never_shorter_than_configured() -> None:
    settings = Settings(poll_interval=1, poll_interval_shared=1.8, logs_poll_interval=4, logs_poll_interval_shared=2)
    assert [settings.poll_round(count) for count in (0, 20, 60, 100, 10_000)] == pytest.approx([1, 1, 1.4, 1.8, 1.8])
    assert {settings.logs_round(count) for count in (1, 60, 1000)} == {4}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log_rate", "1.5", "[asyncrun] log_rate = '1.5' in Airflow's configuration cannot work: expected a whole "
         "number of lines/s, at least 1 and at most 1000000"),
        ("describe_rate", "50", "[asyncrun] describe_rate = '50' in Airflow's configuration cannot work: expected a "
         "number of calls/s, at least 0.1 and at most 20"),
        ("poll_interval", "nan", "[asyncrun] poll_interval = 'nan' in Airflow's configuration cannot work: expected a "
         "number of s, at least 0.1 and at most 3600"),
        ("resume_hold", "inf", "[asyncrun] resume_hold = 'inf' in Airflow's configuration cannot work: expected a "
         "number of s, at least 0 and at most 3600"),
        ("backstop", "1e300", "[asyncrun] backstop = '1e300' in Airflow's configuration cannot work: expected a "
         "number of s, at least 0 and at most 2592000"),
        ("end_in_triggerer", "maybe", "[asyncrun] end_in_triggerer = 'maybe' in Airflow's configuration cannot work: "
         "expected auto or always or never"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused_by_name_value_and_what_is_allowed(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Settings.load({name: value}.get)
    assert str(caught.value) == message


def test_every_setting_is_read_somewhere() -> None:
    root = Path(__file__).resolve().parents[2]
    code = [*root.glob("asyncrun/*/*.py"), *root.glob("triggers/**/*.py")]
    texts = {one: one.read_text() for one in code}
    own = root / "asyncrun" / "model" / "settings.py"
    texts[own] = texts[own].replace("self.", "settings.")  # some are read by its own methods
    text = "\n".join(texts.values())
    assert [one.name for one in fields(Settings) if f"settings.{one.name}" not in text] == []
