"""Every way in which a pod's task can end, each a task of one DAG run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: TID253 - as in users' DAG files
from airflow.sdk import DAG, Asset

from asyncrun.operators.pod import KubernetesPodOperator

FAILS = "echo reading orders of try $TRY; echo 2 of 3 done; echo disk is full; exit 3"
WRITES = """echo first; echo '{"rows": 1204, "table": "orders"}' > /airflow/xcom/return.json; echo the last"""


def tell(context: Any) -> None:
    """A callback that says what it got."""
    error = context.get("exception")
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    exit_code = getattr(getattr(error, "outcome", None), "exit_code", None)
    print(f"callback of {context['ti'].task_id}: {kind if error else 'no error'}, exit code {exit_code}")


def pod(task_id: str, program: str, **more: Any) -> KubernetesPodOperator:
    return KubernetesPodOperator(
        task_id=task_id,
        image="busybox:1.36",
        cmds=["sh", "-c", program],
        env_vars={"TRY": "{{ ti.try_number }}"},
        **more,
    )


with DAG("e2e_pod_ends", schedule=None):
    pod("plain", "echo first; echo the last", do_xcom_push=False)
    pod("value", WRITES, do_xcom_push=True)
    pod("callback", WRITES, do_xcom_push=True, on_success_callback=tell)
    pod("outlet", WRITES, do_xcom_push=True, outlets=[Asset("e2e://pod")])
    pod("outputs", WRITES, do_xcom_push=True, multiple_outputs=True)
    pod(
        "fails",
        FAILS,
        retries=1,
        retry_delay=timedelta(seconds=1),
        on_retry_callback=tell,
        on_failure_callback=tell,
    )
    pod("recovers", 'echo "this is try $TRY"; test "$TRY" = 2', retries=1, retry_delay=timedelta(seconds=1))
    (
        pod("look", "echo nothing to do; exit 7", skip_on_exit_code=[7])
        >> EmptyOperator(task_id="needs_it")
        >> EmptyOperator(task_id="anyway", trigger_rule="none_failed")
    )
    # Long enough for the launch: in a worker Airflow enforces it itself.
    pod("slow", "echo begins; sleep 600", execution_timeout=timedelta(seconds=15), on_failure_callback=tell)
    pod("kept", "echo kept", on_finish_action="keep_pod")
