"""A session of these tests leaves nothing in the cluster, however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster
from tests.support.lab import until

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]

SESSION = """
import os, signal
from pathlib import Path

def test_one(cluster):
    Path(__file__).with_name("namespace").write_text(cluster.namespace)
    cluster.api.create_namespaced_pod(cluster.namespace, cluster.manifest("left", "sleep 600", labels={}))
    cluster.running()
    END

def test_another(cluster):
    assert cluster.pods() == []
"""

# A shell's background jobs, and so all that they start, ignore SIGINT.
CTRL_C = "signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT)"
ENDS = {
    "passes": ("cluster.api.delete_namespaced_pod('left', cluster.namespace)", 0, "2 passed"),
    "fails": ("raise RuntimeError('a test failed')", 1, "1 failed, 1 passed"),
    "is interrupted": (CTRL_C, 2, "KeyboardInterrupt"),
}


def is_there(cluster: Cluster, namespace: str) -> bool:
    from kubernetes.client import ApiException

    try:
        cluster.api.read_namespace(namespace)
    except ApiException as error:
        if error.status != 404:
            raise
        return False
    return True


@pytest.mark.parametrize("end", ENDS)
def test_the_namespace_is_gone_after_a_session_that(shared_cluster: Cluster, tmp_path: Path, end: str) -> None:
    statement, code, words = ENDS[end]
    (tmp_path / "test_session.py").write_text(SESSION.replace("END", statement))
    session = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "tests.cluster.conftest", "-p", "no:randomly",
         "-c", str(ROOT / "pyproject.toml"), "--kubeconfig", str(shared_cluster.config),
         "--image", shared_cluster.image, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert session.returncode == code, session.stdout + session.stderr
    assert words in session.stdout
    name = (tmp_path / "namespace").read_text()
    assert name != shared_cluster.namespace

    # A real cluster first ends what runs in it.
    until(lambda: is_there(shared_cluster, name), lambda there: not there, timeout=shared_cluster.seconds(10))
    assert is_there(shared_cluster, shared_cluster.namespace)
    assert shared_cluster.api.list_namespaced_pod(name).items == []
