"""Two pods are merged as upstream's pod generator does it."""

from __future__ import annotations

import copy
import warnings
from typing import Any

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator  # noqa: TID253 - no DAG file
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client import ApiClient, Configuration  # noqa: TID253

from asyncrun.spec.pod.merge import merge_pods
from asyncrun.spec.pod.models import plain, settled

NAMES = st.sampled_from(["a", "b", "c"])


def _some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _list(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, max_size=3)


MAP = st.dictionaries(NAMES, st.sampled_from(["", "x", "y"]), max_size=3)
ENV = st.fixed_dictionaries({"name": NAMES, "value": st.sampled_from(["", "x", "y"])})
MOUNT = st.fixed_dictionaries({"name": NAMES, "mountPath": st.sampled_from(["/a", "/b"])})


def _container() -> st.SearchStrategy[dict[str, Any]]:
    optional = _some(
        image=st.sampled_from(["", "x", "y"]),
        command=_list(NAMES),
        args=_list(NAMES),
        env=_list(ENV),
        envFrom=_list(st.fixed_dictionaries({"prefix": NAMES})),
        volumeMounts=_list(MOUNT),
        volumeDevices=_list(st.fixed_dictionaries({"name": NAMES, "devicePath": st.just("/d")})),
        ports=_list(st.fixed_dictionaries({"containerPort": st.integers(1, 3)})),
        resources=_some(limits=MAP, requests=MAP),
        securityContext=_some(privileged=st.booleans(), runAsUser=st.integers(0, 2)),
        stdin=st.booleans(),
    )
    return st.builds(lambda name, rest: {"name": name, **rest}, NAMES, optional)


def _unique(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({one["name"]: one for one in containers}.values())


SPEC = st.builds(
    lambda containers, rest: {"containers": containers, **rest},
    _list(_container()),
    _some(
        initContainers=_list(_container()).map(_unique),
        volumes=_list(st.builds(lambda name: {"name": name, "emptyDir": {}}, NAMES)),
        hostNetwork=st.booleans(),
        nodeSelector=MAP,
        tolerations=_list(_some(key=NAMES)),
        securityContext=_some(runAsUser=st.integers(0, 2)),
        restartPolicy=st.sampled_from(["", "Never", "Always"]),
        terminationGracePeriodSeconds=st.integers(0, 2),
        affinity=_some(nodeAffinity=_some()),
    ),
)
POD = _some(
    apiVersion=st.just("v1"),
    metadata=_some(
        name=NAMES,
        namespace=st.sampled_from(["", "n"]),
        labels=MAP,
        annotations=MAP,
        finalizers=_list(NAMES),
        ownerReferences=_list(
            st.fixed_dictionaries({"name": NAMES, "uid": NAMES, "kind": st.just("K"), "apiVersion": st.just("v1")})
        ),
    ),
    spec=SPEC,
)


def _upstreams(base: dict[str, Any], over: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (PodGenerator.deserialize_model_dict(copy.deepcopy(one)) for one in (base, over))
        return ApiClient(Configuration()).sanitize_for_serialization(PodGenerator.reconcile_pods(first, second))


@settings(max_examples=300, deadline=None)
@given(POD, POD)
def test_merged_pod_is_upstreams(base: dict[str, Any], over: dict[str, Any]) -> None:
    first, second = (plain(one, "Pod", lenient=True) for one in (base, over))
    before = copy.deepcopy((first, second))
    assert settled(merge_pods(first, second)) == _upstreams(base, over)
    assert (first, second) == before


@settings(max_examples=100, deadline=None)
@given(POD)
def test_nothing_is_neutral(pod: dict[str, Any]) -> None:
    made = plain(pod, "Pod", lenient=True)
    assert merge_pods(made, plain({}, "Pod", lenient=True)) == made
    assert merge_pods(plain({}, "Pod", lenient=True), made) == made
