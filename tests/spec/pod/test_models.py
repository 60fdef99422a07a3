"""Whatever upstream's operator takes for a part of a pod becomes plain JSON under the API's names."""

from __future__ import annotations

import datetime
import enum
import inspect
import re
import textwrap
from typing import Any, ClassVar

import kubernetes_asyncio.client as asyncio_client  # noqa: TID253 - no DAG file
import pytest
from kubernetes.client import ApiClient, Configuration  # noqa: TID253
from kubernetes.client import models as k8s  # noqa: TID253

from asyncrun.model import pod_fields as fields
from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.models import Part, plain, python_name, settled
from tests.spec.pod.cases import CASES, FULL


def sanitized(value: Any) -> Any:
    return ApiClient(Configuration()).sanitize_for_serialization(value)


@pytest.mark.parametrize("case", [case for case in CASES if {*CASES[case]} - {"secrets"}])
def test_models_become_what_the_client_would_send(case: str) -> None:
    for name, value in CASES[case].items():
        if name != "secrets":
            assert settled(plain(value)) == sanitized(value)


def test_models_of_the_asynchronous_client_are_the_same() -> None:
    volume = asyncio_client.V1Volume(
        name="a", projected=asyncio_client.V1ProjectedVolumeSource(sources=[], default_mode=0o400)
    )
    assert plain([volume], "[]Volume") == [{"name": "a", "projected": {"sources": [], "defaultMode": 0o400}}]


def test_pod_of_a_client_has_only_known_fields() -> None:
    assert settled(plain(FULL, "Pod")) == sanitized(FULL)


def test_python_names_in_dicts_become_the_apis_at_any_depth() -> None:
    container = {
        "name": "a",
        "volume_mounts": [{"name": "v", "mount_path": "/v", "subPath": "s"}],
        "liveness_probe": {"_exec": {"command": ["true"]}, "period_seconds": 5},
        "env": [{"name": "IP", "value_from": {"field_ref": {"field_path": "status.podIP"}}}],
        "resources": {"limits": {"my_own/key_name": "1"}},
    }
    assert plain(container, "Container") == {
        "name": "a",
        "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "s"}],
        "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 5},
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "resources": {"limits": {"my_own/key_name": "1"}},
    }


def test_to_dict_of_a_model_is_taken_back() -> None:
    """Upstream drops such a template's fields silently: it knows the API's names only."""
    assert settled(plain(FULL.to_dict(), "Pod")) == sanitized(FULL)


def test_none_is_dropped_and_empty_is_kept() -> None:
    assert plain({"name": None, "env": [], "args": None, "resources": {}}, "Container") == {"env": [], "resources": {}}
    assert plain({"a": None}, "{}s") == {"a": None}  # a key of the user's own


class Colour(enum.Enum):
    RED = "red"


class OldVolume:
    def to_k8s_client_obj(self) -> k8s.V1Volume:
        return k8s.V1Volume(name="old", host_path=k8s.V1HostPathVolumeSource(path="/old"))


class MyVolume(k8s.V1Volume):  # type: ignore[misc]
    """A subclass, which upstream takes too."""


class FromAnotherTask:
    def iter_references(self) -> list[Any]:
        return []

    def resolve(self, context: Any) -> Any:
        return None


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (Colour.RED, "s", "red"),
        (datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "t", "2030-01-02T03:04:05+00:00"),
        (OldVolume(), "Volume", {"name": "old", "hostPath": {"path": "/old"}}),
        (MyVolume(name="mine"), "Volume", {"name": "mine"}),
        (("a", "b"), "[]s", ["a", "b"]),
        ("{{ volumes }}", "[]Volume", "{{ volumes }}"),
        ([{"name": "{{ x }}", "emptyDir": "{{ y }}"}], "[]Volume", [{"name": "{{ x }}", "emptyDir": "{{ y }}"}]),
        ({"port": "http"}, "TCPSocketAction", {"port": "http"}),
        ({"port": 80}, "TCPSocketAction", {"port": 80}),
        ({"cpu": 1, "memory": "1Gi", "gpu": 0.5}, "{}q", {"cpu": 1, "memory": "1Gi", "gpu": 0.5}),
    ],
)
def test_other_values(value: object, kind: str, expected: object) -> None:
    assert plain(value, kind) == expected


def test_output_of_another_task_is_left_alone() -> None:
    output = FromAnotherTask()
    assert plain({"name": output}, "Volume") == {"name": output}
    assert plain(output, "[]Volume") is output


def test_a_field_of_a_newer_client_is_passed_on() -> None:
    class V1Volume(k8s.V1Volume):  # type: ignore[misc]
        attribute_map: ClassVar[dict[str, str]] = {**k8s.V1Volume.attribute_map, "brand_new": "brandNew"}
        openapi_types: ClassVar[dict[str, str]] = {**k8s.V1Volume.openapi_types, "brand_new": "object"}

    volume = V1Volume(name="a")
    volume.brand_new = {"x": 1}
    assert plain(volume, "Volume") == {"name": "a", "brandNew": {"x": 1}}


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        (
            {"volumeMount": []},
            "Container",
            "init_containers='volumeMount' cannot work: expected a field of Container in Kubernetes 1.36; "
            "did you mean 'volumeMounts'?",
        ),
        (
            {"spec": {"containers": [{"env": [{"name": "A", "valeu": "secret"}]}]}},
            "Pod",
            "init_containers.spec.containers[0].env[0]='valeu' cannot work: expected a field of EnvVar in "
            "Kubernetes 1.36; did you mean 'value'?",
        ),
        (
            {"zzz": 1},
            "KeyToPath",
            "init_containers='zzz' cannot work: expected a field of KeyToPath in Kubernetes 1.36 (key, mode, path)",
        ),
        (
            {"mountPath": "/a", "mount_path": "/b"},
            "VolumeMount",
            "init_containers='mount_path' cannot work: expected mountPath once: it is given under both of its names",
        ),
        (
            [{"name": "A", "value": 5}],
            "[]EnvVar",
            "init_containers[0].value=<int> cannot work: expected text",
        ),
        ([{"name": "A", "value": True}], "[]EnvVar", "init_containers[0].value=<bool> cannot work: expected text"),
        (
            {"runAsUser": "1000"},
            "SecurityContext",
            "init_containers.runAsUser=<str> cannot work: expected a whole number",
        ),
        (
            {"runAsUser": 1.0},
            "SecurityContext",
            "init_containers.runAsUser=<float> cannot work: expected a whole number",
        ),
        (
            {"runAsUser": True},
            "SecurityContext",
            "init_containers.runAsUser=<bool> cannot work: expected a whole number",
        ),
        (
            {"privileged": "false"},
            "SecurityContext",
            "init_containers.privileged=<str> cannot work: expected True or False",
        ),
        (
            "volumes",
            "[]Volume",
            "init_containers=<str> cannot work: expected a list, of which each is a Kubernetes Volume: V1Volume of the "
            "Kubernetes client, or a dict of its fields",
        ),
        (
            "[{'name': 'a'}]",
            "[]Volume",
            "init_containers=<str> cannot work: expected a list, of which each is a Kubernetes Volume: V1Volume of the "
            "Kubernetes client, or a dict of its fields; a template renders to text, unless the DAG has "
            "render_template_as_native_obj=True (or pass the output of a task as it is)",
        ),
        (
            k8s.V1VolumeMount(name="a", mount_path="/a"),
            "Volume",
            "init_containers=<V1VolumeMount> cannot work: expected a Kubernetes Volume: V1Volume of the Kubernetes "
            "client, or a dict of its fields",
        ),
        ([k8s.V1Volume(name="a")], "Volume", None),
        ({"a": "b"}, "[]s", None),
        ({"a": "b"}, "s", None),
        (["a"], "s", None),
        (object(), "s", None),
        (object(), "", None),
        (b"bytes", "s", None),
        ({1: "a"}, "{}s", "init_containers=<int> cannot work: expected text as keys"),
        (k8s.V1EnvVar(name="A", value=5), "EnvVar", "init_containers.value=<int> cannot work: expected text"),
        ({"cpu": [1]}, "{}q", None),
        ({"a", "b"}, "[]s", None),
    ],
)
def test_refused(value: object, kind: str, sentence: str | None) -> None:
    with pytest.raises(InvalidArgument) as refused:
        plain(value, kind, where="init_containers")
    if sentence is not None:
        assert str(refused.value) == sentence
    assert "secret" not in str(refused.value)


def test_what_comes_from_a_template_is_converted_as_upstream_does() -> None:
    lenient = plain(
        {
            "metadata": {"labels": {"a": 5, "b": True}, "creationTimestamp": None},
            "spec": {"activeDeadlineSeconds": "5", "containers": [{"env": [{"name": "A", "value": 1.5}]}]},
        },
        "Pod",
        lenient=True,
    )
    assert settled(lenient) == {
        "metadata": {"labels": {"a": "5", "b": "True"}},
        "spec": {"activeDeadlineSeconds": 5, "containers": [{"env": [{"name": "A", "value": "1.5"}]}]},
    }


@pytest.mark.parametrize("body", [{"spec": {"priority": "high"}}, {"spec": {"hostNetwork": "no"}}, {"spec": 5}])
def test_what_cannot_be_converted_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        plain(body, "Pod", lenient=True)


def test_a_model_counts_as_given_even_without_fields() -> None:
    empty = plain(k8s.V1ResourceRequirements())
    assert empty == {}
    assert isinstance(empty, Part)
    assert bool(empty) is True
    assert type(settled([{"a": empty}])[0]["a"]) is dict


def _table_of_the_client() -> str:
    """The table in ``fields``, made from the models of the installed client."""
    kinds: dict[str, list[str]] = {}
    scalars = {"int": "i", "bool": "b", "datetime": "t", "object": "*", "V1PodStatus": "*", "str": "s"}
    quantities = {"limits": "{}q", "requests": "{}q", "overhead": "{}q", "sizeLimit": "q", "divisor": "q"}

    def notation(kind: str) -> str:
        if match := re.fullmatch(r"list\[(.*)\]", kind):
            return "[]" + notation(match[1])
        if match := re.fullmatch(r"dict\[str, (.*)\]", kind):
            return "{}" + notation(match[1])
        if kind in scalars:
            return scalars[kind]
        walk(kind)
        return kind.replace("V1", "", 1)

    def walk(kind: str) -> None:
        if (name := kind.replace("V1", "", 1)) in kinds:
            return
        words = kinds[name] = []
        model = getattr(k8s, kind)
        source = inspect.getsource(model)
        for attribute, field in sorted(model.attribute_map.items(), key=lambda pair: str(pair[1])):
            holds = quantities.get(field) or notation(model.openapi_types[attribute])
            required = "!" if f"Invalid value for `{attribute}`, must not be `None`" in source else ""
            words.append(field + required + ("" if holds == "s" else f":{holds}"))

    walk("V1Pod")
    lines = [
        line
        for name in sorted(kinds)
        for line in textwrap.wrap(
            f"{name}: {' '.join(kinds[name])}",
            118,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    return "\n".join(lines)


def test_table_of_fields_is_that_of_the_installed_client() -> None:
    """Where it is not, a new client is installed: put what is printed here into ``fields``, and its version."""
    table = _table_of_the_client()
    print(table)
    assert fields._TABLE.strip() == table


def test_python_name_of_every_field_is_the_clients() -> None:
    for kind, holds in fields._kinds().items():
        model = getattr(k8s, f"V1{kind}", None) or getattr(k8s, kind.replace("Core", "CoreV1"))
        attributes = {name: attribute for attribute, name in model.attribute_map.items()}
        assert {name: python_name(name) for name, _ in holds} == attributes
