"""kubectl, as a user would call it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from asyncrun.local.kube import EmbeddedKube

_PATH = shutil.which("kubectl")
IS_INSTALLED = _PATH is not None
WRITES = "for n in 1 2 3; do echo line $n; sleep 0.2; done; sleep 60"


@dataclass(frozen=True)
class Kubectl:
    """
    kubectl with a namespace of its own.

    :param home: for its caches.
    :param token: empty: the administrator's.
    """

    kube: EmbeddedKube
    home: Path
    token: str = field(default="", repr=False)
    namespace: str = field(default_factory=lambda: f"by-kubectl-{uuid4().hex[:8]}")

    def __enter__(self) -> Kubectl:
        self("create", "namespace", self.namespace)
        return self

    def __exit__(self, *_: object) -> None:
        self("delete", "namespace", self.namespace)

    def with_token(self, token: str) -> Kubectl:
        """The same for somebody else."""
        return replace(self, token=token)

    def _environment(self) -> dict[str, str]:
        config = self.home / f"config-{uuid4().hex}"
        self.kube.write_kubeconfig(config, namespace=self.namespace, token=self.token)
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(config)}

    def result(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        """Exit code and both outputs."""
        assert _PATH is not None
        done = subprocess.run(
            [_PATH, *arguments], input=stdin, env=self._environment(), capture_output=True, text=True, timeout=60,
            cwd=self.home, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What it prints when all went well."""
        code, out, errors = self.result(*arguments, stdin=stdin)
        assert code == 0, (arguments, out, errors)
        return out

    def says(self, *arguments: str) -> str:
        """What it prints when all went well, whatever else it says included."""
        code, out, errors = self.result(*arguments)
        assert code == 0, (arguments, out, errors)
        return (errors + out).strip()

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """Why it fails."""
        code, out, errors = self.result(*arguments, stdin=stdin)
        assert code != 0, (arguments, out, errors)
        return errors.strip()

    @contextmanager
    def started(self, *arguments: str) -> Iterator[Iterator[str]]:
        """Its lines while it runs; it is ended afterwards."""
        assert _PATH is not None
        process = subprocess.Popen(
            [_PATH, *arguments], env=self._environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, cwd=self.home,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            with process.stdout:
                yield iter(process.stdout)
        finally:
            process.kill()
            process.wait()

    def create(self, manifest: str) -> str:
        """``create -f``."""
        return self("create", "-f", "-", stdin=manifest)

    def phase(self, name: str) -> str:
        """Of a pod."""
        return self("get", "pod", name, "-o", "jsonpath={.status.phase}")

    def until(self, good: Callable[[], Any], seconds: float = 60) -> None:
        """Until it is so."""
        give_up_at = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < give_up_at, "it did not come so far\n" + self("describe", "pods")
            time.sleep(0.05)

    def until_ready(self, name: str) -> None:
        """Until that pod runs."""
        self("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def container(name: str, script: str, **more: Any) -> dict[str, Any]:
    """One that runs a shell."""
    return {"name": name, "image": "busybox:1.36", "command": ["sh", "-c", script], **more}


def pod(name: str, script: str, *, labels: dict[str, str] | None = None, **spec: Any) -> str:
    """The manifest of a pod with one container, ``main``, unless ``spec`` has others."""
    whole = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "containers": [container("main", script)],
        **spec,
    }
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole})


def columns(table: str) -> list[list[str]]:
    """The cells of what kubectl prints; ages are ``AGE``."""
    rows = [re.split(r" {2,}", line.rstrip()) for line in table.splitlines()]
    return [[re.sub(r"^\d+[smh]$", "AGE", cell) for cell in row] for row in rows]
