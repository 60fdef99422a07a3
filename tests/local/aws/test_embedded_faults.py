"""Throttling, faults, the policy and the control endpoint of the embedded AWS."""

from __future__ import annotations

import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.local.aws import AwsControl, Fault
from asyncrun.local.aws.faults import Faults, TokenBucket
from asyncrun.local.aws.options import EmbeddedAwsOptions, LifecycleDelays
from asyncrun.local.aws.wire import AwsRequest
from tests.support.lab import FARGATE, Lab, container, refused, until


@given(st.lists(st.floats(0, 0.5), max_size=200), st.integers(1, 10), st.floats(0.5, 20))
def test_a_bucket_gives_no_more_than_burst_and_rate_allow(gaps: list[float], burst: int, rate: float) -> None:
    bucket, now, taken = TokenBucket(burst, rate, burst, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(now)
    assert taken <= burst + rate * now + 1e-6
    assert taken >= min(len(gaps), burst)


def test_a_rule_skips_counts_and_is_used_up() -> None:
    faults = Faults([Fault("ecs:Describe*", "throttle", skip=1, count=2)])
    request = AwsRequest("ecs", "DescribeTasks", "us-east-1", b"")
    assert [faults.pick(request) is not None for _ in range(5)] == [False, True, True, False, False]
    assert faults.pick(AwsRequest("logs", "DescribeLogStreams", "us-east-1", b"")) is None


def test_options_survive_the_way_to_the_server() -> None:
    options = EmbeddedAwsOptions(
        clusters=("a", "b"),
        delays=LifecycleDelays(pending=3),
        quotas={"ecs:read": (1, 2)},
        policy=("ecs:*",),
        faults=(Fault("*", "reset"),),
    )
    assert EmbeddedAwsOptions.from_json(options.to_json()) == options


def test_reading_and_running_have_a_bucket_each(faulty: Lab) -> None:
    faulty.aws.control.set_quotas({"ecs:read": (3, 0.01), "ecs:run": (1, 0.01)})
    for _ in range(2):
        faulty.ecs.list_tasks()
    faulty.ecs.describe_clusters()
    refused(faulty.ecs.list_tasks, "ThrottlingException", "Rate exceeded")
    family = faulty.define(container())  # neither class: not throttled
    faulty.ecs.run_task(taskDefinition=family, **FARGATE)
    refused(faulty.ecs.run_task, "ThrottlingException", "Rate exceeded", taskDefinition=family, **FARGATE)


def test_one_operation_may_have_its_own_bucket_which_refills(faulty: Lab) -> None:
    faulty.aws.control.set_quotas({"logs:FilterLogEvents": (2, 5)})
    for _ in range(2):
        faulty.logs.filter_log_events(logGroupName="/lab")
    response = refused(faulty.logs.filter_log_events, "ThrottlingException", "Rate exceeded", logGroupName="/lab")
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    until(lambda: _works(faulty), bool)


def _works(lab: Lab) -> bool:
    from botocore.exceptions import ClientError

    try:
        lab.logs.filter_log_events(logGroupName="/lab")
    except ClientError:
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "code", "message", "status"),
    [
        ("throttle", "ThrottlingException", "Rate exceeded", 400),
        ("http_500", "ServerException", "Internal failure", 500),
        ("http_503", "ServiceUnavailableException", "Service is unavailable", 503),
        ("expired_token", "ExpiredTokenException", "The security token included in the request is expired", 400),
    ],
)
def test_an_injected_error_looks_like_aws(faulty: Lab, kind: str, code: str, message: str, status: int) -> None:
    faulty.aws.control.add_faults(Fault("ListTasks", kind, count=1))  # type: ignore[arg-type]
    response = refused(faulty.ecs.list_tasks, code, message)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    faulty.ecs.list_tasks()


def test_access_denied_names_user_action_and_resource(faulty: Lab) -> None:
    faulty.aws.control.add_faults(Fault("DescribeTasks", "access_denied"))
    arn = f"arn:aws:ecs:us-east-1:123456789012:task/default/{'1' * 32}"
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/asyncrun/embedded is not authorized to perform: "
        f"ecs:DescribeTasks on resource: {arn} because no identity-based policy allows the ecs:DescribeTasks action"
    )
    refused(faulty.ecs.describe_tasks, "AccessDeniedException", message, tasks=[arn])


def test_the_policy_denies_all_that_it_does_not_name(faulty: Lab) -> None:
    faulty.aws.control.set_policy(["ecs:List*", "logs:GetLogEvents"])
    faulty.ecs.list_tasks()
    message = (
        "is not authorized to perform: logs:FilterLogEvents on resource: "
        "arn:aws:logs:us-east-1:123456789012:log-group:/lab"
    )
    refused(faulty.logs.filter_log_events, "AccessDeniedException", message, logGroupName="/lab")
    refused(faulty.ecs.describe_clusters, "AccessDeniedException", "ecs:DescribeClusters")


def test_botocore_reads_a_malformed_answer_as_one_without_members(faulty: Lab) -> None:
    faulty.aws.control.add_faults(Fault("ListTasks", "malformed", count=1))
    answer = faulty.ecs.list_tasks()
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "taskArns" not in answer
    assert "taskArns" in faulty.ecs.list_tasks()


def test_a_reset_call_is_not_executed_and_a_dropped_answer_is(faulty: Lab) -> None:
    from botocore.exceptions import ConnectionClosedError, HTTPClientError

    family = faulty.define(container("exec sleep 20"))
    for kind, started in (("reset", 0), ("drop_answer", 1)):
        faulty.aws.control.add_faults(Fault("RunTask", kind, count=1))  # type: ignore[arg-type]
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            faulty.ecs.run_task(taskDefinition=family, **FARGATE)
        arns = faulty.ecs.list_tasks(family=family)["taskArns"]
        assert len(arns) == started
    faulty.ecs.stop_task(task=arns[0])
    assert [call.error for call in faulty.aws.control.calls("RunTask")] == ["reset", "reset"]


def test_a_delayed_call_is_late_but_right(faulty: Lab) -> None:
    faulty.aws.control.add_faults(Fault("ListTasks", "delay", delay=0.3, count=1))
    began = time.monotonic()
    faulty.ecs.list_tasks()
    assert time.monotonic() - began >= 0.3


def test_refuse_all_closes_every_connection_until_told_otherwise(faulty: Lab) -> None:
    from botocore.exceptions import ConnectionClosedError, HTTPClientError

    faulty.aws.control.refuse_all()
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        faulty.ecs.list_tasks()
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        faulty.client("sts").get_caller_identity()
    faulty.aws.control.clear_faults()
    faulty.ecs.list_tasks()


def test_any_error_can_be_injected(faulty: Lab) -> None:
    faulty.aws.control.add_faults(Fault("RunTask", "error", code="LimitExceededException", message="Too many ENIs."))
    refused(faulty.ecs.run_task, "LimitExceededException", "Too many ENIs.", taskDefinition="x")


def test_faults_hit_the_services_of_the_query_protocol_too(faulty: Lab) -> None:
    sts = faulty.client("sts")
    faulty.aws.control.add_faults(Fault("AssumeRole", "error", code="AccessDenied", message="not <you>"))
    faulty.aws.control.set_policy(["ecs:RunTask"])
    refused(
        sts.assume_role,
        "AccessDenied",
        "not <you>",
        RoleArn="arn:aws:iam::123456789012:role/r",
        RoleSessionName="me",
    )
    assert sts.get_caller_identity()["Account"] == "123456789012"


def test_a_probability_hits_some_calls(faulty: Lab) -> None:
    faulty.aws.control.add_faults(Fault("FilterLogEvents", "throttle", probability=0.5))
    results = [_works(faulty) for _ in range(60)]
    assert 0 < sum(results) < 60


# -- the control endpoint --------------------------------------------------------------------------------------------


def test_calls_are_counted_with_time_size_and_items(faulty: Lab) -> None:
    before = time.monotonic()
    faulty.ecs.describe_tasks(tasks=["0" * 32, "1" * 32])
    (call,) = faulty.aws.control.calls("DescribeTasks", clear=True)
    assert (call.service, call.operation, call.items, call.error) == ("ecs", "DescribeTasks", 2, None)
    assert before <= call.time <= (call.ended or 0) <= time.monotonic()
    assert call.size > 64
    assert faulty.aws.control.calls("DescribeTasks") == []


def test_the_control_endpoint_wants_its_token(lab: Lab) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        AwsControl(lab.aws.endpoint_url, "guess").processes()
    caught.value.close()
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        lab.aws.control.interrupt("nobody")
    caught.value.close()


def test_a_spot_task_is_interrupted(lab: Lab) -> None:
    arn = lab.run(container("exec sleep 30"))
    lab.wait(arn, "RUNNING")
    lab.aws.control.interrupt(arn)
    task = lab.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
    assert task["containers"][0]["exitCode"] == 143


def test_a_task_may_be_stopped_by_any_other_cause(lab: Lab) -> None:
    arn = lab.run(container("exec sleep 30"))
    lab.aws.control.stop_as(arn, "TerminationNotice", "Host EC2 was terminated.")
    task = lab.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("TerminationNotice", "Host EC2 was terminated.")


def test_a_vanished_task_is_missing_while_its_container_runs(lab: Lab) -> None:
    arn = lab.run(container("exec sleep 2"))
    lab.wait(arn, "RUNNING")
    lab.aws.control.vanish(arn)
    assert lab.ecs.describe_tasks(tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert arn not in lab.ecs.list_tasks()["taskArns"]
    assert arn in [one.task for one in lab.aws.control.processes()]


def test_the_environment_leads_every_sdk_here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    for name, value in lab.aws.env().items():
        monkeypatch.setenv(name, value)
    assert boto3.Session().client("sts").get_caller_identity()["Account"] == "123456789012"
    assert boto3.Session().client("ecs").list_clusters()["clusterArns"]


def test_one_core_serves_a_hundred_concurrent_calls_a_second(lab: Lab) -> None:
    import psutil

    arn = lab.run(container())
    server = psutil.Process(int(lab.aws.pid or 0))
    before = server.cpu_times()
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: lab.describe(arn)["taskArn"], range(300)))
    after = server.cpu_times()
    assert found == [arn] * 300
    assert (after.user + after.system - before.user - before.system) / 300 < 0.01
