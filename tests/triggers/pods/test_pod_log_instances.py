"""Instances of containers, as the recorded pods' states tell of them."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.pod import Pod, read_pod
from asyncrun.triggers.logs.pods.instances import Instances
from tests.support.traces import names, watched
from tests.triggers.pods.log_server import LogServer


def states(name: str) -> dict[str, list[Pod]]:
    """The pods' states in order, by uid."""
    found: dict[str, list[Pod]] = {}
    for line in watched(name):
        event = msgspec.json.decode(line)
        if event.get("type") in ("ADDED", "MODIFIED") and event["object"].get("kind") == "Pod":
            pod = read_pod(msgspec.json.encode(event["object"]))
            found.setdefault(pod.uid, []).append(pod)
    return found


@pytest.mark.parametrize("name", [name for name in names() if states(name)])
def test_every_instance_of_a_recorded_pod_is_known_and_ends_when_it_ends(name: str) -> None:
    for pods in states(name).values():
        for container in {one.name for pod in pods for one in pod.statuses()}:
            ids = {
                one.container_id for pod in pods for one in pod.statuses() if one.name == container and one.container_id
            }
            instances, seen = Instances(container), set()
            for pod in pods:
                instances.look(pod)
                assert not instances.look(pod)  # the same again is no news
                status = pod.status_of(container)
                while (one := instances.next()) is not None and one.ended:
                    one.read = True
                    seen.add(one.container_id)
                if status is not None and status.state.running is not None and not pod.is_final:
                    assert one is not None
                    assert one.container_id == status.container_id
            assert seen == ids or not pods[-1].is_final
            assert instances.done == pods[-1].is_final


@pytest.mark.looptime
async def test_an_instance_that_nobody_saw_running_is_known_by_the_one_after_it() -> None:
    server = LogServer()
    instances = Instances("main")
    server.start()
    instances.look(server.pod())
    for _ in range(2):
        server.end(exit_code=1)
        server.start()
    instances.look(server.pod())
    known = []
    while (one := instances.next()) is not None:
        known.append((one.container_id, one.ended, instances.age(one)))
        one.read = True
    assert known == [
        ("containerd://main-0", True, 2),
        ("containerd://main-1", True, 1),
        ("containerd://main-2", False, 0),
    ]
    assert not instances.done


@pytest.mark.looptime
async def test_a_container_that_waits_to_be_restarted_has_ended() -> None:
    """CrashLoopBackOff keeps the container id (trace i)."""
    pod = read_pod(
        b'{"metadata": {"uid": "u", "name": "n"}, "status": {"phase": "Running", "containerStatuses": [{"name": "main",'
        b'"containerID": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}},'
        b'"lastState": {"terminated": {"exitCode": 1, "containerID": "a"}}}]}}'
    )
    instances = Instances("main")
    assert instances.look(pod)
    one = instances.next()
    assert one is not None
    assert one.ended
    assert instances.age(one) == 0
    assert not instances.running
