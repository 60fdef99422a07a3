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


def test_part_of_a_dag_keeps_the_arguments() -> None:
    """Airflow copies tasks deeply, for `airflow dags test --task-regex` and for the UI's filters."""
    part = whole_dag().partial_subset(["run", "task", "mapped"], include_upstream=False)
    run, sensor = part.get_task("run"), part.get_task("task")
    assert (run.cluster, run.skip_on_exit_code, run.target.conn_id) == ("c", range(3, 5), "aws_default")
    assert sensor.failure_states == {EcsTaskStates.NONE}


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


TEMPLATED = {
    EcsCreateClusterOperator: {"cluster_name": "c", "create_cluster_kwargs": {"tags": []}},
    EcsDeleteClusterOperator: {"cluster_name": "c"},
    EcsRegisterTaskDefinitionOperator: {
        "family": "f", "container_definitions": [{"name": "main"}], "register_task_kwargs": {},
    },
    EcsDeregisterTaskDefinitionOperator: {"task_definition": "f:1"},
    EcsRunTaskOperator: {
        "task_definition": "f", "cluster": "c", "overrides": {}, "launch_type": "FARGATE",
        "capacity_provider_strategy": [{"capacityProvider": "p", "weight": 1}], "volume_configurations": [],
        "group": "g", "placement_constraints": [], "placement_strategy": [], "platform_version": "LATEST",
        "network_configuration": {"awsvpcConfiguration": {"subnets": ["s"]}}, "tags": {"a": "b"},
        "awslogs_group": "g", "awslogs_region": "r", "awslogs_stream_prefix": "p",
        "awslogs_fetch_interval": timedelta(seconds=5), "container_name": "main", "propagate_tags": "NONE",
        "reattach": True, "number_logs_exception": 3,
    },
    EcsClusterStateSensor: {"cluster_name": "c", "target_state": "ACTIVE", "failure_states": ["FAILED"]},
    EcsTaskDefinitionStateSensor: {"task_definition": "f", "target_state": "INACTIVE"},
    EcsTaskStateSensor: {"cluster": "c", "task": "t", "target_state": "STOPPED", "failure_states": ["NONE"]},
}  # fmt: skip
WAITING = {"wait_for_completion": False, "deferrable": False}
GENERIC = {"aws_conn_id": "mine", "region_name": "eu-west-1", "verify": False}


@pytest.mark.parametrize("kind", TEMPLATED, ids=lambda kind: kind.__name__)
def test_every_template_field_takes_a_template(kind: Any) -> None:
    """Numbers and yes or no too; what it renders to is checked then."""
    values = {**TEMPLATED[kind], **WAITING, **GENERIC}
    named = [name for name in kind.template_fields if name in values]
    assert set(TEMPLATED[kind]) <= set(named)
    not_arguments = {"failure_states"} if kind is EcsTaskDefinitionStateSensor else set()
    assert set(kind.template_fields) - set(named) == not_arguments
    with DAG("templates", render_template_as_native_obj=True):
        operator = kind(task_id="t", **{name: f"{{{{ values.{name} }}}}" for name in named})
    operator.render_template_fields({"values": values})
    assert {name: getattr(operator, name) for name in named} == {name: values[name] for name in named}
    operator._check()


def test_text_that_a_template_rendered_to_is_read_as_what_is_meant(worker: Any) -> None:
    operator = run_task(reattach="{{ no }}", deferrable="{{ yes }}", number_logs_exception="{{ 1 + 1 }}")
    operator.render_template_fields({"no": False, "yes": True})
    operator._check()
    assert (operator.reattach, operator.deferrable, operator.number_logs_exception) == ("False", "True", "2")
    for name in ("reattach", "wait_for_completion", "deferrable"):
        with pytest.raises(InvalidArgument, match=f"{name}='perhaps' cannot work: expected True or False"):
            run_task(**{name: "perhaps"})
    with pytest.raises(InvalidArgument, match=r"number_logs_exception='2\.5' cannot work: expected a whole number"):
        run_task(number_logs_exception="2.5")


def test_a_structure_that_a_template_made_text_of_is_refused_with_the_way_out(worker: Any) -> None:
    from asyncrun.operators import errors

    operator = run_task(tags="{{ tags }}")
    with pytest.raises(errors.InvalidArgument) as caught:
        worker.execute(operator, worker.context(operator, tags={"a": "b"}))
    assert str(caught.value) == (
        "tags=<str> cannot work: expected a dict of strings to strings; a template renders to text, unless the DAG has "
        "render_template_as_native_obj=True (or pass the output of a task as it is)"
    )


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
    for make in (
        lambda: EcsRunTaskOperator(task_id="r", task_definition="f", cluster="c", overrides={}, region="eu-west-1"),
        lambda: EcsClusterStateSensor(task_id="s", cluster_name="c", region="eu-west-1"),
    ):
        with pytest.warns(DeprecationWarning, match="'region' is deprecated: use 'region_name'") as said:
            made = make()
        assert made.target.region_name == "eu-west-1"
        assert [one.filename for one in said] == [__file__]  # where the user can change it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with pytest.raises(InvalidArgument, match="region='a' cannot work: expected nothing, or the same as"):
            run_task(region="a", region_name="b")


def test_a_subclass_or_hook_may_complete_the_arguments_before_execute() -> None:
    class Late(EcsRunTaskOperator):
        def execute(self, context: Any) -> Any:
            self.cluster = "c"
            return super().execute(context)

    assert Late(task_id="late", task_definition="f", cluster="", overrides={}).cluster == ""
    hooked = EcsRunTaskOperator(task_id="h", task_definition="f", cluster="", overrides={}, pre_execute=print)
    assert hooked.cluster == ""
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
