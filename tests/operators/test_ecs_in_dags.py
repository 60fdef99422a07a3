"""Our classes in DAG files: mapping, templates, subclasses, serialization."""

from __future__ import annotations

import json
import warnings
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, task

from asyncrun.model.errors import InvalidArgument
from asyncrun.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
    EcsRunTaskOperator,
)
from asyncrun.sensors.ecs import (
    EcsClusterStateSensor,
    EcsTaskDefinitionStateSensor,
    EcsTaskStates,
    EcsTaskStateSensor,
)
from tests.operators.support import run_task


def whole_dag() -> DAG:
    with DAG("whole") as dag:
        EcsCreateClusterOperator(task_id="create", cluster_name="c")
        EcsDeleteClusterOperator(task_id="delete", cluster_name="{{ params.c }}")
        register = EcsRegisterTaskDefinitionOperator(
            task_id="register", family="f", container_definitions=[{"name": "main"}]
        )
        EcsDeregisterTaskDefinitionOperator(task_id="deregister", task_definition=register.output)
        EcsRunTaskOperator(
            task_id="run",
            task_definition=register.output,
            cluster="c",
            overrides={},
            tags={"a": "b"},
            execution_timeout=timedelta(minutes=5),
            skip_on_exit_code=range(3, 5),
        )
        EcsRunTaskOperator.partial(task_id="mapped", task_definition="f", cluster="c").expand(
            overrides=[{"containerOverrides": [{"name": "main", "command": ["echo", str(n)]}]} for n in range(3)]
        )
        EcsClusterStateSensor(task_id="cluster", cluster_name="c")
        EcsTaskDefinitionStateSensor(task_id="definition", task_definition="f", target_state="{{ params.state }}")
        EcsTaskStateSensor(
            task_id="task",
            cluster="c",
            task="t",
            target_state=EcsTaskStates.STOPPED,
            failure_states={EcsTaskStates.NONE},
        )
    return dag


def test_serialized_dag_round_trips() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    first = DagSerialization.to_dict(whole_dag())
    again = DagSerialization.from_dict(json.loads(json.dumps(first)))
    assert sorted(again.task_ids) == sorted(whole_dag().task_ids)
    run = again.get_task("run")
    assert run.tags == {"a": "b"}
    assert sorted(link.name for link in run.operator_extra_links) == ["CloudWatch logs", "ECS task"]


def test_serialized_dag_is_the_same_each_time() -> None:
    """A form that changes from parse to parse would make a new DAG version at each: sets have no order."""
    import subprocess
    import sys

    code = (
        "import json; from tests.operators.test_ecs_in_dags import whole_dag;"
        "from airflow.serialization.serialized_objects import DagSerialization;"
        "d = DagSerialization.to_dict(whole_dag()); d['dag'].pop('fileloc', None);"
        "print(json.dumps(d, sort_keys=True, default=str))"
    )
    forms = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(forms) == 1


def test_mapped_arguments_are_checked_when_a_task_is_made_of_them() -> None:
    with DAG("mapped"):
        mapped = EcsRunTaskOperator.partial(task_id="mapped", task_definition="f", overrides={}).expand(
            cluster=["a", "b"]
        )
    made = mapped.unmap({"cluster": "a"})
    assert isinstance(made, EcsRunTaskOperator)
    assert made.cluster == "a"
    with pytest.raises(InvalidArgument, match="cluster=5 cannot work"):
        mapped.unmap({"cluster": 5})


def test_output_of_another_task_is_accepted_for_any_argument() -> None:
    @task
    def anything() -> Any:
        return None

    with DAG("outputs"):
        value = anything()
        operator = run_task(
            task_id="all",
            task_definition=value,
            cluster=value,
            overrides={"containerOverrides": [{"name": value, "command": value, "environment": value}]},
            launch_type=value,
            network_configuration=value,
            tags=value,
            propagate_tags=value,
            number_logs_exception=value,
            deferrable=value,
        )
    assert operator.upstream_task_ids == {"anything"}


def test_rendered_values_are_checked_before_anything_is_launched(worker: Any) -> None:
    from asyncrun.operators import errors

    operator = run_task(launch_type="{{ kind }}")
    with pytest.raises(errors.InvalidArgument, match="launch_type='SPOT' cannot work: expected one of EC2, FARGATE"):
        worker.execute(operator, worker.context(operator, kind="SPOT"))


def test_default_args_reach_the_generic_arguments() -> None:
    with DAG("defaults", default_args={"region_name": "eu-west-1", "aws_conn_id": "mine", "waiter_delay": 2}):
        operator = run_task(aws_conn_id="mine")
        sensor = EcsClusterStateSensor(task_id="s", cluster_name="c")
    assert (operator.target.region_name, operator.target.conn_id) == ("eu-west-1", "mine")
    assert operator.waiter_delay == 2
    assert (sensor.target.region_name, sensor.target.conn_id) == ("eu-west-1", "mine")


def test_old_name_of_the_region_is_honoured_and_said_to_be_old() -> None:
    with pytest.warns(DeprecationWarning, match="'region' is deprecated: use 'region_name'"):
        assert run_task(region="eu-west-1").target.region_name == "eu-west-1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(InvalidArgument, match="region='a' cannot work: expected nothing, or the same as"):
            run_task(region="a", region_name="b")


def test_a_subclass_may_complete_its_arguments_in_execute() -> None:
    class Late(EcsRunTaskOperator):
        def execute(self, context: Any) -> Any:
            self.cluster = "c"
            return super().execute(context)

    assert Late(task_id="late", task_definition="f", cluster="", overrides={}).cluster == ""
    with pytest.raises(InvalidArgument, match="cluster='' cannot work"):
        EcsRunTaskOperator(task_id="late", task_definition="f", cluster="", overrides={})


def test_a_subclass_may_add_arguments_and_template_fields() -> None:
    class Mine(EcsRunTaskOperator):
        template_fields = (*EcsRunTaskOperator.template_fields, "note")

        def __init__(self, *, note: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.note = note

    operator = run_task(kind=Mine, note="{{ x }}")
    operator.render_template_fields({"x": "rendered"})
    assert operator.note == "rendered"
