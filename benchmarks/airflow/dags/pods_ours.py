"""Pods by our operator."""

from __future__ import annotations

from asyncrun.operators.pod import KubernetesPodOperator
from benchmarks.airflow.deferred import pod_dags

globals().update(pod_dags("ours", KubernetesPodOperator))
