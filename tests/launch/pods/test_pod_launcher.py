"""Exactly one pod, whatever the answers do. Virtual time; the double stores pods as an API server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncrun.launch.pod import PodLauncher
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    LaunchRefused,
    MalformedAnswer,
    NotFound,
    OutOfCapacity,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.model.refs import PodRef
from tests.launch.pods.scripted_pods import CUT, LOST, OWNER, Pods, manifest, pod, with_sidecar

pytestmark = pytest.mark.looptime

OURS = PodRef(namespace="ns", name="p", uid="uid-1", selector="asyncrun/deployment=prod")
QUOTA = OutOfCapacity("There is no room: exceeded quota: q, requested: pods=1.", reasons=("quota",))


def _now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_launch_is_one_request() -> None:
    pods = Pods()
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.ref, placed.pod, placed.is_new, placed.warning) == (OURS, pods.stored["p"], True, "")
    assert pods.calls == ["create"]


@pytest.mark.parametrize("open_answer", [LOST, MalformedAnswer("a proxy's page")])
async def test_an_answer_that_was_lost_is_asked_for_again_and_finds_its_pod(open_answer: Exception) -> None:
    pods = Pods(LOST, open_answer, None)
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.ref, placed.is_new) == (OURS, False)
    assert pods.calls == ["create", "create", "create", "get"] if open_answer is not LOST else ["create", "get"]


async def test_a_pod_whose_label_was_removed_is_known_by_its_annotation() -> None:
    pods = Pods(LOST, None)
    pods.changes = lambda made: made["metadata"].pop("labels")
    wanted = manifest()
    wanted["metadata"]["annotations"] = {"asyncrun/launch": "mine"}
    placed = await PodLauncher(pods).launch(wanted)
    assert placed.ref == PodRef(namespace="ns", name="p", uid="uid-1", selector="")


async def test_five_minutes_of_refused_connections_fail_nothing_and_are_said() -> None:
    pods = Pods(Unavailable("The API server refuses connections."))
    said: list[str] = []

    async def upgraded() -> None:
        await asyncio.sleep(300)
        pods.script["create"] = [None]

    upgrade = asyncio.create_task(upgraded())
    placed = await PodLauncher(pods, said.append).launch(manifest())
    await upgrade
    assert placed.is_new
    assert 300 <= _now() < 311
    assert len(said) > 25
    assert said[0].startswith("The API server refuses connections. It is tried again in ")


async def test_a_cluster_that_never_answers_is_an_error_after_ten_minutes() -> None:
    with pytest.raises(Unavailable, match="refuses connections"):
        await PodLauncher(Pods(Unavailable("It refuses connections."))).launch(manifest())
    assert 590 <= _now() <= 600


async def test_the_pod_of_an_earlier_process_of_the_same_try_is_taken() -> None:
    pods = Pods()
    await PodLauncher(pods).launch(manifest())
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.ref, placed.is_new) == (OURS, False)


async def test_a_name_that_belongs_to_another_launch_is_refused_at_once() -> None:
    pods = Pods()
    pods.put(pod(labels={"dag_id": "other_dag"}))
    launcher = PodLauncher(pods)
    with pytest.raises(RequestRefused) as caught:
        await launcher.launch(manifest())
    assert str(caught.value) == (
        "There is a pod ns/p already, launched for dag_id=other_dag, task_id=t, run_id=r (uid other, phase Running). "
        "Set the operator's argument `random_name_suffix` to True, or its `name` to one that no other task uses, or "
        "delete that pod"
    )
    assert caught.value.code == "AlreadyExists"
    assert (_now(), pods.calls) == (0, ["create", "get"])
    assert await launcher.take_back() is None
    assert pods.deleted == []


async def test_a_name_that_belongs_to_a_pod_of_nobody_we_know_is_refused() -> None:
    pods = Pods()
    pods.put(pod(labels=dict.fromkeys(OWNER, "")))
    with pytest.raises(RequestRefused, match=r"^There is a pod ns/p already, which Airflow did not launch \(uid other"):
        await PodLauncher(pods).launch(manifest())


async def test_a_name_whose_pod_is_being_deleted_is_waited_for() -> None:
    pods, said = Pods(), list[str]()
    pods.put(pod(is_deleted=True))

    async def gone() -> None:
        await asyncio.sleep(45)
        del pods.stored["p"]

    going = asyncio.create_task(gone())
    placed = await PodLauncher(pods, said.append).launch(manifest())
    await going
    assert (placed.ref, placed.is_new) == (OURS, True)
    assert said[0].startswith("Pod ns/p is being deleted, and its name is this pod's. It is tried again in ")


@pytest.mark.parametrize(
    ("labels", "seconds"), [({}, 30), ({"already_checked": "True"}, 0), ({"dag_id": "other_dag"}, 0)]
)
async def test_a_name_whose_pod_has_ended_is_waited_for_a_little_where_it_is_the_same_tasks(
    labels: dict[str, str], seconds: float
) -> None:
    pods = Pods()
    pods.put(pod(phase="Failed", labels=labels))
    with pytest.raises(RequestRefused, match="There is a pod ns/p already"):
        await PodLauncher(pods).launch(manifest())
    assert seconds <= _now() <= seconds + 10


async def test_a_name_that_was_taken_and_is_free_again_is_asked_for_again() -> None:
    taken = RequestRefused('pods "p" already exists', code="AlreadyExists")
    pods = Pods(taken, None)
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.is_new, pods.calls) == (True, ["create", "get", "create"])


@pytest.mark.parametrize(
    "refusal",
    [
        RequestRefused("Operation cannot be fulfilled on resourcequotas: try again.", code="Conflict"),
        LaunchRefused('pods "p" is forbidden: not yet ready to handle request'),
        LaunchRefused('pods "p" is forbidden: status unknown for quota: q, resources: pods'),
    ],
)
async def test_what_kubernetes_itself_says_will_pass_is_no_refusal(refusal: Exception) -> None:
    pods = Pods(refusal, refusal, None)
    assert (await PodLauncher(pods).launch(manifest())).is_new


@pytest.mark.parametrize("early", [AccessDenied("RBAC: role not found"), CredentialsExpired("Unauthorized")])
async def test_a_server_that_has_just_started_may_deny_for_some_seconds(early: Exception) -> None:
    pods = Pods(Unavailable("refused"), Unavailable("refused"), early, early, None)
    assert (await PodLauncher(pods).launch(manifest())).is_new


async def test_a_denial_that_lasts_is_an_error_though_the_server_was_away_before() -> None:
    with pytest.raises(AccessDenied, match="no role"):
        await PodLauncher(Pods(CUT, AccessDenied("no role"))).launch(manifest())
    assert 20 <= _now() <= 32


async def test_a_quota_is_an_error_at_once() -> None:
    pods = Pods(QUOTA)
    with pytest.raises(OutOfCapacity) as caught:
        await PodLauncher(pods).launch(manifest())
    assert str(caught.value) == (
        "There is no room: exceeded quota: q, requested: pods=1. Less may be asked for (`container_resources`), or "
        "fewer tasks be run at once (an Airflow pool); a retry may find room."
    )
    assert (caught.value.reasons, _now(), pods.calls) == (("quota",), 0, ["create"])


@pytest.mark.parametrize(
    "refusal",
    [QUOTA, LaunchRefused("a webhook says no"), AccessDenied("no"), RequestRefused("bad", code="Invalid"),
     Throttled("too many")],
)  # fmt: skip
async def test_a_refusal_that_the_lost_launch_itself_has_caused_finds_its_pod(refusal: Exception) -> None:
    pods = Pods(LOST, refusal)
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.ref, placed.is_new) == (OURS, False)


@pytest.mark.parametrize("get", [None, AccessDenied("no get")])
async def test_a_refusal_after_an_answer_that_was_lost_on_the_way_there_is_that_refusal(get: Exception | None) -> None:
    pods = Pods(CUT, QUOTA, get=[get])
    launcher = PodLauncher(pods)
    with pytest.raises(OutOfCapacity):
        await launcher.launch(manifest())
    assert launcher.unanswered is not None  # the first request may still be on its way


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            NotFound('namespaces "ns" not found', code="NotFound"),
            "Create namespace 'ns', or correct the operator's argument `namespace` (or the connection, which chooses "
            "the cluster).",
        ),
        (
            LaunchRefused('pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation'),
            "Set the operator's arguments `security_context` and `container_security_context` (and "
            "`xcom_sidecar_container_security_context`) accordingly.",
        ),
        (
            LaunchRefused('pods "p" is forbidden: error looking up service account ns/x: not found'),
            "Correct the operator's argument `service_account_name`, or create that service account.",
        ),
        (
            LaunchRefused("unable to create new content in namespace ns because it is being terminated"),
            "The namespace is being deleted: use another, or create it again.",
        ),
        (
            LaunchRefused('pods "p" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'),
            "Set the operator's argument `container_resources` accordingly.",
        ),
        (
            LaunchRefused('pods "p" is forbidden: failed quota: q: must specify cpu for: base'),
            "Set the operator's argument `container_resources` accordingly.",
        ),
        (
            LaunchRefused('pods "p" is forbidden: no PriorityClass with name high was found'),
            "Correct the operator's argument `priority_class_name`, or create that class.",
        ),
        (
            RequestRefused('Pod "p" is invalid: spec.containers: Required value', code="Invalid"),
            "Correct the operator's arguments.",
        ),
    ],
)
async def test_a_refusal_says_what_must_be_changed(error: Exception, advice: str) -> None:
    with pytest.raises(type(error)) as caught:
        await PodLauncher(Pods(error)).launch(manifest())
    assert str(caught.value) == f"{error}. {advice}"
    assert _now() == 0


@pytest.mark.parametrize("error", [AccessDenied("no"), LaunchRefused("a webhook says no"), CredentialsExpired("401")])
async def test_a_refusal_that_says_by_itself_who_must_act_is_told_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await PodLauncher(Pods(error)).launch(manifest())
    assert (str(caught.value), _now()) == (str(error), 0)


async def test_a_pod_that_may_not_be_looked_at_is_told_with_that_verb() -> None:
    denied = AccessDenied("pods is forbidden", operation="get pods")
    pods = Pods(LOST, None, get=[denied])
    launcher = PodLauncher(pods)
    with pytest.raises(AccessDenied, match="pods is forbidden"):
        await launcher.launch(manifest())
    assert launcher.unanswered is not None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda made: made["metadata"]["labels"].pop("asyncrun/deployment"),
            "Pod ns/p has no label asyncrun/deployment=prod: a webhook of the cluster has removed it. So the shared "
            "watch does not see the pod; it is asked for by itself every few seconds, and a later try cannot find it "
            "by its labels",
        ),
        (
            lambda made: made["metadata"]["labels"].update({"asyncrun/deployment": "prod-2"}),
            "Pod ns/p has no label asyncrun/deployment=prod: a webhook of the cluster has removed it.",
        ),
    ],
)
async def test_a_webhook_that_removes_our_label_leaves_a_pod_to_be_polled(
    change: Callable[[dict[str, Any]], object], text: str
) -> None:
    pods = Pods()
    pods.changes = change
    placed = await PodLauncher(pods).launch(manifest())
    assert placed.ref.selector == ""
    assert placed.warning.startswith(text)


async def test_a_mutation_hook_that_removed_our_label_leaves_a_pod_to_be_polled() -> None:
    wanted = manifest()
    del wanted["metadata"]["labels"]["asyncrun/deployment"]
    placed = await PodLauncher(Pods()).launch(wanted)
    assert placed.ref.selector == ""
    assert "has no label asyncrun/deployment: pod_mutation_hook has removed it" in placed.warning


def _forget(made: dict[str, Any]) -> None:
    for one in made["spec"]["initContainers"]:
        del one["restartPolicy"]


async def test_a_cluster_without_native_sidecars_is_an_error_and_leaves_no_pod() -> None:
    pods = Pods()
    pods.changes = _forget
    launcher = PodLauncher(pods)
    with pytest.raises(LaunchRefused) as caught:
        await launcher.launch(with_sidecar())
    assert str(caught.value) == (
        "Pod ns/p is deleted again: the cluster does not know native sidecars (restartPolicy Always of the init "
        "container 'airflow-xcom-sidecar'), which do_xcom_push=True needs; Kubernetes has them from 1.29 on. Set "
        "do_xcom_push to False, or upgrade the cluster"
    )
    assert (pods.stored, launcher.placed) == ({}, None)


async def test_a_users_own_native_sidecar_that_was_lost_is_an_error_as_well() -> None:
    pods = Pods()
    pods.changes = _forget
    with pytest.raises(LaunchRefused, match=r"which the pod's init_containers need; .* Upgrade the cluster$"):
        await PodLauncher(pods).launch(with_sidecar("mine"))


async def test_a_webhook_that_removes_the_sidecar_is_named() -> None:
    pods = Pods()
    pods.changes = lambda made: made["spec"].update(initContainers=[])
    with pytest.raises(LaunchRefused) as caught:
        await PodLauncher(pods).launch(with_sidecar())
    assert str(caught.value) == (
        "Pod ns/p is deleted again: it was made without its sidecar 'airflow-xcom-sidecar', which do_xcom_push=True "
        "needs. A webhook of the cluster has removed it; whoever manages that webhook must let it be"
    )


async def test_a_useless_pod_that_cannot_be_deleted_is_said_and_can_be_taken_back() -> None:
    pods, said = Pods(delete=[AccessDenied("no delete")]), list[str]()
    pods.changes = _forget
    launcher = PodLauncher(pods, said.append)
    with pytest.raises(LaunchRefused):
        await launcher.launch(with_sidecar())
    assert said == ["Pod ns/p could not be deleted: no delete"]
    assert launcher.placed == OURS


async def test_a_pod_with_its_sidecars_is_launched() -> None:
    assert (await PodLauncher(Pods()).launch(with_sidecar())).is_new
