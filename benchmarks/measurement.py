"""One measurement: what it is of, and how it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psutil

from benchmarks.analysis import figures
from benchmarks.figures import Figures
from benchmarks.load import Load
from benchmarks.pods import Pods
from benchmarks.runner import measure
from benchmarks.standin import Options, StandIn, TaskSpec

_LINGERED = 8.0  # s; after the run that goes before, the shared watchers end, so that a measurement sees its own
_NO_LOGS = {"cpu": 0, "essential": True, "image": "batch-main:2026-11-01.7"}


class Measurement(msgspec.Struct, kw_only=True, frozen=True):
    """
    What is measured. Two that are equal, of the same code, need not both be made.

    :param series: its name, see ``series``.
    :param platform: ``ecs`` or ``pods``.
    :param trigger: ``ours`` or ``upstream``.
    :param runs: container runs at the same time.
    :param lines: that each writes per second; 0: status only, and the triggers are told to read no logs.
    :param lifetime: seconds that each container runs.
    :param stagger: seconds over which the runs are handed over, evenly.
    :param end_together: what starts earlier runs for that much longer, so that all end in the same second.
    :param quotas: ECS: AWS's token buckets of the strict regions are enforced.
    :param throttle: ECS: share of the calls (0 to 1) that is throttled at random, besides.
    :param latency: milliseconds that each answer of the server takes.
    :param delay: ECS: upstream's ``waiter_delay``, s; 6 is its operator's own.
    :param logging_interval: pods: upstream's argument, s. Its default, None, shows no logs at all.
    :param warm: a run goes before, so that memory per run has no modules in it.
    """

    platform: str
    trigger: str
    runs: int
    series: str = ""
    lines: float = 1.0
    lifetime: float = 60.0
    stagger: float = 0.0
    end_together: bool = False
    quotas: bool = False
    throttle: float = 0.0
    latency: float = 0.0
    delay: int = 6
    logging_interval: int | None = 5
    warm: bool = True

    @property
    def title(self) -> str:
        """For people."""
        what = "pods" if self.platform == "pods" else "ECS tasks"
        lines = f"{self.lines:g} line{'s' * (self.lines != 1)}/s each" if self.lines else "status only"
        more = [
            f"handed over in {self.stagger:g} s" if self.stagger else "",
            "ending together" if self.end_together else "",
            "AWS's quotas" if self.quotas else "",
            f"{self.throttle:.0%} throttled" if self.throttle else "",
            f"{self.latency:g} ms per answer" if self.latency else "",
        ]
        return ", ".join([f"{self.runs:,} {what} of {self.lifetime:g} s", lines, *filter(None, more)])

    def load(self) -> Load:
        """For the harness. Of the runs a tenth fails, by exit code 3."""
        startup = 1.0 if self.platform == "pods" else 2.0
        spec = TaskSpec(lifetime=self.lifetime, lines_per_second=self.lines, startup=startup)
        bad = self.runs // 10
        failing = msgspec.structs.replace(spec, exit_codes=(3,))
        return Load(
            trigger=self.trigger,
            platform=self.platform,
            groups=[(self.runs - bad, spec), *([(bad, failing)] if bad else [])],
            stagger=self.stagger,
            end_together=self.end_together,
            logs=bool(self.lines),
            warm=self.warm,
            settle=_LINGERED if self.warm else 3.0,
            limit=90 + 3 * self.lifetime + self.stagger + self.runs / 5,
            delay=self.delay,
            logging_interval=self.logging_interval or None,
        )


def made(what: Measurement) -> Figures:
    """
    Measure it.

    :raises RuntimeError: the harness failed, or upstream's environment is not there.
    """
    with server(what) as playing:
        load = what.load()
        raw = measure(load, playing)
        used = _cpu(playing)  # nearly all of it while runs were under way
        return figures(load, raw, playing.truth(), playing.calls(), used)


@contextmanager
def server(what: Measurement) -> Iterator[Any]:
    """
    What the runs run on.

    :raises RuntimeError: it has shown a defect of its own.
    """
    if what.platform == "pods":
        with Pods(latency=what.latency / 1000) as pods:
            yield pods
            if pods.errors():
                raise RuntimeError(f"the embedded Kubernetes has a defect:\n{pods.errors()}")
        return
    with StandIn(Options(quotas=what.quotas, throttle=what.throttle, latency=what.latency / 1000)) as standin:
        if not what.lines:
            _define_without_logs(standin)
        yield standin


def _define_without_logs(standin: StandIn) -> None:
    """Tasks whose definition has no log configuration: the stand-in takes a family that is there already."""
    import boto3

    client = boto3.client("ecs", endpoint_url=standin.url, region_name="us-east-1", aws_access_key_id="bench",
                          aws_secret_access_key="bench")  # fmt: skip
    client.register_task_definition(family="bench-main", containerDefinitions=[{"name": "main", **_NO_LOGS}])
    client.close()


def _cpu(playing: Any) -> float:
    """Seconds that the server's process used so far."""
    if isinstance(playing, Pods):
        return float(playing.server()["cpu"])
    times = psutil.Process(playing.pid).cpu_times()
    return times.user + times.system
