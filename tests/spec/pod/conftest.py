"""Upstream's operator is imported here, to compare with."""

from __future__ import annotations

import os
import tempfile

# Importing Airflow reads, and would write, a configuration: never the developer's own.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="asyncrun-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
