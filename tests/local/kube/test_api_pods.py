"""Creating, changing and deleting pods by the embedded API server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from asyncrun.local.kube.options import Rule
from asyncrun.local.kube.scripted import ANNOTATION, Script, ScriptedNode
from asyncrun.local.kube.store import Change, Subscription
from tests.local.kube.conftest import Kube, MakeKube, pod_manifest
from tests.support.traces import trace

PODS = "/api/v1/namespaces/default/pods"
RUNS_ON = {ANNOTATION: json.dumps({"start": 0, "run": 3600})}


async def settled(kube: Kube, name: str, phase: str) -> dict[str, Any]:
    """The pod, once it is in that phase."""
    for _ in range(400):
        pod = kube.store.get("pods", "default", name)
        if pod is not None and pod["status"].get("phase") == phase:
            return pod
        await asyncio.sleep(0.01)
    raise AssertionError(f"{name} is not {phase}: {pod}")


def marks(change: Change) -> dict[str, Any]:
    """What a deletion writes into the metadata."""
    metadata = change.object["metadata"]
    names = ("generation", "deletionGracePeriodSeconds", "finalizers")
    return {name: metadata[name] for name in names if name in metadata}


def recorded_creates() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of each trace its first pod: what was sent, and what came back."""
    names = "a_success c_init_two_containers f_oom_pid1 g8_delete_with_finalizer h_active_deadline j_native_sidecar"
    found = []
    for name in (*names.split(), "m_termination_message", "p_evicted_by_kubelet"):
        one = next(one for one in trace(name) if one["kind"] == "request" and one["method"] == "POST")
        found.append((name, one["req_body"], json.loads(one["body"])))
    return found


def _normal(pod: dict[str, Any]) -> dict[str, Any]:
    """Without what differs by chance, and without artefacts of the recorded cluster (facts/kubernetes/README.md)."""
    text = json.dumps(pod)
    for one in pod["spec"].get("volumes", []):
        if one["name"].startswith("kube-api-access-"):
            text = text.replace(one["name"], "kube-api-access-xxxxx")
    shown: dict[str, Any] = json.loads(text)
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace"):
        shown["metadata"].pop(key, None)
    for one in shown["spec"].get("volumes", []):
        sources = one.get("projected", {}).get("sources", [])
        sources[:] = [
            source for source in sources if source.get("configMap", {}).get("name") != "openshift-service-ca.crt"
        ]
    return shown


@pytest.mark.parametrize(
    ("name", "sent", "recorded"), recorded_creates(), ids=lambda one: one if isinstance(one, str) else ""
)
async def test_a_created_pod_has_the_recorded_defaults(
    kube: Kube, name: str, sent: dict[str, Any], recorded: dict[str, Any]
) -> None:
    status, pod = await kube.ask("POST", PODS, sent)
    assert status == 201
    assert _normal(pod) == _normal(recorded)


async def test_quality_of_service_and_pull_policy_follow_from_the_containers(kube: Kube) -> None:
    exact = {"cpu": "1", "memory": "1Gi"}
    for name, resources, quality in [
        ("a", {"limits": exact}, "Guaranteed"),
        ("b", {"requests": {"cpu": 1}}, "Burstable"),
        ("c", {}, "BestEffort"),
    ]:
        container = {"name": "main", "image": "x", "resources": resources}
        pod = await kube.create(name, containers=[container])
        assert pod["status"]["qosClass"] == quality
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "Always"


async def test_a_mounted_secret_gets_its_mode_and_an_own_account_no_token(kube: Kube) -> None:
    pod = await kube.create(
        "a",
        automountServiceAccountToken=False,
        volumes=[{"name": "v", "secret": {"secretName": "s"}}, {"name": "w", "emptyDir": {}}],
        containers=[{"name": "m", "image": "x:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
    )
    assert pod["spec"]["volumes"] == [
        {"name": "v", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "w", "emptyDir": {}},
    ]
    assert len(pod["spec"]["containers"][0]["volumeMounts"]) == 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no image": (
        {"containers": [{"name": "m"}]},
        'Pod "w" is invalid: spec.containers[0].image: Required value',
    ),
    "unknown volume": (
        {"containers": [{"name": "m", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
        'Pod "w" is invalid: spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ),
    "requests above limits": (
        {
            "containers": [
                {
                    "name": "m",
                    "image": "x",
                    "resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1500Mi"}},
                }
            ]
        },
        'Pod "w" is invalid: spec.containers[0].resources.requests: Invalid value: "1500Mi":'
        " must be less than or equal to memory limit of 1Gi",
    ),
    "deadline of zero": (
        {"activeDeadlineSeconds": 0},
        'Pod "w" is invalid: spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    ),
    "two volume types": (
        {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]},
        'Pod "w" is invalid: spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_pod_is_refused_with_its_cause(kube: Kube, name: str) -> None:
    spec, message = WRONG[name]
    status, body = await kube.ask("POST", PODS, pod_manifest("w", **spec))
    assert (status, body["reason"], body["message"]) == (422, "Invalid", message)


async def test_a_number_where_a_text_belongs_is_refused_by_its_path(kube: Kube) -> None:
    container = {"name": "m", "image": "x", "env": [{"name": "A", "value": 5}]}
    status, body = await kube.ask("POST", PODS, pod_manifest("w", containers=[container]))
    assert status == 400
    assert body["message"] == (
        'Pod in version "v1" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field'
        " EnvVar.spec.containers.env.value of type string"
    )


async def test_a_graceful_delete_ends_as_recorded(make_kube: MakeKube) -> None:
    """Trace g_delete_graceful: marked, final, out of grace, gone."""
    kube = await make_kube()
    await kube.create("a", annotations=RUNS_ON)
    await settled(kube, "a", "Running")
    changes = kube.store.subscribe("pods")
    status, pod = await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=5")
    assert status == 200
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 5
    seen = await until_deleted(changes)
    assert [(one.type, marks(one)) for one in (seen[0], *seen[-2:])] == [
        ("MODIFIED", {"generation": 2, "deletionGracePeriodSeconds": 5}),
        ("MODIFIED", {"generation": 2, "deletionGracePeriodSeconds": 0}),
        ("DELETED", {"generation": 2, "deletionGracePeriodSeconds": 0}),
    ]
    assert seen[-1].object["status"]["phase"] == "Failed"
    assert (await kube.ask("GET", f"{PODS}/a"))[0] == 404


async def until_deleted(changes: Subscription) -> list[Change]:
    seen: list[Change] = []
    while not seen or seen[-1].type != "DELETED":
        await asyncio.wait_for(changes.wait(), 5)
        seen += changes.take()
    return seen


async def test_a_forced_delete_is_done_at_once(kube: Kube) -> None:
    await kube.create("a", annotations=RUNS_ON)
    await settled(kube, "a", "Running")
    changes = kube.store.subscribe("pods")
    status, pod = await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    seen = changes.take()
    assert [one.type for one in seen] == ["MODIFIED", "DELETED"]
    assert pod["metadata"]["resourceVersion"] == seen[-1].object["metadata"]["resourceVersion"]
    assert seen[-1].object["status"]["phase"] == "Running"
    status, body = await kube.ask("DELETE", f"{PODS}/a")
    assert (status, body["message"]) == (404, 'pods "a" not found')


async def test_a_finished_pod_and_one_without_a_node_need_no_grace(make_kube: MakeKube) -> None:
    kube = await make_kube(ScriptedNode(Script(start=0, lines=0, run=0, status_delay=0, final_delay=0)))
    await kube.create("a")
    await settled(kube, "a", "Succeeded")
    changes = kube.store.subscribe("pods")
    await kube.ask("DELETE", f"{PODS}/a")
    assert [one.type for one in changes.take()] == ["MODIFIED", "DELETED"]


async def test_a_deletion_can_only_be_shortened(kube: Kube) -> None:
    node = {"finalizers": ["example.com/hold"]}
    manifest = pod_manifest("a", annotations=RUNS_ON)
    manifest["metadata"].update(node)
    await kube.ask("POST", PODS, manifest)
    await settled(kube, "a", "Running")
    _, first = await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=10")
    _, longer = await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=20")
    assert longer["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]
    _, shorter = await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 0
    assert shorter["metadata"]["generation"] == 2
    headers = {"Content-Type": "application/merge-patch+json"}
    status, gone = await kube.ask("PATCH", f"{PODS}/a", {"metadata": {"finalizers": None}}, headers=headers)
    assert status == 200
    assert "finalizers" not in gone["metadata"]
    assert (await kube.ask("GET", f"{PODS}/a"))[0] == 404


async def test_preconditions_and_foreground_deletion_are_as_recorded(kube: Kube) -> None:
    """Trace g6_delete_foreground_preconditions."""
    pod = await kube.create("g6-del", annotations=RUNS_ON, terminationGracePeriodSeconds=1)
    await settled(kube, "g6-del", "Running")
    recorded = next(
        json.loads(one["body"])
        for one in trace("g6_delete_foreground_preconditions")
        if one["kind"] == "request" and one["status"] == 409
    )
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    status, body = await kube.ask("DELETE", f"{PODS}/g6-del", wrong)
    uid = pod["metadata"]["uid"]
    recorded["message"] = recorded["message"].replace("774330c4-ca41-4480-9cdd-68973a80f51c", uid)
    assert (status, body) == (409, recorded)
    changes = kube.store.subscribe("pods")
    options = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
    status, held = await kube.ask("DELETE", f"{PODS}/g6-del", options)
    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 1
    seen = await until_deleted(changes)
    assert "finalizers" not in seen[-1].object["metadata"]


async def test_an_eviction_says_why_and_deletes(kube: Kube) -> None:
    """Trace g7_evict_api."""
    await kube.create("a", annotations=RUNS_ON)
    await settled(kube, "a", "Running")
    changes = kube.store.subscribe("pods")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a", "namespace": "default"}}
    status, body = await kube.ask("POST", f"{PODS}/a/eviction", eviction)
    recorded = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    assert (status, body) == (201, recorded)
    said, marked = changes.take()[:2]
    condition = said.object["status"]["conditions"][-1]
    assert (condition["type"], condition["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")
    assert marks(marked) == {"generation": 2, "deletionGracePeriodSeconds": 30}


async def test_a_collection_is_deleted_by_its_labels(kube: Kube) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "2"})):
        await kube.create(name, labels=labels)
    status, removed = await kube.ask("DELETE", f"{PODS}?labelSelector=x%3D1&gracePeriodSeconds=0")
    assert (status, len(removed["items"])) == (200, 2)
    assert [one["metadata"]["name"] for one in kube.store.list("pods", "default")] == ["c"]


async def test_patches_change_lists_as_their_kind_says(kube: Kube) -> None:
    await kube.create("a", containers=[{"name": "m", "image": "x:1"}, {"name": "n", "image": "y:1"}])
    body = {"spec": {"containers": [{"name": "n", "image": "y:2"}]}}
    strategic = {"Content-Type": "application/strategic-merge-patch+json"}
    status, pod = await kube.ask("PATCH", f"{PODS}/a", body, headers=strategic)
    assert status == 200
    assert [one["image"] for one in pod["spec"]["containers"]] == ["x:1", "y:2"]
    merge = {"Content-Type": "application/merge-patch+json"}
    status, answer = await kube.ask("PATCH", f"{PODS}/a", body, headers=merge)
    assert (status, answer["reason"]) == (422, "Invalid"), "a merge patch replaces the list"


async def test_a_status_cannot_be_changed_by_the_pods_own_path(kube: Kube) -> None:
    await kube.create("a")
    merge = {"Content-Type": "application/merge-patch+json"}
    _, pod = await kube.ask("PATCH", f"{PODS}/a", {"status": {"phase": "Failed"}}, headers=merge)
    assert pod["status"]["phase"] != "Failed"
    _, pod = await kube.ask("PATCH", f"{PODS}/a/status", {"status": {"phase": "Failed"}}, headers=merge)
    assert pod["status"]["phase"] == "Failed"


async def test_permissions_are_by_namespace_verb_and_subresource(kube: Kube) -> None:
    await kube.create("a")
    rules = [Rule("default", ("get", "list"), ("pods",)), Rule("default", ("get",), ("pods/log",), ("a",))]
    token = kube.server.tokens.add(rules, user="somebody")
    assert (await kube.ask("GET", f"{PODS}/a", token=token))[0] == 200
    assert (await kube.ask("GET", PODS, token=token))[0] == 200
    status, body = await kube.ask("GET", f"{PODS}?watch=true", token=token)
    assert (status, body["message"]) == (
        403,
        'pods is forbidden: User "somebody" cannot watch resource "pods" in API group "" in the namespace "default"',
    )
    assert (await kube.ask("GET", "/api/v1/pods", token=token))[0] == 403
    assert (await kube.ask("GET", f"{PODS}/b/log", token=token))[0] == 403
    assert (await kube.ask("GET", f"{PODS}/a/log", token=token))[0] != 403
    kube.server.tokens.revoke(token)
    assert (await kube.ask("GET", PODS, token=token))[0] == 401


async def test_a_token_expires(kube: Kube) -> None:
    token = kube.server.tokens.add(None, lifetime=0.1)
    assert (await kube.ask("GET", PODS, token=token))[0] == 200
    await asyncio.sleep(0.15)
    assert (await kube.ask("GET", PODS, token=token))[0] == 401


async def test_a_quota_refuses_and_finished_pods_do_not_count(make_kube: MakeKube) -> None:
    node = ScriptedNode(Script(start=0, lines=0, run=0, status_delay=0, final_delay=0))
    kube = await make_kube(node, quotas={"default": 1})
    await kube.create("a", annotations=RUNS_ON)
    status, body = await kube.ask("POST", PODS, pod_manifest("b"))
    assert (status, body["message"]) == (
        403,
        'pods "b" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1',
    )
    await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await kube.create("b")
    await settled(kube, "b", "Succeeded")
    await kube.create("c")


async def test_events_can_be_asked_for_in_both_versions(kube: Kube) -> None:
    pod = await kube.create("a", annotations=RUNS_ON)
    await settled(kube, "a", "Running")
    uid = pod["metadata"]["uid"]
    selector = f"fieldSelector=involvedObject.name%3Da,involvedObject.uid%3D{uid}"
    _, old = await kube.ask("GET", f"/api/v1/namespaces/default/events?{selector}")
    assert [one["reason"] for one in old["items"]] == ["Scheduled"]
    _, new = await kube.ask("GET", "/apis/events.k8s.io/v1/namespaces/default/events")
    assert new["kind"] == "EventList"
    assert new["items"][0]["note"] == old["items"][0]["message"]
    assert new["items"][0]["regarding"]["uid"] == uid
    _, none = await kube.ask("GET", "/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Db")
    assert none["items"] == []


async def test_a_table_has_a_row_for_each_pod(kube: Kube) -> None:
    await kube.create("a", annotations=RUNS_ON)
    await settled(kube, "a", "Running")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    _, table = await kube.ask("GET", PODS, headers=accept)
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][:4] == ["a", "1/1", "Running", "0"]


async def test_a_secret_and_a_namespace_can_be_made(kube: Kube) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    status, made = await kube.ask("POST", "/api/v1/namespaces/default/secrets", secret)
    assert (status, made["data"], made["type"]) == (201, {"a": "Yg=="}, "Opaque")
    await kube.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "new"}})
    status, _ = await kube.ask("POST", "/api/v1/namespaces/new/pods", pod_manifest("a"))
    assert status == 201, "it has its service account"
    status, gone = await kube.ask("DELETE", "/api/v1/namespaces/default/secrets/s")
    assert (status, gone["status"]) == (200, "Success")
