"""Pods to measure with: an embedded Kubernetes whose pods are played, the hands to create them, and what really was."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from benchmarks.standin import TaskSpec

NAMESPACE = "airflow"
_SCRIPT = "asyncrun.local/script"
_TRIGGERER = "triggerer"
_BETWEEN_TURNS = 20  # pods created between two turns of the supervisor, where there is no time to wait


class Pods:
    """
    An embedded Kubernetes in a process of its own, for one measurement.

    :param cut_every: every connection is broken that often, s; 0: never.
    :param compact_every: history is forgotten that often, s, so that 410s occur; 0: never.
    """

    def __init__(self, *, cut_every: float = 0.0, compact_every: float = 0.0) -> None:
        from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions

        self._kube = EmbeddedKube(EmbeddedKubeOptions(node="scripted"))
        self._folder = tempfile.TemporaryDirectory(prefix="bench-kube-")
        self._cut_every, self._compact_every = cut_every, compact_every

    def __enter__(self) -> Self:
        self._kube.__enter__()
        control = self._kube.control
        token = control.add_token(None, user=_TRIGGERER)
        folder = Path(self._folder.name)
        config = self._kube.write_kubeconfig(folder / "triggerer.yaml", namespace=NAMESPACE, token=token)
        place = {"url": self._kube.url, "token": self._kube.token, "config": str(config)}
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
        calls = [
            (one.time + offset, one.operation, 1, 0, str(one.status) if (one.status or 0) >= 400 else "", 0.0)
            for one in self._kube.control.requests()
            if one.user == _TRIGGERER
        ]
        return {"calls": calls, "rounds": []}

    def server(self) -> dict[str, Any]:
        """CPU seconds of the server, and the most connections of each kind at once."""
        counts = self._kube.control.counts()
        return {"cpu": counts.cpu, "most_open": counts.most_open}


def _truth(played: Mapping[str, Any]) -> dict[str, Any]:
    ((mark, one),) = played["containers"].items()
    return {
        "arn": played["uid"],
        "mark": mark,
        "lines": {mark: [(number, stamp) for number, stamp in enumerate(one["lines"])]},
        "exit_codes": [one["exit_code"]],
        "deleted": played["deleted"],
        "first_described": 0.0,
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
        from asyncrun.spec.pod.labels import our_labels

        name = f"r{number:05d}"
        script = {
            "start": spec.startup,
            "run": lifetime,
            "lines": int(lifetime * spec.lines_per_second),
            "interval": 1 / spec.lines_per_second,
            "size": spec.line_bytes,
            "exit_code": spec.exit_code(0),
        }
        body = {
            "metadata": {
                "name": f"bench-{number}",
                "labels": our_labels("", f"{number:024x}"),
                "annotations": {_SCRIPT: json.dumps(script)},
            },
            "spec": {"restartPolicy": "Never", "containers": [{"name": name, "image": "busybox"}]},
        }
        answer = self._client.post("pods", json=body).raise_for_status().json()
        return {"arn": answer["metadata"]["uid"], "name": f"bench-{number}", "container": name, "config": self.config}

    def delete(self, number: int) -> None:
        """That run's pod."""
        self._client.delete(f"pods/bench-{number}").raise_for_status()


def created(
    address: str, groups: list[tuple[int, TaskSpec]], stagger: float, *, end_together: bool, wait: Callable[[], None]
) -> Iterator[dict[str, Any]]:
    """
    Pods, one after the other.

    :param stagger: seconds over which they are created evenly.
    :param end_together: those that were created earlier run for that much longer.
    :param wait: called while it is too early for the next one.
    """
    specs = [spec for count, spec in groups for _ in range(count)]
    began = time.time()
    with Hands(address) as hands:
        for number, spec in enumerate(specs, start=1):
            due = stagger * (number - 1) / len(specs)
            while time.time() < began + due:
                wait()
            if number % _BETWEEN_TURNS == 0:
                wait()
            longer = max(0.0, stagger - (time.time() - began)) if end_together else 0.0
            yield hands.create(number, spec, spec.lifetime + longer)


def warming(address: str, number: int) -> dict[str, Any]:
    """A pod that is over in a moment."""
    with Hands(address) as hands:
        return hands.create(number, TaskSpec(startup=0.5), 1.0)


def ours(pod: Mapping[str, Any], fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Our trigger of that pod, as the operator makes it: class path and arguments."""
    from asyncrun.model.pod_watch import PodWatch
    from asyncrun.model.refs import KubeTarget, PodRef
    from asyncrun.spec.pod.labels import selector

    now = time.time()
    watch = PodWatch(
        ref=PodRef(namespace=NAMESPACE, name=pod["name"], uid=pod["arn"], selector=selector("")),
        target=KubeTarget(conn_id=None, config_file=pod["config"]),
        deferred_at=now,
        launched_at=now,
        base=pod["container"],
        logs=(pod["container"],),
        end_in_triggerer=True,
        **fields,
    )
    return "asyncrun.triggers.pod.PodTrigger", {"watch": watch.to_dict()}


def upstream(pod: Mapping[str, Any], logging_interval: int | None) -> tuple[str, dict[str, Any]]:
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
        "logging_interval": logging_interval,
    }
