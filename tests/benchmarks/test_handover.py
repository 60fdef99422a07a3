"""How runs are launched and handed over, and the short mode of `make check`."""

from __future__ import annotations

import time
from typing import Any

import pytest

from benchmarks import handover, smoke
from benchmarks.figures import Figures, Lines
from benchmarks.handover import handed_over
from benchmarks.load import Load
from benchmarks.measurement import Measurement, server
from benchmarks.pods import Pods
from benchmarks.standin import StandIn, TaskSpec
from tests.benchmarks.support import figures

_SPECS = [(15, TaskSpec(lifetime=5.0)), (5, TaskSpec(lifetime=5.0, exit_codes=(3,)))]


def _wait() -> None:
    time.sleep(0.02)  # a turn of the supervisor's loop


class _Clock:
    """Time that passes only where somebody waits."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += 0.02  # a turn of the supervisor's loop


def _launched(monkeypatch: pytest.MonkeyPatch, load: Load) -> tuple[list[tuple[float, Any]], dict[str, Any]]:
    """Each run with the seconds after which it was handed over, and the truth of all."""
    clock = _Clock()
    monkeypatch.setattr(handover, "time", clock)
    with StandIn() as standin:
        runs = [(clock.now - _Clock.now, run) for run in handed_over(load, standin.address, clock.wait)]
        return runs, {one["arn"]: one for one in standin.truth()}


def test_ecs_tasks_are_handed_over_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, truth = _launched(monkeypatch, Load(trigger="ours", groups=_SPECS, stagger=1.0))
    assert [at for at, _ in runs] == pytest.approx([number / 20 for number in range(20)], abs=0.021)
    assert all(at >= number / 20 - 1e-6 for number, (at, _) in enumerate(runs)), "none before its turn"
    assert [truth[run.arn]["exit_codes"] for _, run in runs] == [[0]] * 15 + [[3]] * 5
    assert {_lifetime(truth[run.arn]) for _, run in runs} == {5.0}
    assert {run.classpath for _, run in runs} == {"asyncrun.triggers.ecs.EcsTaskTrigger"}


def test_where_tasks_are_to_end_together_those_launched_earlier_live_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load(trigger="ours", groups=_SPECS, stagger=1.0, end_together=True)
    runs, truth = _launched(monkeypatch, load)
    assert [at + _lifetime(truth[run.arn]) for at, run in runs] == pytest.approx([6.0] * 20, abs=1e-3)
    assert runs[-1][0] > 0.9, "or they would all have the same lifetime"


def _lifetime(task: dict[str, Any]) -> float:
    return round(task["ended_at"] - task["running_at"], 3)


def test_all_at_once_is_one_call_for_each_kind() -> None:
    with StandIn() as standin:
        runs = list(handed_over(Load(trigger="upstream", groups=_SPECS), standin.address, _wait))
    assert len(runs) == 20
    assert runs[0].kwargs["log_group"]


def test_pods_have_the_labels_that_our_operator_gives_them() -> None:
    from asyncrun.spec.pod.labels import our_labels

    with Pods() as pods:
        runs = list(
            handed_over(Load(trigger="upstream", platform="pods", groups=[(2, TaskSpec())]), pods.address, _wait)
        )
        found = {one["metadata"]["name"]: one["metadata"]["labels"] for one in pods.listed()}
    assert found == {f"bench-{number}": our_labels("", f"{number:024x}") for number in (1, 2)}
    assert [run.kwargs["pod_name"] for run in runs] == ["bench-1", "bench-2"]


@pytest.mark.parametrize(
    ("platform", "trigger", "logs"),
    [
        ("ecs", "upstream", {"log_group": None, "log_stream": None}),
        ("pods", "upstream", {"get_logs": False, "logging_interval": None}),
        ("pods", "ours", {"logs": ()}),
    ],
)
def test_status_only_means_that_triggers_are_told_to_read_no_logs(
    platform: str, trigger: str, logs: dict[str, Any]
) -> None:
    what = Measurement(platform=platform, trigger=trigger, runs=1, lines=0.0)
    with server(what) as playing:
        (run,) = handed_over(what.load(), playing.address, _wait)
    told = run.kwargs.get("watch", run.kwargs)
    assert {name: told.get(name, ()) for name in logs} == logs


@pytest.mark.parametrize(("lines", "streams"), [(0.0, 0), (1.0, 1)])
def test_our_ecs_trigger_finds_no_stream_to_read_where_status_only_is_measured(lines: float, streams: int) -> None:
    """It is told by the task's definition, as in AWS."""
    import boto3

    from asyncrun.model.ecs import parse_task
    from asyncrun.model.ecs_definition import parse_definition
    from asyncrun.model.ecs_streams import streams_of
    from asyncrun.model.ecs_watch import EcsTaskWatch

    what = Measurement(platform="ecs", trigger="ours", runs=1, lines=lines)
    with server(what) as playing:
        (run,) = handed_over(what.load(), playing.address, _wait)
        client = boto3.client("ecs", endpoint_url=playing.address, region_name="us-east-1", aws_access_key_id="x",
                              aws_secret_access_key="x")  # fmt: skip
        task = client.describe_tasks(cluster="default", tasks=[run.arn])["tasks"][0]
        definition = client.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        client.close()
    watch = EcsTaskWatch.from_dict(run.kwargs["watch"])
    assert len(streams_of(parse_task(task), parse_definition(definition), watch).found) == streams


@pytest.mark.parametrize(
    ("lines", "wrong", "code", "told"),
    [
        (Lines(written=160), [], 0, "every line once, every run as it should"),
        (Lines(written=160, lost=2, examples=["run 3 main: 2 lost"]), [], 1, "ecs: 2 lines lost"),
        (Lines(written=160, doubled=1), [], 1, "1 lines doubled"),
        (Lines(written=160), ["run 4: [], not succeeded"], 1, "1 runs that ended wrong"),
        (Lines(), [], 1, "pods: 160 lines that the containers should have written and did not"),
    ],
)
def test_the_short_mode_fails_for_lines_and_runs_and_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    lines: Lines, wrong: list[str], code: int, told: str,
) -> None:  # fmt: skip
    def slow(what: Measurement) -> Figures:
        return figures(what, lines=lines, wrong=wrong, cpu=99.0)

    monkeypatch.setattr(smoke, "_measured", slow)
    assert smoke.check() == code
    shown = capsys.readouterr().out
    assert told in shown
    assert all(one in shown for one in [*lines.examples, *wrong])
    assert code == 1 or len(shown.splitlines()) == 1
