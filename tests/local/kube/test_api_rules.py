"""Rules of the API server that a client with a defect would run into: the embedded one has them, too."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from asyncrun.local.kube.store import Store
from tests.local.kube.conftest import Kube, MakeKube, pod_manifest
from tests.local.kube.test_api_pods import PODS, settled

SPACE = "/api/v1/namespaces/default"
MERGE = {"Content-Type": "application/merge-patch+json"}


def config(name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "data": {"a": "b"}}


async def refused(kube: Kube, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
    status, answer = await kube.ask(method, path, body, **more)
    assert status >= 400, answer
    return status, answer["message"]


@pytest.mark.parametrize("path", ["/version", "/api", "/nonsense", "/api/v1/nonsense", PODS])
async def test_a_token_that_is_unknown_is_refused_wherever_it_is_shown(kube: Kube, path: str) -> None:
    assert await refused(kube, "GET", path, token="nobody's") == (401, "Unauthorized")


async def test_an_object_is_replaced_at_its_own_path_only(kube: Kube) -> None:
    for name in ("a", "b"):
        assert (await kube.ask("POST", f"{SPACE}/configmaps", config(name)))[0] == 201
    path = f"{SPACE}/configmaps/a"
    why = "the name of the object (b) does not match the name on the URL (a)"
    assert await refused(kube, "PUT", path, config("b")) == (400, why)
    why = "the name of the object (a based on URL) was undeterminable: name must be provided"
    assert await refused(kube, "PUT", path, {"data": {}}) == (400, why)
    why = "the namespace of the object (airflow) does not match the namespace on the request (default)"
    assert await refused(kube, "PUT", path, config("a", namespace="airflow")) == (400, why)
    status, message = await refused(kube, "PATCH", path, {"metadata": {"name": "b"}}, headers=MERGE)
    assert status == 422
    assert 'metadata.name: Invalid value: "b": field is immutable' in message


async def test_only_what_a_subresource_allows_can_be_done_to_it(kube: Kube) -> None:
    await kube.create("a")
    allowed = "the server does not allow this method on the requested resource"
    assert await refused(kube, "DELETE", f"{PODS}/a/status") == (405, allowed)
    assert "deletionTimestamp" not in (await kube.ask("GET", f"{PODS}/a"))[1]["metadata"]
    assert await refused(kube, "DELETE", f"{PODS}/a/log") == (405, allowed)
    assert await refused(kube, "GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") == (405, allowed)
    for path in (f"{PODS}/a/nonsense", f"{SPACE}/serviceaccounts/default/token"):
        assert await refused(kube, "POST", path, {}) == (404, "the server could not find the requested resource")
    assert (await refused(kube, "POST", f"{PODS}/a/attach", {}))[0] == 501


async def test_whole_numbers_with_a_point_are_none(kube: Kube) -> None:
    status, message = await refused(kube, "POST", PODS, pod_manifest("a", activeDeadlineSeconds=30.0))
    assert status == 400
    assert message.endswith(
        "json: cannot unmarshal number 30.0 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64"
    )


async def test_fields_that_a_pod_does_not_have_are_not_kept(kube: Kube) -> None:
    pod = await kube.create("a", nonsense=1)
    assert "nonsense" not in pod["spec"]
    patch = {"nonsense": 1, "metadata": {"labels": {"a": "b"}, "nonsense": 1}}
    _, patched = await kube.ask("PATCH", f"{PODS}/a", patch, headers=MERGE)
    assert patched["metadata"]["labels"] == {"a": "b"}
    assert "nonsense" not in patched.keys() | patched["metadata"].keys()


@pytest.mark.parametrize(
    ("field", "pod"),
    [
        ("metadata.name", pod_manifest("a\n")),
        ("metadata.labels", pod_manifest("a", labels={"a": "b\n"})),
        ("metadata.labels", pod_manifest("a", labels={"a\n": "b"})),
        ("metadata.annotations", pod_manifest("a", annotations={"a.b\n/c": "d"})),
        ("spec.containers[0].name", pod_manifest("a", containers=[{"name": "main\n", "image": "busybox"}])),
        (
            "spec.containers[0].env[0].name",
            pod_manifest("a", containers=[{"name": "main", "image": "busybox", "env": [{"name": "Ä"}]}]),
        ),
    ],
)
async def test_names_end_where_their_letters_do(kube: Kube, field: str, pod: dict[str, Any]) -> None:
    status, message = await refused(kube, "POST", PODS, pod)
    assert status == 422
    assert f"{field}: Invalid value" in message


async def test_string_data_is_never_shown(kube: Kube) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"a": "1"}}
    assert (await kube.ask("POST", f"{SPACE}/secrets", secret))[0] == 201
    path = f"{SPACE}/secrets/s"
    changes: list[tuple[str, Any, dict[str, str]]] = [
        ("PUT", {**secret, "stringData": {"a": "2"}}, {}),
        ("PATCH", {"stringData": {"a": "3"}}, MERGE),
    ]
    for method, body, headers in changes:
        status, found = await kube.ask(method, path, body, headers=headers)
        assert (status, "stringData" in found) == (200, False)
        assert base64.b64decode(found["data"]["a"]).decode() == body["stringData"]["a"]


async def test_an_eviction_for_show_evicts_nothing(kube: Kube) -> None:
    await kube.create("a")
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "a"}}
    assert (await kube.ask("POST", f"{PODS}/a/eviction?dryRun=All", body))[0] == 201
    options: dict[str, Any] = {"dryRun": ["All"]}
    assert (await kube.ask("POST", f"{PODS}/a/eviction", {**body, "deleteOptions": options}))[0] == 201
    options = {"gracePeriodSeconds": "soon"}
    assert (await refused(kube, "POST", f"{PODS}/a/eviction", {**body, "deleteOptions": options}))[0] == 400
    pod = (await kube.ask("GET", f"{PODS}/a"))[1]
    assert "deletionTimestamp" not in pod["metadata"]
    assert all(one["type"] != "DisruptionTarget" for one in pod["status"]["conditions"])


async def test_an_eviction_of_a_certain_version(kube: Kube) -> None:
    await kube.create("a")
    pod = await settled(kube, "a", "Running")
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "a"}}
    options = {"preconditions": {"resourceVersion": pod["metadata"]["resourceVersion"]}, "gracePeriodSeconds": 30}
    status, answer = await kube.ask("POST", f"{PODS}/a/eviction", {**body, "deleteOptions": options})
    assert status == 201, answer


async def test_pages_of_all_namespaces_leave_nothing_out(make_kube: MakeKube) -> None:
    kube = await make_kube(namespaces=("a", "a-b"))
    for namespace, name in (("a", "x"), ("a", "y"), ("a-b", "x")):
        kube.store.create("configmaps", config(name, namespace=namespace))
    _, whole = await kube.ask("GET", "/api/v1/configmaps")
    found: list[Any] = []
    token = ""
    while token or not found:
        _, page = await kube.ask("GET", f"/api/v1/configmaps?limit=1&continue={token}")
        found += page["items"]
        token = page["metadata"].get("continue", "")
    assert found == whole["items"]
    assert len(found) == 5


def test_a_deletion_that_has_begun_is_not_put_off() -> None:
    store = Store()
    store.create("configmaps", config("a", namespace="default", finalizers=["a/b"]))
    begun = store.remove("configmaps", "default", "a")["metadata"]
    earlier = {**begun, "deletionTimestamp": "2026-01-01T00:00:00Z"}
    store.update("configmaps", {**config("a"), "metadata": earlier})
    assert store.remove("configmaps", "default", "a")["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("spec", [[1], {"hard": ["few"]}])
async def test_a_quota_of_another_shape_is_refused(kube: Kube, spec: Any) -> None:
    assert (await refused(kube, "POST", f"{SPACE}/resourcequotas", {"metadata": {"name": "q"}, "spec": spec}))[0] == 422
    await kube.create("a")


async def test_a_quota_of_no_number_is_refused(kube: Kube) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "few"}}}
    status, message = await refused(kube, "POST", f"{SPACE}/resourcequotas", quota)
    assert status == 422
    assert 'spec.hard[pods]: Invalid value: "few": quantities must match' in message


@pytest.mark.parametrize("cpu", ["1e9999999999", "few", "1/2"])
async def test_a_request_of_no_number_is_refused_at_once(kube: Kube, cpu: str) -> None:
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
    async with asyncio.timeout(5):
        status, message = await refused(kube, "POST", PODS, pod_manifest("a", containers=[container]))
    assert status == 400
    assert "quantities must match the regular expression" in message


@pytest.mark.parametrize("directive", ["$retainKeys", "$deleteFromPrimitiveList/finalizers"])
async def test_a_directive_without_its_list_is_refused(kube: Kube, directive: str) -> None:
    await kube.create("a")
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    body = {"metadata": {"finalizers": ["a/b"], directive: 1}}
    status, message = await refused(kube, "PATCH", f"{PODS}/a", body, headers=headers)
    assert (status, message) == (400, f"error decoding patch: the value of {directive} is no list")
