"""Arguments that cannot work: refused where the DAG is parsed, or where a mapped task is made of them."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG

from asyncrun.model.errors import InvalidArgument
from asyncrun.operators.pod import KubernetesPodOperator
from asyncrun.spec.pod.former import FORMER_ARGUMENTS
from tests.operators.pod_support import operator
from tests.support.kube_lab import KubeLab


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"on_finish_action": "delete"}, "on_finish_action='delete' cannot work"),
        ({"on_kill_action": "stop"}, "on_kill_action='stop' cannot work"),
        ({"is_delete_operator_pod": True}, "on_finish_action"),
        ({"callbacks": [object()]}, "a subclass of upstream's KubernetesPodOperatorCallback"),
        ({"container_logs": ["base", "bsae"]}, "did you mean 'base'"),
        ({"log_formatter": "x"}, "a function"),
    ],
)
def test_what_cannot_work_is_refused_where_the_dag_is_parsed(
    kube: KubeLab, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidArgument, match=text):
        operator(kube, **arguments)


@pytest.mark.parametrize("name", sorted(FORMER_ARGUMENTS))
def test_an_argument_of_older_releases_is_refused_with_its_new_name(kube: KubeLab, name: str) -> None:
    """Also ``resources``, which Airflow's own operators have, and which would do nothing here."""
    with pytest.raises(InvalidArgument) as refused:
        operator(kube, **{name: "given"})
    assert name in str(refused.value)
    assert FORMER_ARGUMENTS[name][0] in str(refused.value)


@pytest.mark.parametrize("value", [{"request_memory": "1Gi"}, {"limits": {"memory": "1Gi"}}, {"cpus": 1}, "{{ x }}"])
def test_airflows_own_resources_are_refused_when_a_mapped_task_is_made_of_them(value: Any) -> None:
    """``partial`` takes them as Airflow's, without asking the operator."""
    with DAG("mapped"):
        constant = KubernetesPodOperator.partial(task_id="constant", image="x", resources=value).expand(cmds=[["a"]])
        mapped = KubernetesPodOperator.partial(task_id="mapped", image="x").expand(resources=[value])
    for made, arguments in ((constant, {"cmds": ["a"]}), (mapped, {"resources": value})):
        with pytest.raises(InvalidArgument) as refused:
            made.unmap(arguments)
        text = str(refused.value)
        assert text.startswith("resources=<")
        assert "cannot work: expected 'container_resources' in its place: container_resources takes a" in text
