"""What is ours in the pod, and what building it must not do."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.pod import read_pod
from asyncrun.model.pod_xcom import SIDECAR_NAME
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.build import Sidecar, build_manifest
from asyncrun.spec.pod.labels import launch_id
from asyncrun.spec.pod.secret import Secret
from tests.spec.pod.cases import CASES


def build(sidecar: Sidecar | None = None, launch: str = launch_id("ti"), **arguments: Any) -> dict[str, Any]:
    return build_manifest(
        PodArguments(image="x", **arguments),
        task_id="t",
        launch=launch,
        labels={"dag_id": "d"},
        namespace="default",
        sidecar=sidecar,
    )


@pytest.mark.parametrize("case", CASES)
def test_pod_is_plain_json_and_the_arguments_are_not_changed(case: str) -> None:
    arguments = PodArguments(**CASES[case])
    before = copy.deepcopy({name: value for name, value in vars(arguments).items() if name != "secrets"})
    bodies = [build_manifest(arguments, task_id="t", launch="12", labels={"a": "b"}, namespace="n") for _ in range(2)]
    assert bodies[0] == bodies[1]  # a repeated launch is the same request
    assert json.loads(msgspec.json.encode(bodies[0])) == json.loads(json.dumps(bodies[0])) == bodies[0]
    assert {name: value for name, value in vars(arguments).items() if name != "secrets"} == before


def test_pod_reads_back_as_our_model() -> None:
    body = {**build(), "metadata": {**build()["metadata"], "uid": "u"}}
    assert read_pod(msgspec.json.encode(body)).containers() == ("base",)


def test_another_launch_has_another_name() -> None:
    assert build(launch=launch_id("ti", 0)) != build(launch=launch_id("ti", 1))
    assert build(launch=launch_id("ti", 0), random_name_suffix=False) == build(
        launch=launch_id("ti", 1), random_name_suffix=False
    )


def test_labels_of_ours_overrule_the_users() -> None:
    assert build(labels={"dag_id": "mine", "other": "x"})["metadata"]["labels"] == {"dag_id": "d", "other": "x"}


def test_namespace_of_the_caller_is_the_last_resort() -> None:
    assert build()["metadata"]["namespace"] == "default"
    assert build(namespace="mine")["metadata"]["namespace"] == "mine"
    assert build(full_pod_spec={"metadata": {"namespace": "full"}})["metadata"]["namespace"] == "full"


def test_flags_that_came_from_a_template_are_understood() -> None:
    assert build(random_name_suffix="False")["metadata"]["name"] == "t"
    assert "initContainers" in build(do_xcom_push="True")["spec"]
    with pytest.raises(InvalidArgument, match="do_xcom_push='perhaps' cannot work"):
        build(do_xcom_push="perhaps")


def _sidecar(body: dict[str, Any]) -> dict[str, Any]:
    [sidecar] = [one for one in body["spec"]["initContainers"] if one["name"] == SIDECAR_NAME]
    assert isinstance(sidecar, dict)
    return sidecar


def test_sidecar_is_made_from_the_connection_and_the_argument() -> None:
    connection = Sidecar(
        image="mine:1", resources={"limits": {"cpu": "1"}}, security_context={"run_as_user": 1, "privileged": None}
    )
    sidecar = _sidecar(build(connection, do_xcom_push=True))
    assert (sidecar["image"], sidecar["resources"]) == ("mine:1", {"limits": {"cpu": "1"}})
    assert sidecar["securityContext"] == {"runAsUser": 1}
    own = _sidecar(build(connection, do_xcom_push=True, xcom_sidecar_container_security_context={"runAsUser": 2}))
    assert own["securityContext"] == {"runAsUser": 2}
    assert "securityContext" not in _sidecar(build(do_xcom_push=True))


def test_no_sidecar_where_nobody_wants_a_result() -> None:
    assert build()["spec"]["initContainers"] == []


def test_bad_value_of_the_connection_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"the connection's XCom sidecar resources='limit' cannot work"):
        build(Sidecar(resources={"limit": {}}), do_xcom_push=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"volumes": "{{ x }}"},
        {"volumes": ["{{ x }}"]},
        {"init_containers": ["{{ x }}"]},
        {"labels": "{{ x }}"},
        {"env_vars": "{{ x }}"},
        {"active_deadline_seconds": "{{ x }}"},
        {"pod_template_dict": "{{ x }}"},
        {"pod_template_dict": {"spec": "{{ x }}"}},
        {"full_pod_spec": {"spec": {"containers": ["{{ x }}"]}}},
    ],
)
def test_template_that_was_not_rendered_is_not_sent(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        build(**arguments)
    assert refused.value.argument in arguments


def test_object_with_its_own_way_is_attached_by_the_callers_function() -> None:
    class Mine:
        def attach_to_pod(self, pod: Any) -> Any: ...

    def attach(one: object, pod: dict[str, Any]) -> dict[str, Any]:
        assert isinstance(one, Mine)
        return {**pod, "spec": {**pod["spec"], "hostPID": True}}

    body = build_manifest(
        PodArguments(image="x", secrets=[Mine(), Secret("env", None, "s")]),
        task_id="t",
        launch="1",
        labels={},
        namespace="n",
        attach=attach,
    )
    assert body["spec"]["hostPID"] is True
    assert body["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "s"}}]


def test_importing_is_light() -> None:
    """A DAG file imports all of this."""
    script = (
        "import sys; before = set(sys.modules); import msgspec.json\n"
        "import asyncrun.spec.pod.checks, asyncrun.spec.pod.handling, asyncrun.spec.pod.render, "
        "asyncrun.spec.pod.former, asyncrun.spec.pod.labels\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    heavy = {"airflow", "kubernetes", "kubernetes_asyncio", "yaml", "jinja2", "aiohttp", "asyncio", "anyio", "boto3"}
    assert heavy & set(done.stdout.split()) == set()
