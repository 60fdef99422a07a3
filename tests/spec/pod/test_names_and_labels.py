"""Names and labels of pods."""

from __future__ import annotations

import re
import uuid

import pytest
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import (  # noqa: TID253 - no DAG file
    create_unique_id,
)
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value  # noqa: TID253
from hypothesis import assume, given
from hypothesis import strategies as st

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.labels import (
    deployment_value,
    launch_id,
    origin_labels,
    our_labels,
    safe_value,
    selector,
    task_labels,
    task_selector,
)
from asyncrun.spec.pod.names import given_name, pod_name, suffix_of
from asyncrun.spec.pod.syntax import is_dns_subdomain, is_label_value, is_qualified_name

TASK_IDS = st.from_regex(r"[A-Za-z0-9_.-]{1,250}", fullmatch=True)
LAUNCHES = st.uuids().map(launch_id)


@given(st.text(max_size=200))
def test_label_value_is_upstreams_where_that_is_valid(text: str) -> None:
    theirs = make_safe_label_value(text)
    assume(is_label_value(theirs))
    assert safe_value(text) == theirs


@given(st.text(max_size=200))
def test_label_value_is_always_valid(text: str) -> None:
    assert is_label_value(safe_value(text))


def test_label_value_of_what_has_no_safe_letter_is_a_hash() -> None:
    assert not is_label_value(make_safe_label_value("___"))  # upstream's pod would be refused
    assert re.fullmatch(r"[0-9a-f]{9}", safe_value("___"))


@given(TASK_IDS)
def test_name_from_the_task_is_upstreams(task_id: str) -> None:
    theirs = create_unique_id(task_id=task_id, unique=False)
    assume(theirs)
    assert pod_name(None, task_id, suffix="") == theirs


@given(st.none() | TASK_IDS, st.text(min_size=1, max_size=100), LAUNCHES)
def test_name_with_suffix_is_valid_and_short(name: str | None, task_id: str, launch: str) -> None:
    full = pod_name(given_name(name), task_id, suffix=suffix_of(launch))
    assume(not full.startswith("-"))
    assert len(full) <= 63
    assert is_dns_subdomain(full)


def test_name_of_only_dashes_is_upstreams() -> None:
    assert pod_name(given_name("___"), "t", suffix="12345678") == "-12345678"


def test_task_id_without_a_latin_letter_still_gives_a_name() -> None:
    assert pod_name(None, "任务", suffix="12345678") == "pod-12345678"
    assert pod_name(None, "___", suffix="") == "pod"


def test_same_launch_has_the_same_name_and_another_has_another() -> None:
    ti_id = uuid.uuid4()
    first, again, relaunch = launch_id(ti_id), launch_id(str(ti_id), 0), launch_id(ti_id, 1)
    assert suffix_of(first) == suffix_of(again) != suffix_of(relaunch)
    assert re.fullmatch(r"[0-9a-f]{24}", relaunch)
    assert re.fullmatch(r"[0-9a-z]{8}", suffix_of(first))
    assert suffix_of("0" * 24) == "00000000"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 221, 5, "ä!"])
def test_name_that_airflow_would_refuse_is_refused(name: object) -> None:
    with pytest.raises(InvalidArgument, match="name="):
        given_name(name)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("", "airflow"), ("  ", "airflow"), ("prod", "prod"), ("prod/eu west", "prodeuwest-2958a0b31")],
)
def test_deployment_is_the_selector(setting: str, value: str) -> None:
    assert deployment_value(setting) == value
    assert selector(setting) == f"asyncrun/deployment={value}"
    assert our_labels(setting, "ab") == {"asyncrun/deployment": value, "asyncrun/launch": "ab"}


def test_our_labels_are_valid() -> None:
    for name, value in our_labels("x" * 100, launch_id("t")).items():
        assert is_qualified_name(name)
        assert is_label_value(value)


def test_labels_of_a_task() -> None:
    assert task_labels(dag_id="d", task_id="t", run_id="manual__2030-01-01T00:00:00+00:00", map_index=-1) == {
        "dag_id": "d",
        "task_id": "t",
        "run_id": "manual__2030-01-01T0000000000-9bb23da23",
        "kubernetes_pod_operator": "True",
    }
    mapped = task_labels(dag_id="d", task_id="t", run_id="r", map_index=0, try_number=2)
    assert (mapped["map_index"], mapped["try_number"]) == ("0", "2")
    assert origin_labels("3.3.2+local", in_cluster=None) == {"airflow_version": "3.3.2-local"}
    assert origin_labels("3.3.2", in_cluster=True)["airflow_kpo_in_cluster"] == "True"


def test_selector_of_a_task_is_upstreams() -> None:
    from types import SimpleNamespace

    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    labels = {"team": "x", "none": None}
    operator = KubernetesPodOperator(task_id="t", image="x", labels=labels)
    ti = SimpleNamespace(dag_id="d", task_id="t", map_index=3, try_number=1)
    context = {"ti": ti, "run_id": "a b", "dag": SimpleNamespace()}
    assert task_selector(
        dag_id="d", task_id="t", run_id="a b", map_index=3, labels=labels
    ) == operator._build_find_pod_label_selector(context)
