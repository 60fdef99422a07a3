"""What the benchmark in a real Airflow stands on: containers that wait for a signal, and how its figures are read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from asyncrun.local.airflow import LogRecord
from benchmarks.airflow.containers import Container, Containers, EcsTasks, Pods
from benchmarks.airflow.plan import LABEL_VARIABLE, NAMESPACE, SCRIPT_ANNOTATION, SPEC_VARIABLE, Plan, dag_id, label
from benchmarks.airflow.samples import numbers
from benchmarks.airflow.usage import finished
from tests.support.lab import until

PLAN = Plan(runs=4, lines=20.0, lifetime=1.0)
LABEL = label(dag_id("pods", "ours"), 7)


def launch_task(tasks: EcsTasks) -> Callable[[], list[str]]:
    """Returns what reads its log."""

    def ask(service: str, operation: str, **params: Any) -> Any:
        import boto3

        environment = tasks.environment()
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        url, region = environment["AWS_ENDPOINT_URL"], environment["AWS_DEFAULT_REGION"]
        with closing(boto3.client(service, endpoint_url=url, region_name=region, **keys)) as client:
            return getattr(client, operation)(**params)

    variables = [{"name": LABEL_VARIABLE, "value": LABEL}, {"name": SPEC_VARIABLE, "value": PLAN.task_spec}]
    overrides = {"containerOverrides": [{"name": "main", "environment": variables}]}
    ask("ecs", "run_task", taskDefinition="bench-main", overrides=overrides)

    def lines() -> list[str]:
        answer = ask("logs", "filter_log_events", logGroupName="/ecs/bench")
        return [event["message"] for event in answer["events"]]

    return lines


def launch_pod(pods: Pods) -> Callable[[], list[str]]:
    """Returns what reads its log."""
    connection = json.loads(pods.environment()["AIRFLOW_CONN_KUBERNETES_DEFAULT"])
    config = json.loads(Path(connection["extra"]["kube_config_path"]).read_text())

    def ask(method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
        url = f"{config['clusters'][0]['cluster']['server']}/api/v1/namespaces/{NAMESPACE}/{path}"
        return httpx.request(method, url, headers=headers, trust_env=False, **options)

    name = f"{LABEL}-x1y2z3"
    metadata = {"name": name, "annotations": {SCRIPT_ANNOTATION: PLAN.script}}
    spec = {"restartPolicy": "Never", "containers": [{"name": "base", "image": "busybox"}]}
    ask("POST", "pods", json={"metadata": metadata, "spec": spec}).raise_for_status()

    def lines() -> list[str]:
        return ask("GET", f"pods/{name}/log", params={"container": "base"}).text.splitlines()

    return lines


@pytest.mark.parametrize(("kind", "launch", "first"), [(EcsTasks, launch_task, 1), (Pods, launch_pod, 0)])
def test_a_container_waits_for_the_signal_then_writes_and_ends_as_told(kind: Any, launch: Any, first: int) -> None:
    before = time.time()
    containers: Containers
    with kind() as containers:
        lines = launch(containers)

        def told() -> Container | None:
            return containers.told(before).get(LABEL)

        until(told, lambda one: one is not None and one.running)
        waiting = told()
        assert waiting is not None
        assert waiting.ended is None
        until(lines, lambda shown: len(shown) == first)

        begin = time.time() + 0.5
        containers.release(before, begin, {LABEL: begin + 2.0}, PLAN.lines)
        until(told, lambda one: one is not None and one.ended is not None and one.ended < time.time() - 1)
        ended = told()
        assert ended is not None
        assert ended.ended >= begin + 2.0 - 0.05, "not before its time, however late a busy machine looks at its timers"
        assert len(ended.readable) == first + 40
        assert all(begin <= at < ended.ended + 1 for at in ended.readable[first:])
        found = numbers([LogRecord(None, "", "", line, {}) for line in lines()], containers.line)
        assert found == dict.fromkeys(range(first + 40), 1)


def test_an_earlier_container_of_the_same_name_is_not_told() -> None:
    with EcsTasks() as tasks:
        launch_task(tasks)
        assert tasks.told(time.time() + 1) == {}


def test_lines_are_counted_in_each_form_that_a_log_has() -> None:
    joined = "0123456789ab:main:000003 xxx\n0123456789ab:main:000004 xxx"
    upstream = "[2026-11-22 03:00:00,123] 0123456789ab:main:000004 xxx"
    records = [LogRecord(None, "info", "", event, {}) for event in (joined, upstream, "task 0123456789ab:main started")]
    assert numbers(records, EcsTasks.line) == {3: 1, 4: 2}
    pods = [LogRecord(None, "info", "", event, {}) for event in ("base 11....", "[base] logs: base 12....", "[base] 9")]
    assert numbers(pods, Pods.line) == {11: 1, 12: 1}


def test_ends_are_an_order_by_chance_that_stays_the_same() -> None:
    plan = Plan(runs=300, lifetime=60, apart=0.2, within=1.0)
    spread, together = plan.ends("spread"), plan.ends("together")
    assert sorted(spread) == pytest.approx([60 + 0.2 * place for place in range(300)])
    assert spread != sorted(spread)
    assert spread == plan.ends("spread")
    assert max(together) - min(together) < 1.0


def test_an_execution_is_read_from_the_line_that_airflow_writes() -> None:
    """Of Airflow 3.3.2, with its colours."""
    line = (
        "\x1b[2m2026-11-22T03:30:27.992223Z\x1b[0m [\x1b[32m\x1b[1minfo     \x1b[0m] \x1b[1mWorkload finished"
        "              \x1b[0m [\x1b[34m\x1b[1msupervisor\x1b[0m] \x1b[36mduration\x1b[0m=\x1b[35m5.307461566000711"
        "\x1b[0m \x1b[36mexit_code\x1b[0m=\x1b[35m0\x1b[0m \x1b[36mfinal_state\x1b[0m=\x1b[35mdeferred\x1b[0m "
        "loc=supervisor.py:2658 workload_id=01a2014e-0926-747c-ab9c-8f7f7066e261 workload_type=ExecuteTask"
    )
    [found] = finished(f"something else\n{line}\n")
    assert (found.task, found.seconds) == ("01a2014e-0926-747c-ab9c-8f7f7066e261", 5.307461566000711)
