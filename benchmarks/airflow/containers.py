"""The played containers, from the harness's side: start their server, let them write and end, ask what really was."""

from __future__ import annotations

import json
import re
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions
from asyncrun.local.server_process import ServerProcess
from benchmarks.airflow.plan import NAMESPACE
from benchmarks.airflow.pod_server import label_of

_START_TIMEOUT = 60.0  # s


class Container(msgspec.Struct, frozen=True):
    """
    What really was. Times are seconds since the epoch.

    :param running: it has started.
    :param ended: None: not yet.
    :param readable: per line, from when it could be read.
    """

    label: str
    running: bool
    ended: float | None
    readable: list[float]


class Containers(AbstractContextManager["Containers"], Protocol):
    """
    One backend's.

    :ivar line: finds the numbers of the container's lines in a record of the task's log.
    """

    line: re.Pattern[str]

    @property
    def pid(self) -> int:
        """Of the server."""

    def environment(self) -> dict[str, str]:
        """What Airflow needs to reach it."""

    def release(self, since: float, begin: float, ends: Mapping[str, float], rate: float) -> None:
        """
        Let containers write from `begin` on, `rate` lines per second, and end.

        :param since: only what was launched later.
        :param ends: by label.
        """

    def told(self, since: float) -> dict[str, Container]:
        """By label, what was launched since then."""


class EcsTasks:
    """ECS and CloudWatch, see ``ecs_server``."""

    line = re.compile(r"\b[0-9a-f]{12}:main:(\d{6}) ")

    def __init__(self) -> None:
        self._server = ServerProcess("benchmarks.airflow.ecs_server", "ECS", _START_TIMEOUT)
        self._url = ""

    def __enter__(self) -> Self:
        self._url = self._server.start({})["url"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._server.pid is not None
        return self._server.pid

    def environment(self) -> dict[str, str]:
        """A connection ``aws_default``, and what makes every SDK talk to the stand-in only."""
        extra = {"region_name": "us-east-1", "endpoint_url": self._url}
        connection = {"conn_type": "aws", "login": "bench", "password": "bench", "extra": extra}
        return {
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "AWS_ENDPOINT_URL": self._url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        }

    def release(self, since: float, begin: float, ends: Mapping[str, float], rate: float) -> None:  # noqa: ARG002
        """See ``Containers``; their specs know the rate."""
        self._ask("release", {"since": since, "begin": begin, "ends": dict(ends)})

    def told(self, since: float) -> dict[str, Container]:
        """See ``Containers``."""
        told = msgspec.convert(self._ask("tasks", {"since": since}), list[Container])
        return {one.label: one for one in told}

    def _ask(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self._url}/control/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())


class _Kube(EmbeddedKube):
    """Its pods are held."""

    def __init__(self) -> None:
        super().__init__(EmbeddedKubeOptions(node="scripted", namespaces=("default", NAMESPACE)))
        self._server = ServerProcess("benchmarks.airflow.pod_server", "Kubernetes", _START_TIMEOUT)


class Pods:
    """Kubernetes, see ``pod_server``."""

    line = re.compile(r"\bbase (\d+)\.")

    def __init__(self) -> None:
        self._kube = _Kube()
        self._folder = tempfile.TemporaryDirectory(prefix="bench-airflow-")

    def __enter__(self) -> Self:
        self._kube.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._kube.stop()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._kube.pid is not None
        return self._kube.pid

    def environment(self) -> dict[str, str]:
        """A connection ``kubernetes_default``."""
        config = self._kube.write_kubeconfig(Path(self._folder.name) / "kubeconfig", namespace=NAMESPACE)
        extra = {"kube_config_path": str(config), "namespace": NAMESPACE}
        return {"AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra})}

    def release(self, since: float, begin: float, ends: Mapping[str, float], rate: float) -> None:  # noqa: ARG002
        """See ``Containers``; what was released before is over."""
        self._kube.control.node_fault("release", begin=begin, ends=dict(ends), rate=rate)

    def told(self, since: float) -> dict[str, Container]:
        """See ``Containers``."""
        played = self._kube.control.node_fault("truth")["pods"]
        return {one.label: one for pod in played if (one := _told(pod, since)) is not None}


def _told(pod: Mapping[str, Any], since: float) -> Container | None:
    base = pod["containers"].get("base")
    if base is None or (base["ended"] or since) < since:
        return None
    return Container(label_of(pod["name"]), running=True, ended=base["ended"], readable=base["lines"])
