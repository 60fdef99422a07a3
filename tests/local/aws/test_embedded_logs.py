"""The awslogs driver and the reading of CloudWatch Logs, through a real boto3 client."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrun.local.aws.awslogs import MAX_EVENT_BYTES, LogPump
from tests.support.lab import FARGATE, Lab, container, logging_to, refused, until


def put(lab: Lab, stream: str, *events: tuple[int, str]) -> None:
    """Events at milliseconds before now, through the control endpoint (so that late ones are possible)."""
    for timestamp, message in events:
        lab.aws.control.put_log_event("/lab", stream, message, timestamp=timestamp)


def read(lab: Lab, stream: str, **params: Any) -> dict[str, Any]:
    return dict(lab.logs.get_log_events(logGroupName="/lab", logStreamName=stream, **params))


def messages(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


# -- the driver ------------------------------------------------------------------------------------------------------


def test_lines_carry_the_time_of_writing_and_arrive_in_flushes(lab: Lab) -> None:
    before = time.time() * 1000
    arn = lab.run(container("echo one; echo two >&2; sleep 0.4; echo; printf three", **logging_to()))
    lab.wait(arn)
    answer = lab.logs.filter_log_events(logGroupName="/lab", logStreamNames=[f"p/main/{arn[-32:]}"])
    one, two, three = answer["events"]  # Docker's driver makes no event of an empty line
    assert [one["message"], two["message"], three["message"]] == ["one", "two", "three"]
    assert before <= one["timestamp"] <= one["ingestionTime"]
    assert three["timestamp"] - one["timestamp"] >= 350
    assert one["ingestionTime"] < three["timestamp"]
    assert len({event["eventId"] for event in answer["events"]}) == 3


def test_a_stream_appears_with_its_first_flush(lab: Lab) -> None:
    arn = lab.run(container("sleep 0.8; echo late", **logging_to()))
    stream = f"p/main/{arn[-32:]}"
    lab.wait(arn, "RUNNING")
    unknown = "The specified log stream does not exist."
    call = {"logGroupName": "/lab"}
    refused(lab.logs.filter_log_events, "ResourceNotFoundException", unknown, logStreamNames=[stream], **call)
    refused(lab.logs.get_log_events, "ResourceNotFoundException", unknown, logStreamName=stream, **call)
    lab.wait(arn)
    assert lab.lines(stream) == ["late"]


def test_one_unknown_stream_refuses_the_whole_batch(lab: Lab) -> None:
    put(lab, "known", (1, "x"))
    refused(
        lab.logs.filter_log_events,
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
        logGroupName="/lab",
        logStreamNames=["known", "unknown"],
    )


def test_an_ec2_stream_without_prefix_is_named_by_the_runtime_id(lab: Lab) -> None:
    family = lab.define(container("echo hello", memory=8, **logging_to(prefix=None)), fargate=False)
    task = lab.wait(lab.ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"])
    assert lab.lines(task["containers"][0]["runtimeId"]) == ["hello"]


def test_the_drivers_region_and_group_creation_are_respected(lab: Lab) -> None:
    options = logging_to("/made", **{"awslogs-region": "eu-west-1", "awslogs-create-group": "true"})
    arn = lab.run(container("echo hello", **options))
    lab.wait(arn)
    other = lab.client("logs", region_name="eu-west-1")
    assert lab.lines(f"p/main/{arn[-32:]}", "/made", other) == ["hello"]


def test_events_become_readable_after_the_visibility_delay(slow_lab: Lab) -> None:
    before = time.monotonic()
    put(slow_lab, "delayed", (1, "x"))
    assert slow_lab.lines("delayed") == []
    assert until(lambda: slow_lab.lines("delayed"), bool) == ["x"]
    assert time.monotonic() - before >= 0.5


def pumped(chunks: list[bytes]) -> list[str]:
    """What the driver makes of these writes."""
    pump = LogPump(0.01)
    got: list[tuple[int, str]] = []
    read_end, write_end = os.pipe()
    finish = pump.follow(read_end, got.extend)

    def write() -> None:
        with os.fdopen(write_end, "wb", buffering=0) as pipe:
            for chunk in chunks:
                pipe.write(chunk)

    writer = threading.Thread(target=write)
    writer.start()
    finish(10)
    writer.join()
    pump.close()
    return [message for _, message in got]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=40)), st.integers(1, 50))
def test_lines_are_whole_however_they_are_written(lines: list[str], size: int) -> None:
    data = "\n".join(lines).encode()
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert pumped(chunks) == [line for line in lines if line]


def test_a_line_longer_than_an_event_is_split_between_characters() -> None:
    line = "x" + "ä" * MAX_EVENT_BYTES  # two bytes each, so that the limit falls into the middle of one
    parts = pumped([line.encode() + b"\nnext"])
    assert "".join(parts[:-1]) == line
    assert parts[-1] == "next"
    assert max(len(part.encode()) for part in parts) <= MAX_EVENT_BYTES
    assert len(parts) == 4


# -- FilterLogEvents -------------------------------------------------------------------------------------------------


def test_filtered_events_are_interleaved_by_timestamp_then_ingestion(lab: Lab) -> None:
    put(lab, "il-a", (10, "a10"), (30, "a30"))
    put(lab, "il-b", (20, "b20"), (30, "b30"))
    put(lab, "il-a", (15, "a15 late"))
    call = {"logGroupName": "/lab", "logStreamNames": ["il-a", "il-b"]}
    assert messages(lab.logs.filter_log_events(**call)) == ["a10", "a15 late", "b20", "a30", "b30"]
    assert messages(lab.logs.filter_log_events(**call, startTime=20, endTime=30)) == ["b20", "a30", "b30"]
    assert messages(lab.logs.filter_log_events(**call, filterPattern="late")) == ["a15 late"]
    assert messages(lab.logs.filter_log_events(logGroupName="/lab", logStreamNamePrefix="il-b")) == ["b20", "b30"]


def test_filtered_pages_are_cut_by_limit_and_continued_by_token(lab: Lab) -> None:
    put(lab, "pages", *((n // 2, f"m{n}") for n in range(7)))
    call = {"logGroupName": "/lab", "logStreamNames": ["pages"], "limit": 3}
    first = lab.logs.filter_log_events(**call)
    second = lab.logs.filter_log_events(**call, nextToken=first["nextToken"])
    third = lab.logs.filter_log_events(**call, nextToken=second["nextToken"])
    assert messages(first) + messages(second) + messages(third) == [f"m{n}" for n in range(7)]
    assert "nextToken" not in third
    refused(lab.logs.filter_log_events, "InvalidParameterException", "nextToken", **call, nextToken="x")


def test_a_page_may_be_empty_and_still_have_a_token(slow_lab: Lab) -> None:
    put(slow_lab, "sparse", *((n, f"m{n}") for n in range(5)))
    first = slow_lab.logs.filter_log_events(logGroupName="/lab", logStreamNames=["sparse"])
    assert messages(first) == []
    assert first["nextToken"]
    until(lambda: slow_lab.lines("sparse"), lambda lines: lines == [f"m{n}" for n in range(5)])


def test_a_page_holds_a_megabyte(lab: Lab) -> None:
    put(lab, "big", *((n, str(n) * 250_000) for n in range(6)))
    first = lab.logs.filter_log_events(logGroupName="/lab", logStreamNames=["big"])
    assert len(first["events"]) == 4
    assert [line[0] for line in lab.lines("big")] == list("012345")


def test_more_than_a_hundred_streams_are_refused(lab: Lab) -> None:
    message = "Member must have length less than or equal to 100"
    names = [f"s{n}" for n in range(101)]
    refused(lab.logs.filter_log_events, "InvalidParameterException", message, logGroupName="/lab", logStreamNames=names)


def test_an_unknown_group_is_refused(lab: Lab) -> None:
    message = "The specified log group does not exist."
    refused(lab.logs.filter_log_events, "ResourceNotFoundException", message, logGroupName="/none")


# -- GetLogEvents ----------------------------------------------------------------------------------------------------


def test_the_forward_token_repeats_at_the_end_and_finds_what_is_new(lab: Lab) -> None:
    put(lab, "forward", *((n, f"m{n}") for n in range(5)))
    first = read(lab, "forward", startFromHead=True, limit=3)
    second = read(lab, "forward", nextToken=first["nextForwardToken"])
    third = read(lab, "forward", nextToken=second["nextForwardToken"])
    assert (messages(first), messages(second), messages(third)) == (["m0", "m1", "m2"], ["m3", "m4"], [])
    assert third["nextForwardToken"] == second["nextForwardToken"] != first["nextForwardToken"]
    put(lab, "forward", (9, "m9"))
    assert messages(read(lab, "forward", nextToken=third["nextForwardToken"])) == ["m9"]


def test_an_empty_stream_loses_nothing_that_comes_later(lab: Lab) -> None:
    lab.logs.create_log_stream(logGroupName="/lab", logStreamName="empty")
    for from_head in (True, False):
        empty = read(lab, "empty", startFromHead=from_head)
        assert messages(empty) == []
    put(lab, "empty", (5, "first"))
    assert messages(read(lab, "empty", nextToken=empty["nextForwardToken"])) == ["first"]


def test_the_last_events_come_first_without_start_from_head(lab: Lab) -> None:
    put(lab, "backward", *((n, f"m{n}") for n in range(5)))
    last = read(lab, "backward", limit=2)
    before = read(lab, "backward", limit=2, nextToken=last["nextBackwardToken"])
    assert (messages(last), messages(before)) == (["m3", "m4"], ["m1", "m2"])


def test_start_is_inclusive_and_end_exclusive(lab: Lab) -> None:
    put(lab, "range", *((n, f"m{n}") for n in range(5)))
    assert messages(read(lab, "range", startTime=1, endTime=3, startFromHead=True)) == ["m1", "m2"]
    assert "eventId" not in read(lab, "range")["events"][0]


def test_the_configured_page_limit_holds_for_both_apis(slow_lab: Lab) -> None:
    put(slow_lab, "limited", *((n, f"m{n}") for n in range(5)))
    until(lambda: messages(read(slow_lab, "limited", startFromHead=True)), lambda got: got == ["m0", "m1"])


def test_put_log_events_and_descriptions_see_the_same_events(lab: Lab) -> None:
    lab.logs.create_log_stream(logGroupName="/lab", logStreamName="put")
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": "a"}, {"timestamp": now + 1, "message": "b"}]
    lab.logs.put_log_events(logGroupName="/lab", logStreamName="put", logEvents=events)
    assert lab.lines("put") == ["a", "b"]
    assert "put" in lab.stream_names()
    refused(
        lab.logs.put_log_events,
        "InvalidParameterException",
        "chronological",
        logGroupName="/lab",
        logStreamName="put",
        logEvents=events[::-1],
    )


@pytest.mark.parametrize("count", [40])
def test_many_tasks_at_once_keep_every_line(lab: Lab, count: int) -> None:
    family = lab.define(container("for n in 1 2 3; do echo line-$n; done; exit 4", **logging_to(prefix="many")))
    arns = [
        task["taskArn"]
        for _ in range(count // 10)
        for task in lab.ecs.run_task(taskDefinition=family, count=10, **FARGATE)["tasks"]
    ]
    tasks = until(
        lambda: lab.ecs.describe_tasks(tasks=arns)["tasks"],
        lambda tasks: all(task["lastStatus"] == "STOPPED" for task in tasks),
        timeout=30,
    )
    assert {task["containers"][0]["exitCode"] for task in tasks} == {4}
    for arn in arns:
        assert lab.lines(f"many/main/{arn[-32:]}") == ["line-1", "line-2", "line-3"]
