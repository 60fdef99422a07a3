"""What a user sees by kubectl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncrun.local.kube import EmbeddedKube
from tests.local.kube.kubectl_lab import IS_INSTALLED, WRITES, Kubectl, columns, container, pod

pytestmark = [
    pytest.mark.skipif(not IS_INSTALLED, reason="kubectl is not installed"),
    pytest.mark.timeout(120),
]


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
