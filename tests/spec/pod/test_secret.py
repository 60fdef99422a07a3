"""Secrets: ours, upstream's, and others."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.secret import Secret as UpstreamSecret  # noqa: TID253 - no DAG file
from kubernetes.client import models as k8s  # noqa: TID253

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.secret import Secret, attach_secrets, looks_like_secret
from tests.spec.pod.support import ours

ARGUMENTS: list[tuple[Any, ...]] = [
    ("env", "password", "db", "key"),
    ("env", None, "db"),
    ("env", "ignored", "db"),
    ("volume", "/etc/db", "db"),
    ("volume", "/etc/db", "db", None, [k8s.V1KeyToPath(key="k", path="p")]),
    ("volume", "/etc/db", "db", None, [{"key": "k", "path": "p"}]),
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_ours_and_upstreams_make_the_same_pod(arguments: tuple[Any, ...]) -> None:
    mine, theirs = Secret(*arguments), UpstreamSecret(*arguments)
    assert ours({"image": "x", "secrets": [mine]}) == ours({"image": "x", "secrets": [theirs]})
    assert mine == theirs
    assert hash(mine) == hash(theirs)


def test_each_part_tells_secrets_apart() -> None:
    base = Secret("env", "a", "s", "k")
    others = [
        Secret("env", "b", "s", "k"),
        Secret("env", "a", "t", "k"),
        Secret("env", "a", "s", "l"),
        Secret("volume", "/a", "s"),
        Secret("volume", "/a", "s", items=[{"key": "k", "path": "p"}]),
    ]
    for index, one in enumerate(others):
        assert one != base
        assert one not in others[index + 1 :]
    assert base != "secret"
    assert repr(base) == "Secret('env', 'A', 's', 'k')"


def test_the_same_secret_in_two_folders_gives_two_volumes_which_are_always_the_same() -> None:
    secrets = [Secret("volume", "/a", "s"), Secret("volume", "/b", "s"), Secret("volume", "/c", "s")]
    first, again = (ours({"image": "x", "secrets": secrets})["spec"]["volumes"] for _ in range(2))
    assert first == again
    assert len({one["name"] for one in first}) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("file", "a", "s"), "Secret.deploy_type='file' cannot work: expected 'env' or 'volume'"),
        (
            ("env", None, "s", "k"),
            "Secret.deploy_target=None cannot work: expected the variable's name, since key is given",
        ),
        (("env", "a", "", "k"), "Secret.secret='' cannot work: expected the name of a Kubernetes secret"),
        (("volume", None, "s"), "Secret.deploy_target=None cannot work: expected the folder for the secret's files"),
        (
            ("env", 5, "s", "k"),
            "Secret.deploy_target=5 cannot work: expected the variable's name, or None for all keys",
        ),
        (
            ("volume", "/a", "s", None, [{"keys": "k"}]),
            "Secret.items[0]='keys' cannot work: expected a field of KeyToPath in Kubernetes 1.36; did you mean 'key'?",
        ),
    ],
)
def test_refused(arguments: tuple[Any, ...], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Secret(*arguments)
    assert str(refused.value) == sentence


class _OtherName(UpstreamSecret):  # type: ignore[misc]
    """A subclass that changes nothing of how the pod is changed."""


class _OtherWay(UpstreamSecret):  # type: ignore[misc]
    def to_env_secret(self) -> k8s.V1EnvVar:
        return k8s.V1EnvVar(name="MINE", value="1")


def test_subclass_with_its_own_way_is_left_to_whoever_has_the_client() -> None:
    assert looks_like_secret(_OtherName("env", "a", "s", "k"))
    other = _OtherWay("env", "a", "s", "k")
    assert not looks_like_secret(other)
    pod = {"spec": {"containers": [{"name": "base"}]}}
    with pytest.raises(InvalidArgument, match=r"secrets\[1\]=<_OtherWay> cannot work: expected asyncrun's Secret"):
        attach_secrets(pod, [Secret("env", None, "s"), other])
    assert attach_secrets(pod, [other], lambda one, pod: {**pod, "seen": one}) == {**pod, "seen": other}


def test_pod_is_not_changed() -> None:
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "base"}, {"name": "other"}]}}
    attached = attach_secrets(pod, [Secret("volume", "/a", "s"), Secret("env", None, "s")])
    assert pod == {"spec": {"containers": [{"name": "base"}, {"name": "other"}]}}
    assert attached["spec"]["containers"][1] == {"name": "other"}
