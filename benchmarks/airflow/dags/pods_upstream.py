"""Pods by upstream's operator."""

from __future__ import annotations

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253 - as users write it

from benchmarks.airflow.deferred import pod_dags

globals().update(pod_dags("upstream", KubernetesPodOperator))
