"""For the same arguments, our pod is the one that the installed upstream operator sends, but for a few differences."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrun.model.pod_xcom import SIDECAR_NAME
from tests.spec.pod.cases import CASES, FULL, OPERATOR, TEMPLATE, Body
from tests.spec.pod.support import TI, ours, upstreams


def _without_suffix(body: Body) -> None:
    body["metadata"]["name"] = re.sub(r"-[a-z0-9]{8}$", "-SUFFIX", body["metadata"]["name"])


def _without_our_labels(body: Body) -> None:
    for name in [name for name in body["metadata"]["labels"] if name.startswith("asyncrun/")]:
        del body["metadata"]["labels"][name]


def _secret_volumes_by_place(body: Body) -> None:
    names = [one["name"] for one in body["spec"].get("volumes") or [] if one["name"].startswith("secretvol")]
    for one in [*(body["spec"].get("volumes") or []), *(body["spec"]["containers"][0].get("volumeMounts") or [])]:
        if one["name"] in names:
            one["name"] = f"secretvol-{names.index(one['name'])}"


def _without_sidecar(body: Body) -> None:
    for where in ("containers", "initContainers"):
        if where in body["spec"]:
            body["spec"][where] = [
                one for one in body["spec"][where] if one["name"] not in (SIDECAR_NAME, "airflow-xcom-sidecar")
            ]


class Difference(NamedTuple):
    remove: Callable[[Body], None]
    reason: str


DIFFERENCES = (
    Difference(
        _without_suffix, "upstream's suffix is random; ours comes from the launch, so that a repeated launch is found"
    ),
    Difference(_without_our_labels, "ours alone: the selector of the shared watch, and the launch"),
    Difference(_secret_volumes_by_place, "upstream's names are random; ours are the same in a repeated launch"),
    Difference(_without_sidecar, "ours is a native sidecar that needs no exec; upstream's is a second main container"),
)


def _compared(body: Body) -> Body:
    for one in DIFFERENCES:
        one.remove(body)
    return body


@pytest.mark.parametrize("case", CASES)
def test_pod_is_upstreams(case: str) -> None:
    assert _compared(ours(CASES[case])) == _compared(upstreams(CASES[case]))


# Upstream cannot merge init containers that are dicts with those of a template: AttributeError.
MIXABLE = sorted(set(CASES) - {"init containers"})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(MIXABLE), min_size=2, max_size=5))
def test_pod_of_mixed_arguments_is_upstreams(cases: list[str]) -> None:
    arguments = {name: value for case in cases for name, value in CASES[case].items()}
    assert _compared(ours(arguments)) == _compared(upstreams(arguments))


def test_init_containers_as_dicts_are_merged_with_those_of_a_template() -> None:
    """Where upstream fails."""
    arguments = {**CASES["template"], "init_containers": [{"name": "setup", "args": ["mine"]}, {"name": "new"}]}
    with pytest.raises(AttributeError):
        upstreams(arguments)
    merged = ours(arguments)["spec"]["initContainers"]
    assert [(one["name"], one.get("image"), one.get("args")) for one in merged] == [
        ("setup", "setup:1", ["mine"]),
        ("other", "other:1", None),
        ("new", None, None),
    ]


@pytest.mark.parametrize("more", [{}, OPERATOR, {"full_pod_spec": FULL}, {"full_pod_spec": FULL, **OPERATOR}])
def test_template_file_is_read_as_upstream_reads_it(more: Body, tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(TEMPLATE)
    mine = ours({"pod_template_file": str(file), **more}, template=yaml.safe_load(TEMPLATE))
    assert _compared(mine) == _compared(upstreams({"pod_template_file": str(file), **more}))


@pytest.mark.parametrize(
    "changes",
    [
        {"map_index": 3},
        {"map_index": 0, "try_number": 11},
        {"dag_id": "x" * 100},
        {"task_id": "group.with.dots__and_underscores"},
        {"task_id": "t" * 200},
        {"run_id": "backfill__" + "9" * 80},
        {"run_id": "été"},
    ],
)
def test_names_and_labels_are_upstreams(changes: Body) -> None:
    ti = SimpleNamespace(**{**vars(TI), **changes})
    assert _compared(ours({"image": "x"}, ti)) == _compared(upstreams({"image": "x"}, ti))


def test_each_difference_is_one() -> None:
    """A row of the table that nothing needs would hide a real difference."""
    case = CASES["xcom and volumes"]
    for left_out in DIFFERENCES:
        mine, theirs = ours(case), upstreams(case)
        for one in DIFFERENCES:
            if one is not left_out:
                one.remove(mine)
                one.remove(theirs)
        assert mine != theirs, left_out.reason
