"""Pods to measure with: an embedded Kubernetes whose pods are played, the hands to create them, and what really was."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from benchmarks.standin import TaskSpec

NAMESPACE = "airflow"
_SCRIPT = "asyncrun.local/script"
_TRIGGERER = "triggerer"
_HISTORY = 200_000  # changes; those of 10,000 pods
_LAUNCH = "{number:024x}"  # what tells one launch from all others


class Pods:
    """
    An embedded Kubernetes in a process of its own, for one measurement.

    :param cut_every: every connection is broken that often, s; 0: never.
    :param compact_every: history is forgotten that often, s, so that 410s occur; 0: never.
    :param latency: seconds by which every answer to the triggerer is delayed.
    """

    def __init__(self, *, cut_every: float = 0.0, compact_every: float = 0.0, latency: float = 0.0) -> None:
        from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions, Fault

        late = (Fault(kind="delay", delay=latency, user=_TRIGGERER),) if latency else ()
        self._kube = EmbeddedKube(EmbeddedKubeOptions(node="scripted", history=_HISTORY, faults=late))
        self._folder = tempfile.TemporaryDirectory(prefix="bench-kube-")
        self._cut_every, self._compact_every = cut_every, compact_every

    def __enter__(self) -> Self:
        from asyncrun.spec.pod.labels import our_labels

        self._kube.__enter__()
        control = self._kube.control
        token = control.add_token(None, user=_TRIGGERER)
        folder = Path(self._folder.name)
        config = self._kube.write_kubeconfig(folder / "triggerer.yaml", namespace=NAMESPACE, token=token)
        labels = our_labels("", _LAUNCH)  # here, because the process that measures upstream has no asyncrun
        place = {"url": self._kube.url, "token": self._kube.token, "config": str(config), "labels": labels}
        (folder / "place.json").write_text(json.dumps(place))
        if self._cut_every:
            control.cut("*", every=self._cut_every)
        if self._compact_every:
            control.compact(every=self._compact_every)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kube.__exit__(kind, error, at)
        self._folder.cleanup()

    @property
    def address(self) -> str:
        """For the harness: a file that says where it is."""
        return str(Path(self._folder.name) / "place.json")

    def environment(self) -> dict[str, str]:
        """What the triggerer needs: nothing but the kubeconfig, which stands in each trigger's arguments."""
        return {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def delete(self, first: int, count: int) -> None:
        """What somebody does: delete the pods of these runs."""
        with Hands(self.address) as hands:
            for number in range(first, first + count):
                hands.delete(number)

    def listed(self) -> list[dict[str, Any]]:
        """The pods that are there."""
        with Hands(self.address) as hands:
            return hands.listed()

    def errors(self) -> str:
        """Tracebacks of the server, if it has a defect."""
        return self._kube.log_text()

    def truth(self) -> list[dict[str, Any]]:
        """What really happened, per pod, in the form of the ECS stand-in's."""
        played: list[dict[str, Any]] = self._kube.control.node_fault("truth")["pods"]
        return [_truth(one) for one in played]

    def calls(self) -> dict[str, Any]:
        """``calls`` of the triggerer, in the form of the ECS stand-in's."""
        offset = time.time() - time.monotonic()
        asked = [one for one in self._kube.control.requests() if one.user == _TRIGGERER]
        calls = [
            (one.time + offset, one.operation, 1, 0, str(one.status) if (one.status or 0) >= 400 else "", 0.0)
            for one in asked
        ]
        return {"calls": calls, "rounds": [], "covering": [_covering(one, offset) for one in asked if _covers(one)]}

    def server(self) -> dict[str, Any]:
        """CPU seconds of the server, and the most connections of each kind at once."""
        counts = self._kube.control.counts()
        return {"cpu": counts.cpu, "most_open": counts.most_open}


_NEVER = {"mark": "", "lines": {}, "exit_codes": [0], "first_described": 0.0, "end_described": 0.0,
          "running_at": math.inf, "ran_until": math.inf}  # fmt: skip


def _covers(request: Any) -> bool:
    """Whether it tells the state of pods."""
    return request.operation in {"get pods", "list pods", "watch pods"} and (request.status or 200) < 400


def _covering(request: Any, offset: float) -> dict[str, Any]:
    """Which pods it tells of (empty: all), and from when to when: a watch as long as it is open."""
    one, watch = request.operation == "get pods", request.operation == "watch pods"
    ended = math.inf if request.ended is None else request.ended + offset
    begins = request.time + offset if watch else ended
    return {"name": request.path.rsplit("/", 1)[-1] if one else "", "from": begins, "until": ended}


def _truth(played: Mapping[str, Any]) -> dict[str, Any]:
    if not played["containers"]:  # it has not started
        return {**_NEVER, "arn": played["uid"], "ended_at": time.time(), "deleted": played["deleted"]}
    ((mark, one),) = played["containers"].items()
    return {
        "arn": played["uid"],
        "mark": mark,
        "lines": {mark: [(number, stamp) for number, stamp in enumerate(one["lines"])]},
        "exit_codes": [one["exit_code"] or 0],
        "deleted": played["deleted"],
        "first_described": 0.0,
        # The first line is written at the container's start; without lines the start is not told.
        "running_at": next(iter(one["lines"]), None),
        "ran_until": one["ended"] or math.inf,
        # From when the API shows that the container has terminated, or that the pod is deleted: detection counts from
        # there. A container's end is told later by the kubelet, and nobody can know it before.
        "ended_at": one["told"] or time.time(),
        "end_described": 0.0,
    }


class Hands:
    """
    Who creates pods and deletes them: what workers and people do.

    :param address: ``Pods.address``.
    """

    def __init__(self, address: str) -> None:
        place = json.loads(Path(address).read_text())
        self.config = place["config"]
        self._labels: dict[str, str] = place["labels"]
        self._client = httpx.Client(
            base_url=f"{place['url']}/api/v1/namespaces/{NAMESPACE}/",
            headers={"Authorization": f"Bearer {place['token']}"},
            timeout=60,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def create(self, number: int, spec: TaskSpec, lifetime: float) -> dict[str, Any]:
        """A pod whose container's name is unlike all others: each of its lines begins with it."""
        name = f"r{number:05d}"
        rate = spec.lines_per_second
        script = {
            "start": spec.startup,
            "run": lifetime,
            "lines": spec.written_in(lifetime),
            "interval": 1 / rate if rate else 1.0,
            "size": spec.line_bytes,
            "exit_code": spec.exit_code(0),
        }
        body = {
            "metadata": {
                "name": f"bench-{number}",
                "labels": {key: value.format(number=number) for key, value in self._labels.items()},
                "annotations": {_SCRIPT: json.dumps(script)},
            },
            "spec": {"restartPolicy": "Never", "containers": [{"name": name, "image": "busybox"}]},
        }
        answer = self._client.post("pods", json=body).raise_for_status().json()
        return {"arn": answer["metadata"]["uid"], "name": f"bench-{number}", "container": name, "config": self.config}

    def listed(self) -> list[dict[str, Any]]:
        """All pods of the namespace."""
        items: list[dict[str, Any]] = self._client.get("pods").raise_for_status().json()["items"]
        return items

    def delete(self, number: int) -> None:
        """That run's pod."""
        self._client.delete(f"pods/bench-{number}").raise_for_status()


def ours(pod: Mapping[str, Any], fields: Mapping[str, Any], *, logs: bool = True) -> tuple[str, dict[str, Any]]:
    """
    Our trigger of that pod, as the operator makes it: class path and arguments.

    :param fields: of its ``PodWatch`` that are to be otherwise.
    :param logs: it follows the container's log.
    """
    from asyncrun.model.pod_watch import PodWatch
    from asyncrun.model.refs import KubeTarget, PodRef
    from asyncrun.spec.pod.labels import selector

    now = time.time()
    usual = PodWatch(
        ref=PodRef(namespace=NAMESPACE, name=pod["name"], uid=pod["arn"], selector=selector("")),
        target=KubeTarget(conn_id=None, config_file=pod["config"]),
        deferred_at=now,
        launched_at=now,
        base=pod["container"],
        logs=(pod["container"],) if logs else (),
        end_in_triggerer=True,
    )
    watch = msgspec.structs.replace(usual, **fields)
    return "asyncrun.triggers.pod.PodTrigger", {"watch": watch.to_dict()}


def upstream(pod: Mapping[str, Any], logging_interval: int | None, *, logs: bool) -> tuple[str, dict[str, Any]]:
    """
    Upstream's trigger of that pod, as its operator makes it: class path and arguments.

    :param logging_interval: s; upstream's argument, None by default: then the triggerer reads no logs at all.
    """
    import datetime

    return "airflow.providers.cncf.kubernetes.triggers.pod.KubernetesPodTrigger", {
        "pod_name": pod["name"],
        "pod_namespace": NAMESPACE,
        "trigger_start_time": datetime.datetime.now(tz=datetime.UTC),
        "base_container_name": pod["container"],
        "kubernetes_conn_id": None,
        "connection_extras": {},
        "config_dict": json.loads(Path(pod["config"]).read_text()),
        "in_cluster": False,
        "get_logs": logs,
        "logging_interval": logging_interval if logs else None,
    }
