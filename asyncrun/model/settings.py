"""
All settings of asyncrun: section ``[asyncrun]`` of Airflow's configuration.

This table is the only place where they stand; the provider's metadata and the documentation are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from asyncrun.model.errors import InvalidSetting

SECTION = "asyncrun"

# Every setting has a top that no sensible value exceeds: inf, or a time in ms, would be met only where it hurts.
_HOUR, _DAY = 3600.0, 86400.0  # s
_FEW, _MANY = 20, 100  # objects of one round; a call of AWS's is for 100 at most


def _number(default: float, unit: str, why: str, *, at_most: float, at_least: float = 0) -> Any:
    return field(
        default=default, metadata={"unit": unit, "why": why, "at_least": at_least, "at_most": at_most, "choices": ()}
    )


def _text(why: str) -> Any:
    return field(default="", metadata={"unit": "", "why": why, "choices": ()})


def _choice(default: str, why: str, *choices: str) -> Any:
    return field(default=default, metadata={"unit": "", "why": why, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; see the metadata of each field for unit, range and reason."""

    describe_rate: float = _number(
        5, "calls/s", "DescribeTasks and other ECS reads per account and region; AWS allows 20/s for all users of the "
        "account together", at_least=0.1, at_most=20,
    )  # fmt: skip
    launch_rate: float = _number(
        10, "calls/s", "RunTask of one process. Each Airflow task launches from a worker process of its own, so this "
        "spaces the attempts of one launch, and does not hold back many tasks that launch at once; AWS allows 40/s per "
        "account and region, shared with StopTask", at_least=0.1, at_most=40,
    )  # fmt: skip
    stop_rate: float = _number(
        10, "calls/s", "StopTask per account and region; a budget of its own, so that a kill never waits for launches",
        at_least=0.1, at_most=40,
    )  # fmt: skip
    filter_logs_rate: float = _number(
        2, "calls/s", "FilterLogEvents per account and region; AWS allows 5/s in the strict regions, not adjustable",
        at_least=0.1, at_most=25,
    )  # fmt: skip
    get_logs_rate: float = _number(
        4, "calls/s", "GetLogEvents per account and region; AWS allows 10/s in the strict regions, not adjustable",
        at_least=0.1, at_most=30,
    )  # fmt: skip
    poll_interval: float = _number(
        1,
        "s",
        "time between two rounds of DescribeTasks for a cluster with up to 20 tasks: how soon an end is seen",
        at_least=0.1,
        at_most=_HOUR,
    )
    poll_interval_shared: float = _number(
        1.8, "s", "the same for 100 or more tasks, and evenly more from 20 to 100: many runs share few calls, and an "
        "end is still seen within 2 s", at_least=0.1, at_most=_HOUR,
    )  # fmt: skip
    missing_grace: float = _number(
        60,
        "s",
        "a task reported MISSING for that long is believed to be gone: RunTask is eventually consistent",
        at_most=_DAY,
    )
    access_grace: float = _number(
        300, "s", "denied or expired credentials, a missing cluster, or a run that AWS refuses to be asked about, fail "
        "the runs after that long: time for a rotation or an upgrade", at_most=7 * _DAY,
    )  # fmt: skip
    reason_wait: float = _number(
        15, "s", "after an unclean end, wait that long for ECS or Kubernetes to add the reason", at_most=_HOUR
    )
    connection_ttl: float = _number(
        300, "s", "an Airflow connection is looked up again after that long: each look-up is a serial round trip "
        "of 50-230 ms", at_least=1, at_most=_DAY,
    )  # fmt: skip
    watcher_linger: float = _number(
        5,
        "s",
        "a shared watcher without subscribers stops after that long: the next run often comes soon",
        at_most=_HOUR,
    )
    logs_poll_interval: float = _number(
        1, "s", "time between two rounds of FilterLogEvents for a log group with up to 20 streams", at_least=0.1,
        at_most=_HOUR,
    )  # fmt: skip
    logs_poll_interval_shared: float = _number(
        3.5, "s", "the same for 100 or more streams, and evenly more from 20 to 100; filter_logs_rate makes it longer "
        "where more than 700 streams are read", at_least=0.1, at_most=_HOUR,
    )  # fmt: skip
    logs_poll_idle: float = _number(
        5, "s", "longest time between two rounds of FilterLogEvents for a quiet log group", at_least=0.1, at_most=_HOUR
    )
    logs_overlap: float = _number(
        15,
        "s",
        "CloudWatch shows a line at most that long after it took it in: streams are read again from their last event "
        "of before that, however old it is; what shows later is looked for every five minutes, ten minutes back",
        at_most=_HOUR,
    )
    logs_quiet_period: float = _number(
        12,
        "s",
        "a log is read to its end when nothing new came for that long: a flush of the awslogs driver (5 s), and the "
        "time until CloudWatch shows what it took in; a last line that it shows later still is missed",
        at_most=_HOUR,
    )
    logs_drain_limit: float = _number(
        60, "s", "longest wait for the end of a log; what is cut is said in the log", at_most=_DAY
    )
    logs_outage_limit: float = _number(
        600, "s", "that much longer than logs_drain_limit the end of a log is waited for while CloudWatch or "
        "Kubernetes does not answer: most outages are over by then, and a task whose container has ended should not "
        "wait for ever", at_most=_DAY,
    )  # fmt: skip
    log_line_limit: int = _number(16384, "bytes", "longer lines are cut, and say so", at_least=256, at_most=2**20)
    log_rate: int = _number(
        200, "lines/s", "per run, an even share for each of its containers; the triggerer's log pipe moves 65-340 "
        "KiB/s in all", at_least=1, at_most=10**6,
    )  # fmt: skip
    log_size_limit: int = _number(
        50 * 2**20, "bytes", "total per run, an even share for each of its containers; the rest is counted and skipped",
        at_least=65536, at_most=2**40,
    )  # fmt: skip
    log_last_lines: int = _number(
        200,
        "lines",
        "the last lines are never skipped: they hold the error; of long ones the last 128 KiB, but at least 10",
        at_least=10,
        at_most=10**5,
    )
    log_slot: int = _number(
        50, "ms", "lines of one container and slot form one record with a millisecond of its own, so that Airflow's "
        "reader shows each once; rounded up to a multiple of the number of containers", at_least=1, at_most=10000,
    )  # fmt: skip
    log_backlog: int = _number(
        32768, "bytes", "of kernel memory in the log socket above which emission waits: a full socket blocks every "
        "trigger", at_least=1280, at_most=2**30,
    )  # fmt: skip
    log_emit_rate: int = _number(
        2**20, "bytes/s", "of all runs into Airflow's log pipe, several times what its supervisor reads (65-340 "
        "KiB/s): where the pipe's fill level cannot be known this alone holds back", at_least=1024, at_most=2**30,
    )  # fmt: skip
    log_memory: int = _number(
        64 * 2**20, "bytes", "container output of all runs that was read and waits for Airflow's log pipe; beyond it "
        "only runs of which nothing waits are read on, a small page each", at_least=2**20, at_most=2**40,
    )  # fmt: skip
    log_takeover: str = _choice(
        "replay", "what a triggerer that takes a run over does: write its log again from its start, which is right "
        "everywhere since Airflow shows equal records once, or continue where the earlier triggerers' files end, which "
        "is for one log volume shared by all components, with remote logging off", "replay", "continue",
    )  # fmt: skip
    ends_per_second: float = _number(
        20, "ends/s", "at most, with remote logging: the supervisor uploads each ended trigger's log in its own loop, "
        "before its heartbeat", at_least=0.1, at_most=10**4,
    )  # fmt: skip
    ends_at_once: int = _number(
        12, "ends", "with remote logging, at most so many that a triggerer's supervisor is not known to have dealt "
        "with; fewer where that takes it more than 5 s. Should uploads take 2 s all at once, these cost 24 s: less "
        "than Airflow's triggerer_health_check_threshold, 30 s", at_least=1, at_most=10**4,
    )  # fmt: skip
    resume_hold: float = _number(
        7, "s", "a resume earlier than that after the deferral can fail the task spuriously in Airflow 3.3; it is held "
        "back for longer, up to 30 s, where the trigger was slow to start: the scheduler is as busy then",
        at_most=_HOUR,
    )  # fmt: skip
    end_in_triggerer: str = _choice(
        "auto", "success ends without a worker where nothing needs one", "auto", "always", "never"
    )
    deployment: str = _text(
        "a name for this Airflow; needed only where another one with equal DAG, task and run ids shares an ECS cluster "
        "with it and tasks have reattach=True, or a namespace of Kubernetes and tasks have durable=True (the default)"
    )
    kill_grace: float = _number(
        30,
        "s",
        "a call that stops a killed run is repeated for that long after its first failure while nobody answers it; a "
        "worker that stops a run, or takes a launch back, waits at most that long, and for missing_grace more where "
        "ECS answers that it does not show the task",
        at_most=_HOUR,
    )
    kube_rate: float = _number(
        50, "calls/s", "each of four budgets for one API server: questions (get, list, watch), changes (create, patch, "
        "delete), following logs, and reading logs at once. Its priority and fairness queues serve all users of the "
        "cluster", at_least=1, at_most=10**4,
    )  # fmt: skip
    pod_list_page: int = _number(
        200, "pods", "per page of a list: a pod is 5-20 KiB of JSON, a page is parsed in one step of the event loop",
        at_least=1, at_most=10**4,
    )  # fmt: skip
    pod_watch_silence: float = _number(
        150, "s", "a watch that brings nothing for that long, no bookmark either, is replaced: the API server sends "
        "one about every 60 s", at_least=1, at_most=_HOUR,
    )  # fmt: skip
    pod_poll_interval: float = _number(
        5, "s", "time between two looks at pods that cannot be watched: no permission, or no labels of ours",
        at_least=0.1, at_most=_HOUR,
    )  # fmt: skip
    pod_log_follows: int = _number(
        1000, "connections", "followed logs of one triggerer; each is a file descriptor here and a stream in the API "
        "server and the kubelet. Containers beyond it are read in turns", at_least=1, at_most=10**5,
    )  # fmt: skip
    pod_log_silence: float = _number(
        300, "s", "a followed log that brings nothing for that long is opened again where it left off: a connection "
        "may be dead without anybody's word", at_least=1, at_most=_DAY,
    )  # fmt: skip
    pod_delete_delay: float = _number(
        5, "s", "a finished pod is deleted that long after its end was reported: were the triggerer to die in between, "
        "its successor must still find how it ended", at_most=_HOUR,
    )  # fmt: skip
    pod_xcom_limit: int = _number(
        2**20, "bytes", "the longest XCom of a pod: it passes through the database and through the triggerer's "
        "supervisor, which serves one request after the other", at_least=1024, at_most=2**26,
    )  # fmt: skip
    exec_plugin_limit: float = _number(
        60, "s", "a kubeconfig's exec plug-in (aws, gke-gcloud-auth-plugin) that has not answered by then is ended",
        at_least=1, at_most=_HOUR,
    )  # fmt: skip
    metrics_interval: float = _number(
        15, "s", "time between two sendings of asyncrun's metrics, where Airflow's metrics are on: what a dashboard "
        "resolves; each takes a few ms of a thread", at_least=1, at_most=_HOUR,
    )  # fmt: skip
    freeze_heap: str = _choice(
        "on", "what has survived a full garbage collection of the triggerer is left out of later ones, which would "
        "stop every trigger for 0.1-0.5 s; garbage in cycles is freed later, when three times as many objects are "
        "there", "on", "off",
    )  # fmt: skip
    backstop: float = _number(
        600,
        "s",
        "Airflow's own trigger time-out comes that long after our deadline: Airflow stops nothing remote",
        at_most=30 * _DAY,
    )

    def poll_round(self, tasks: int) -> float:
        """Time between two rounds of DescribeTasks for that many tasks, s."""
        return _shared(self.poll_interval, self.poll_interval_shared, tasks)

    def logs_round(self, streams: int) -> float:
        """Time between two rounds of FilterLogEvents for that many streams, s, as far as the call budget allows."""
        return _shared(self.logs_poll_interval, self.logs_poll_interval_shared, streams)

    @classmethod
    def load(
        cls, get: Callable[[str], str | None], on_bad: Callable[[InvalidSetting], object] | None = None
    ) -> Settings:
        """
        Read every setting.

        :param get: the configured text of a setting of this section, None where none is given. It may raise
            ``InvalidSetting`` for a text that cannot be read.
        :param on_bad: told of each value that cannot work, which then has its default; None: the first one is raised.
        :raises InvalidSetting: naming the setting, its value and what is allowed.
        """
        values: dict[str, Any] = {}
        for one in fields(cls):
            try:
                text = get(one.name)
                if text is not None and text.strip():
                    values[one.name] = _parse(one, text.strip())
            except InvalidSetting as bad:
                if on_bad is None:
                    raise
                on_bad(bad)
        return cls(**values)

    @classmethod
    def unknown(cls, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """
        Which of these names are no settings, each with the setting that is most like it, empty if none is.

        :param names: in any case.
        """
        known = [one.name for one in fields(cls)]
        for name in sorted({one.lower() for one in names} - set(known)):
            yield name, next(iter(get_close_matches(name, known, 1)), "")


def _shared(few: float, many: float, count: int) -> float:
    share = min(1.0, max(0, count - _FEW) / (_MANY - _FEW))
    return max(few, few + (many - few) * share)


def _parse(one: Any, text: str) -> Any:
    meta = one.metadata
    if meta["choices"]:
        if text.lower() not in meta["choices"]:
            raise InvalidSetting(one.name, text, " or ".join(meta["choices"]))
        return text.lower()
    if one.type == "str":
        return text
    whole = isinstance(one.default, int) and one.type == "int"
    limits = f"at least {meta['at_least']:.10g} and at most {meta['at_most']:.10g}"
    allowed = f"a {'whole ' if whole else ''}number of {meta['unit']}, {limits}"
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        raise InvalidSetting(one.name, text, allowed) from None
    if not meta["at_least"] <= value <= meta["at_most"]:  # also refuses nan
        raise InvalidSetting(one.name, text, allowed)
    return value
