"""The same embedded AWS as for our triggers, and the small worker of the operators' tests."""

from __future__ import annotations

from tests.operators.conftest import worker
from tests.triggers.conftest import lab, settings, shared_lab

__all__ = ["lab", "settings", "shared_lab", "worker"]
