"""A store and an embedded node of which nothing may be left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncrun.local.kube.node import LocalNode
from asyncrun.local.kube.store import Store
from tests.local.kube.node_pods.pod_lab import OPTIONS, Lab, left_in


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(Store(), LocalNode(tmp_path, OPTIONS), tmp_path)
    await lab.node.start(lab.store)
    yield lab
    await lab.node.stop()
    assert not left_in(tmp_path)
