"""What a user does by kubectl, and what he sees."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions, Rule
from tests.local.kube.kubectl_lab import IS_INSTALLED, Kubectl, container, pod

pytestmark = [
    pytest.mark.skipif(not IS_INSTALLED, reason="kubectl is not installed"),
    pytest.mark.timeout(120),
]

WRITES = "for n in 1 2 3; do echo line $n; sleep 0.2; done; sleep 60"


@pytest.fixture(scope="module")
def tls_kube() -> Iterator[EmbeddedKube]:
    """kubectl sends no token without TLS."""
    with EmbeddedKube(EmbeddedKubeOptions(tls=True)) as kube:
        yield kube
        assert kube.log_text() == ""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def kubectl(tls_kube: EmbeddedKube, home: Path) -> Iterator[Kubectl]:
    """kubectl with a namespace of its own, which goes with the test."""
    with Kubectl(tls_kube, home) as made:
        yield made


def columns(table: str) -> list[list[str]]:
    """The cells of what kubectl prints; ages are ``AGE``."""
    rows = [re.split(r" {2,}", line.rstrip()) for line in table.splitlines()]
    return [[re.sub(r"^\d+[smh]$", "AGE", cell) for cell in row] for row in rows]


def test_it_knows_the_server(kubectl: Kubectl) -> None:
    assert re.search(r"^Server Version: v1\.\d+\.\d+\+asyncrun$", kubectl("version"), re.MULTILINE)
    assert "Kubernetes control plane is running at https://127.0.0.1:" in kubectl("cluster-info")
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert columns(kubectl("get", "namespaces", kubectl.namespace)) == [
        ["NAME", "STATUS", "AGE"],
        [kubectl.namespace, "Active", "AGE"],
    ]
    assert columns(kubectl("get", "nodes"))[0] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]


# -- looking -----------------------------------------------------------------------------------------------------------


def test_pods_are_listed_in_the_usual_columns(kubectl: Kubectl) -> None:
    assert kubectl.says("get", "pods") == f"No resources found in {kubectl.namespace} namespace."
    kubectl.create(pod("listed", WRITES, labels={"app": "one"}))
    kubectl.until_ready("listed")
    assert columns(kubectl("get", "pods")) == [
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        ["listed", "1/1", "Running", "0", "AGE"],
    ]
    wide = columns(kubectl("get", "pods", "-o", "wide"))
    assert wide[0][5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert re.fullmatch(r"[\d.]+", wide[1][5])
    assert wide[1][6:] == ["embedded-node", "<none>", "<none>"]
    assert columns(kubectl("get", "pods", "--show-labels"))[1][-1] == "app=one"
    assert columns(kubectl("get", "pods", "-A"))[0][0] == "NAMESPACE"


def test_a_pod_is_shown_in_every_form(kubectl: Kubectl) -> None:
    kubectl.create(pod("shown", WRITES))
    kubectl.until_ready("shown")
    shown = json.loads(kubectl("get", "pod", "shown", "-o", "json"))
    assert (shown["kind"], shown["status"]["phase"]) == ("Pod", "Running")
    listed = json.loads(kubectl("get", "pods", "-o", "json"))
    assert (listed["kind"], [one["metadata"]["uid"] for one in listed["items"]]) == ("List", [shown["metadata"]["uid"]])
    text = kubectl("get", "pod", "shown", "-o", "yaml")
    assert text.startswith("apiVersion: v1\nkind: Pod\nmetadata:\n")
    assert "\n  phase: Running\n" in text
    assert kubectl("get", "pods", "-o", "name") == "pod/shown\n"
    assert kubectl("get", "pod", "shown", "-o", "jsonpath={.status.phase}") == "Running"
    assert kubectl("get", "pods", "-o", "custom-columns=P:.status.phase", "--no-headers") == "Running\n"


def test_selectors_choose_pods(kubectl: Kubectl) -> None:
    for name in ("one", "two", "three"):
        kubectl.create(pod(name, "true", labels={"app": name}))

    def names(*arguments: str) -> list[str]:
        return sorted(kubectl("get", "pods", "-o", "name", *arguments).split())

    kubectl("wait", "pods", "--all", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert names("-l", "app in (one, two)") == ["pod/one", "pod/two"]
    assert names("-l", "app!=one,app") == ["pod/three", "pod/two"]
    assert names("--field-selector", "metadata.name=two") == ["pod/two"]
    assert names("--field-selector", "status.phase!=Succeeded") == []
    assert names("--chunk-size=1") == ["pod/one", "pod/three", "pod/two"]
    assert "field label not supported" in kubectl.refused("get", "pods", "--field-selector", "spec.color=blue")


def test_a_watch_shows_the_way_to_the_end(kubectl: Kubectl, tls_kube: EmbeddedKube) -> None:
    with kubectl.started("get", "pods", "--watch", "--no-headers") as watching:
        kubectl.until(lambda: tls_kube.control.counts().open.get("watch pods"))
        kubectl.create(pod("watched", "sleep 0.5", initContainers=[container("prepare", "sleep 0.3")]))
        seen: list[str] = []
        for line in watching:
            cells = columns(line)[0]
            assert cells[0] == "watched"
            if not seen or seen[-1] != cells[2]:
                seen.append(cells[2])
            if cells[2] == "Completed" and kubectl.phase("watched") == "Succeeded":
                break
    assert seen[:1] + seen[-4:] == ["Pending", "Init:0/1", "PodInitializing", "Running", "Completed"]


def test_columns_know_sidecars_restarts_and_containers_that_have_ended(kubectl: Kubectl) -> None:
    side = container("side", "sleep 90", restartPolicy="Always")
    fails_once = "[ -e /d/x ] && sleep 90; touch /d/x; exit 4"
    main = container("main", fails_once, volumeMounts=[{"name": "d", "mountPath": "/d"}])
    spec = {"restartPolicy": "OnFailure", "initContainers": [side], "volumes": [{"name": "d", "emptyDir": {}}]}
    kubectl.create(pod("several", "", containers=[main, container("short", "true")], **spec))

    def row() -> list[str]:
        return columns(kubectl("get", "pod", "several", "--no-headers"))[0][:4]

    kubectl.until(lambda: row()[1:3] == ["2/3", "NotReady"])
    assert re.match(r"1 \(\d+s ago\)$", row()[3])


def test_describe_tells_the_story(kubectl: Kubectl) -> None:
    kubectl.create(pod("told", "echo to whom it may concern; exit 3", labels={"app": "told"}))
    kubectl.until(lambda: kubectl.phase("told") == "Failed")
    text = kubectl("describe", "pod", "told")
    for wanted in (
        r"^Labels: +app=told$",
        r"^Status: +Failed$",
        r"^    State: +Terminated$",
        r"^      Reason: +Error$",
        r"^      Exit Code: +3$",
        r"^  PodScheduled +True *$",
        rf"^  Normal +Scheduled +\S+ +default-scheduler +Successfully assigned {kubectl.namespace}/told to",
        r"^  Normal +Started +\S+ +kubelet +Container started$",
    ):
        assert re.search(wanted, text, re.MULTILINE), wanted


def test_events_are_those_of_the_pod(kubectl: Kubectl) -> None:
    refused = {"image": "UPPER:?"}
    kubectl.create(pod("eventful", "true", containers=[{**container("main", "true"), **refused}]))
    kubectl.until(lambda: "InspectFailed" in kubectl("get", "events"))
    rows = columns(kubectl("get", "events", "--field-selector", "type=Warning,involvedObject.name=eventful"))
    assert rows[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert ["AGE", "Warning", "InspectFailed", "pod/eventful"] in [row[:4] for row in rows]
    assert "InspectFailed" in kubectl("events", "--for", "pod/eventful", "--types=Warning")
    assert columns(kubectl("get", "pods", "--no-headers"))[0][2] == "InvalidImageName"


# -- logs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talker(tls_kube: EmbeddedKube, home: Path) -> Iterator[Kubectl]:
    """A namespace with a pod of several containers that have all written something."""
    prepare = container("prepare", "echo preparing")
    main = container("main", "for n in 1 2 3 4 5; do echo line $n; sleep 0.4; done")
    containers = [main, container("b", "echo b")]
    with Kubectl(tls_kube, home) as kubectl:
        kubectl.create(pod("talker", "", labels={"app": "talker"}, initContainers=[prepare], containers=containers))
        kubectl.until(lambda: kubectl.phase("talker") == "Succeeded")
        yield kubectl


LINES = [f"line {number}" for number in range(1, 6)]


def test_logs_of_one_container_and_of_all(talker: Kubectl) -> None:
    assert talker("logs", "talker", "-c", "main").splitlines() == LINES
    assert talker("logs", "talker", "-c", "prepare") == "preparing\n"
    every = talker("logs", "talker", "--all-containers").splitlines()  # in an order that kubectl takes from a Go map
    assert sorted(every) == sorted(["preparing", *LINES, "b"])
    prefixed = talker("logs", "-l", "app=talker", "--all-containers", "--prefix").splitlines()
    assert sorted(prefixed) == sorted(
        ["[pod/talker/prepare] preparing", *(f"[pod/talker/main] {line}" for line in LINES), "[pod/talker/b] b"]
    )
    assert "container nope is not valid for pod talker" in talker.refused("logs", "talker", "-c", "nope")
    assert 'pods "nobody" not found' in talker.refused("logs", "nobody")


def test_parts_of_a_log(talker: Kubectl) -> None:
    stamped = [line.split(" ", 1) for line in talker("logs", "talker", "-c", "main", "--timestamps").splitlines()]
    assert [text for _, text in stamped] == LINES
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp, _ in stamped)
    assert talker("logs", "talker", "-c", "main", "--tail=2").splitlines() == LINES[-2:]
    assert talker("logs", "talker", "-c", "main", "--limit-bytes=8") == "line 1\nl"
    since = stamped[-1][0]
    wanted = [text for stamp, text in stamped if stamp >= since[:19]]  # whole seconds
    assert talker("logs", "talker", "-c", "main", f"--since-time={since}").splitlines() == wanted
    assert talker("logs", "talker", "-c", "main", "--since=1h").splitlines() == LINES


def test_a_followed_log_ends_with_its_container(kubectl: Kubectl) -> None:
    kubectl.create(pod("followed", "for n in 1 2 3; do echo line $n; sleep 0.5; done; echo last"))
    kubectl.until(lambda: kubectl.phase("followed") != "Pending")
    assert kubectl("logs", "-f", "followed").splitlines() == ["line 1", "line 2", "line 3", "last"]


def test_the_log_of_the_instance_before(kubectl: Kubectl) -> None:
    kubectl.create(pod("again", "echo to fail; exit 4", restartPolicy="OnFailure"))
    kubectl.until(lambda: columns(kubectl("get", "pod", "again", "--no-headers"))[0][2] == "CrashLoopBackOff")
    assert kubectl("logs", "again", "--previous") == "to fail\n"
    kubectl.create(pod("once", WRITES))
    kubectl.until_ready("once")
    why = 'previous terminated container "main" in pod "once" not found'
    assert why in kubectl.refused("logs", "once", "--previous")


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
    *_, text = kubectl.with_token("wrong").refused("get", "pods").splitlines()  # more if it must discover the API first
    assert text == "error: You must be logged in to the server (Unauthorized)"
