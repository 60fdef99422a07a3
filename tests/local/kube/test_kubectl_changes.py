"""What a user does by kubectl: making, changing, deleting, commands in containers, and who may what."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import pytest

from asyncrun.local.kube import EmbeddedKube, Rule
from tests.local.kube.kubectl_lab import IS_INSTALLED, WRITES, Kubectl, columns, container, pod

pytestmark = [
    pytest.mark.skipif(not IS_INSTALLED, reason="kubectl is not installed"),
    pytest.mark.timeout(120),
]

# -- making and changing -----------------------------------------------------------------------------------------------


def test_apply_creates_then_changes_what_may_change(kubectl: Kubectl) -> None:
    first = pod("applied", WRITES, labels={"app": "one"})
    assert kubectl("apply", "-f", "-", stdin=first) == "pod/applied created\n"
    assert kubectl("apply", "-f", "-", stdin=first) == "pod/applied unchanged\n"
    assert kubectl("diff", "-f", "-", stdin=first) == ""
    changed = pod("applied", WRITES, labels={"app": "two"})
    assert kubectl("apply", "-f", "-", "--dry-run=server", stdin=changed) == "pod/applied configured (server dry run)\n"
    assert kubectl("apply", "-f", "-", stdin=changed) == "pod/applied configured\n"
    assert kubectl("get", "pod", "applied", "-o", "jsonpath={.metadata.labels.app}") == "two"
    other = kubectl.refused("apply", "-f", "-", stdin=pod("applied", "false"))
    assert other.startswith('The Pod "applied" is invalid: spec: Forbidden: pod updates may not change fields other')
    assert kubectl("apply", "--server-side", "-f", "-", stdin=pod("aside", "true")) == "pod/aside serverside-applied\n"


def test_create_makes_names_and_says_what_is_wrong(kubectl: Kubectl) -> None:
    unnamed = json.loads(pod("x", "true"))
    del unnamed["metadata"]["name"]
    unnamed["metadata"]["generateName"] = "made-"
    assert re.fullmatch(r"pod/made-[a-z0-9]{5} created\n", kubectl.create(json.dumps(unnamed)))
    del unnamed["metadata"]["generateName"]
    assert "metadata.name: Required value: name or generateName is required" in kubectl.refused(
        "create", "-f", "-", stdin=json.dumps(unnamed)
    )
    kubectl.create(pod("twice", "true"))
    assert 'pods "twice" already exists' in kubectl.refused("create", "-f", "-", stdin=pod("twice", "true"))
    wrong = pod("Wrong_Name", "true", containers=[])
    text = kubectl.refused("create", "-f", "-", stdin=wrong)
    assert '* metadata.name: Invalid value: "Wrong_Name"' in text
    assert "* spec.containers: Required value" in text
    misspelt = pod("typo", "true", containers=[{**container("main", "true"), "comand": ["x"]}])
    assert 'unknown field "spec.containers[0].comand"' in kubectl.refused("create", "-f", "-", stdin=misspelt)


def test_labels_annotations_and_patches(kubectl: Kubectl) -> None:
    kubectl.create(pod("patched", WRITES, labels={"app": "one"}))
    assert kubectl("label", "pod", "patched", "x=y") == "pod/patched labeled\n"
    assert kubectl("annotate", "pod", "patched", "note=hi") == "pod/patched annotated\n"
    assert "already has a value" in kubectl.refused("label", "pod", "patched", "x=z")
    kubectl("patch", "pod", "patched", "-p", '{"metadata": {"labels": {"z": "1"}}}')
    kubectl("patch", "pod", "patched", "--type=merge", "-p", '{"metadata": {"labels": {"app": null}}}')
    kubectl("patch", "pod", "patched", "--type=json", "-p", '[{"op": "remove", "path": "/metadata/labels/x"}]')
    assert json.loads(kubectl("get", "pod", "patched", "-o", "jsonpath={.metadata.labels}")) == {"z": "1"}
    assert kubectl("get", "pod", "patched", "-o", "jsonpath={.metadata.annotations.note}") == "hi"


@pytest.mark.parametrize("how", ["strategic", "merge"])
def test_a_patch_of_another_pod_of_that_name_is_refused(kubectl: Kubectl, how: str) -> None:
    kubectl.create(pod("mine", WRITES))
    uid = kubectl("get", "pod", "mine", "-o", "jsonpath={.metadata.uid}")
    patch = json.dumps({"metadata": {"uid": "4711", "labels": {"a": "b"}}})
    text = kubectl.refused("patch", "pod", "mine", f"--type={how}", "-p", patch)
    why = f"Precondition failed: UID in precondition: 4711, UID in object meta: {uid}"
    assert f'Error from server (Conflict): Operation cannot be fulfilled on pods "mine": {why}' in text
    right = json.dumps({"metadata": {"uid": uid, "labels": {"a": "b"}}})
    assert kubectl("patch", "pod", "mine", f"--type={how}", "-p", right) == "pod/mine patched\n"


def test_a_deadline_that_is_set_later_ends_the_pod(kubectl: Kubectl) -> None:
    kubectl.create(pod("limited", "sleep 60"))
    kubectl.until_ready("limited")
    kubectl("patch", "pod", "limited", "-p", '{"spec": {"activeDeadlineSeconds": 1}}')
    later = kubectl.refused("patch", "pod", "limited", "-p", '{"spec": {"activeDeadlineSeconds": 9}}')
    assert "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value" in later
    kubectl.until(lambda: kubectl.phase("limited") == "Failed")
    assert kubectl("get", "pod", "limited", "-o", "jsonpath={.status.reason}") == "DeadlineExceeded"
    assert columns(kubectl("get", "pods", "--no-headers"))[0][2] in {"DeadlineExceeded", "Error"}
    assert "DeadlineExceeded" in kubectl("get", "events")


def test_secrets_and_config_maps_reach_a_container(kubectl: Kubectl) -> None:
    assert kubectl("create", "secret", "generic", "given", "--from-literal=key=hunter2") == "secret/given created\n"
    assert kubectl("create", "configmap", "known", "--from-literal=a=b", "--from-literal=c=d") == (
        "configmap/known created\n"
    )
    assert columns(kubectl("get", "secrets")) == [["NAME", "TYPE", "DATA", "AGE"], ["given", "Opaque", "1", "AGE"]]
    assert ["known", "2", "AGE"] in columns(kubectl("get", "configmaps"))
    assert "key:  7 bytes" in kubectl("describe", "secret", "given")
    data = json.loads(kubectl("get", "secret", "given", "-o", "jsonpath={.data}"))
    assert base64.b64decode(data["key"]) == b"hunter2"
    source = {"name": "P", "valueFrom": {"secretKeyRef": {"name": "given", "key": "key"}}}
    main = container("main", "echo $P $a", env=[source], envFrom=[{"configMapRef": {"name": "known"}}])
    kubectl.create(pod("reader", "", containers=[main]))
    kubectl.until(lambda: kubectl.phase("reader") == "Succeeded")
    assert kubectl("logs", "reader") == "hunter2 b\n"
    assert kubectl("delete", "secret/given", "configmap/known").count(" deleted") == 2


# -- deleting and waiting ----------------------------------------------------------------------------------------------


def test_delete_waits_until_the_container_has_ended(kubectl: Kubectl) -> None:
    kubectl.create(pod("slow", "trap 'sleep 1; echo bye; exit 0' TERM; echo up; sleep 60 & wait"))
    kubectl.until(lambda: kubectl.phase("slow") == "Running" and kubectl("logs", "slow") == "up\n")
    with kubectl.started("logs", "-f", "slow") as log:
        assert kubectl.says("delete", "pod", "slow").startswith('pod "slow" deleted')
        assert list(log) == ["up\n", "bye\n"]
    assert 'pods "slow" not found' in kubectl.refused("get", "pod", "slow")


def test_deleting_by_force_and_without_waiting(kubectl: Kubectl) -> None:
    for name in ("forced", "left"):
        kubectl.create(pod(name, "trap '' TERM; echo up; while :; do sleep 1; done"))
    kubectl.until(lambda: all(kubectl.phase(name) == "Running" for name in ("forced", "left")))
    said = kubectl.says("delete", "pod", "forced", "--force", "--grace-period=0")
    assert "Immediate deletion does not wait for confirmation" in said
    assert 'pods "forced" not found' in kubectl.refused("get", "pod", "forced")
    kubectl("delete", "pod", "left", "--wait=false", "--grace-period=2")
    assert columns(kubectl("get", "pod", "left", "--no-headers"))[0][2] == "Terminating"
    kubectl("wait", "--for=delete", "pod/left", "--timeout=30s")
    assert 'pods "left" not found' in kubectl.refused("delete", "pod", "left")


def test_waiting_for_conditions_fields_and_ends(kubectl: Kubectl) -> None:
    kubectl.create(pod("awaited", "sleep 1"))
    assert kubectl("wait", "--for=condition=Ready", "pod/awaited", "--timeout=60s") == "pod/awaited condition met\n"
    phase = "--for=jsonpath={.status.phase}=Succeeded"
    assert kubectl("wait", phase, "pod/awaited", "--timeout=60s") == "pod/awaited condition met\n"
    late = kubectl.refused("wait", "--for=delete", "pod/awaited", "--timeout=1s")
    assert late.endswith("error: timed out waiting for the condition on pods/awaited")


# -- commands in containers, and what is not imitated ------------------------------------------------------------------


def test_commands_run_in_a_container(kubectl: Kubectl) -> None:
    kubectl.create(
        pod("host", "sleep 60", containers=[container("main", "sleep 60", env=[{"name": "A", "value": "b"}])])
    )
    kubectl.until_ready("host")
    assert kubectl("exec", "host", "--", "sh", "-c", "echo $A") == "b\n"
    assert kubectl("exec", "-i", "host", "--", "cat", stdin="some text") == "some text"
    assert "command terminated with exit code 3" in kubectl.refused("exec", "host", "--", "sh", "-c", "exit 3")


def test_one_shot_pods_show_their_output(kubectl: Kubectl) -> None:
    said = kubectl("run", "shot", "--rm", "-i", "--restart=Never", "--image=busybox:1.36", "--", "echo", "hi", "there")
    assert "hi there\n" in said
    assert 'pods "shot" not found' in kubectl.refused("get", "pod", "shot")


@pytest.mark.parametrize("arguments", [("attach", "alone"), ("port-forward", "alone", ":80")])
def test_what_is_not_imitated_is_said(kubectl: Kubectl, arguments: tuple[str, ...]) -> None:
    kubectl.create(pod("alone", "sleep 60"))
    kubectl.until_ready("alone")
    assert "not imitated by the embedded Kubernetes" in kubectl.refused(*arguments)


def test_explain_and_unknown_kinds_are_refused(kubectl: Kubectl) -> None:
    assert "not found in OpenAPI schema" in kubectl.refused("explain", "pod.spec")
    assert """the server doesn't have a resource type "deployments\"""" in kubectl.refused("get", "deployments")
    assert kubectl.refused("top", "pod") == "error: Metrics API not available"


# -- who may what ------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_user(kubectl: Kubectl, tls_kube: EmbeddedKube) -> Callable[..., Kubectl]:
    """A kubectl with other permissions."""

    def make(*rules: Rule) -> Kubectl:
        return kubectl.with_token(tls_kube.control.add_token(rules))

    return make


def test_permissions_can_be_asked_for(kubectl: Kubectl, as_user: Callable[..., Kubectl]) -> None:
    assert kubectl("auth", "can-i", "*", "*") == "yes\n"
    assert "kubernetes-admin" in kubectl("auth", "whoami")
    reader = as_user(Rule(kubectl.namespace, ("get", "list"), ("pods", "pods/log")))
    assert reader("auth", "can-i", "list", "pods") == "yes\n"
    assert reader.result("auth", "can-i", "delete", "pods") == (1, "no\n", "")
    assert reader.result("auth", "can-i", "get", "pods", "--subresource=exec")[:2] == (1, "no\n")
    assert re.search(r"^pods +\[\] +\[\] +\[get list\]$", reader("auth", "can-i", "--list"), re.MULTILINE)
    who = 'User "system:serviceaccount:default:test"'
    why = f'pods "x" is forbidden: {who} cannot delete resource "pods" in API group "" in the namespace'
    assert f'{why} "{kubectl.namespace}"' in reader.refused("delete", "pod", "x")


def test_a_token_that_is_none_is_refused(kubectl: Kubectl) -> None:
    *_, text = kubectl.with_token("wrong").refused("get", "pods").splitlines()
    # It says more, and ends otherwise, if it must discover the API first.
    reasons = ("Unauthorized", "the server has asked for the client to provide credentials")
    assert text in {f"error: You must be logged in to the server ({reason})" for reason in reasons}
