"""Sensors for what changes only after they have begun to wait."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from asyncrun.sensors.ecs import EcsClusterStateSensor, EcsTaskDefinitionStateSensor, EcsTaskStateSensor

PARAMS = {name: Param("", type="string") for name in ("cluster", "definition", "task", "other_task")}

with DAG("e2e_sensors", schedule=None, params=PARAMS):
    EcsClusterStateSensor(
        task_id="cluster_is_gone",
        cluster_name="{{ params.cluster }}",
        target_state="INACTIVE",
        failure_states={"FAILED"},
    )
    EcsTaskDefinitionStateSensor(
        task_id="definition_is_inactive", task_definition="{{ params.definition }}", target_state="INACTIVE"
    )
    EcsTaskStateSensor(
        task_id="task_is_stopped",
        cluster="default",
        task="{{ params.task }}",
        target_state="STOPPED",
        failure_states={"NONE"},
    )
    EcsTaskStateSensor(
        task_id="task_never_provisions_again", cluster="default", task="{{ params.other_task }}", target_state="PENDING"
    )
