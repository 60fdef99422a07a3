"""How runs are launched and handed over, and the short mode of `make check`."""

from __future__ import annotations

import time

import pytest

from benchmarks import smoke
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


def test_ecs_tasks_are_handed_over_evenly_and_end_together_where_asked() -> None:
    load = Load(trigger="ours", groups=_SPECS, stagger=1.0, end_together=True)
    with StandIn() as standin:
        began = time.time()
        runs = [(time.time() - began, run) for run in handed_over(load, standin.address, _wait)]
        truth = {one["arn"]: one for one in standin.truth()}
    assert len(runs) == 20
    assert all(at >= number / 20 for number, (at, _) in enumerate(runs)), "none before its turn, however slow it goes"
    assert [truth[run.arn]["exit_codes"] for _, run in runs] == [[0]] * 15 + [[3]] * 5
    ends = sorted(truth[run.arn]["ended_at"] for _, run in runs)
    assert ends[15] - ends[5] < 0.25, "half a second, were they not to end together"
    assert {run.classpath for _, run in runs} == {"asyncrun.triggers.ecs.EcsTaskTrigger"}


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


@pytest.mark.parametrize("platform", ["ecs", "pods"])
def test_status_only_means_no_logs_on_both_sides(platform: str) -> None:
    for trigger in ("ours", "upstream"):
        what = Measurement(platform=platform, trigger=trigger, runs=1, lines=0.0)
        with server(what) as playing:
            (run,) = handed_over(what.load(), playing.address, _wait)
        if (platform, trigger) == ("ecs", "upstream"):
            assert run.kwargs["log_group"] is None
        if (platform, trigger) == ("pods", "ours"):
            assert not run.kwargs["watch"].get("logs")
        if (platform, trigger) == ("pods", "upstream"):
            assert (run.kwargs["get_logs"], run.kwargs["logging_interval"]) == (False, None)


def test_the_definition_of_status_only_tasks_has_no_log_configuration() -> None:
    import boto3

    what = Measurement(platform="ecs", trigger="ours", runs=1, lines=0.0)
    with server(what) as playing:
        list(handed_over(what.load(), playing.address, _wait))
        client = boto3.client("ecs", endpoint_url=playing.address, region_name="us-east-1", aws_access_key_id="x",
                              aws_secret_access_key="x")  # fmt: skip
        (task,) = playing.truth()
        told = client.describe_tasks(cluster="default", tasks=[task["arn"]])["tasks"][0]
        definition = client.describe_task_definition(taskDefinition=told["taskDefinitionArn"])["taskDefinition"]
        client.close()
    assert "logConfiguration" not in definition["containerDefinitions"][0]


@pytest.mark.parametrize(
    ("lines", "wrong", "code", "told"),
    [
        (Lines(written=160), [], 0, "every line once, every run as it should"),
        (Lines(written=160, lost=2, examples=["run 3 main: 2 lost"]), [], 1, "ecs: 2 lines lost"),
        (Lines(written=160, doubled=1), [], 1, "1 lines doubled"),
        (Lines(written=160), ["run 4: [], not succeeded"], 1, "1 runs that ended wrong"),
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
