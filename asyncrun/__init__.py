"""asyncrun: Airflow operators that run containers on AWS ECS without holding a worker slot."""

from __future__ import annotations

__version__ = "0.1.0"
