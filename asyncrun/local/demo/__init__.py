"""`asyncrun demo`: the example DAGs in a real Airflow against an embedded AWS, with their logs live."""

from __future__ import annotations

from asyncrun.local.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
