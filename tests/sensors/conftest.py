"""The same embedded AWS and worker as for operators."""

from __future__ import annotations

from tests.operators.conftest import aws, aws_server, worker

__all__ = ["aws", "aws_server", "worker"]
