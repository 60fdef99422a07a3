"""
What docs/permissions.md promises about Kubernetes: each feature works with exactly its verbs, and where one of them is
missing it is said which, and what happens then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from asyncrun.clients.config import load_settings
from asyncrun.local.kube import Rule
from asyncrun.operators import errors
from tests.operators.pod_features import FEATURES, Feature, verb
from tests.operators.pod_stage import Permission, Stage
from tests.operators.pod_support import PodTries, asked, deferred, operator, pods, said
from tests.operators.support import Worker
from tests.support.kube_lab import KubeLab


@pytest.fixture
def stage(kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any) -> Iterator[Stage]:
    for name, value in {"ACCESS_GRACE": "1", "POD_POLL_INTERVAL": "0.2", "KILL_GRACE": "5"}.items():
        monkeypatch.setenv(f"AIRFLOW__ASYNCRUN__{name}", value)
    load_settings.cache_clear()

    def said_so_far() -> str:
        text = said(capsys, caplog)
        caplog.clear()
        return text

    yield Stage(kube, worker, said_so_far)
    load_settings.cache_clear()


def name_of(feature: Feature) -> str:
    return f"{feature.use.__name__} with {' '.join(sorted('-'.join(one) for one in feature.needs))}"


@pytest.mark.parametrize("feature", FEATURES, ids=name_of)
def test_a_feature_works_with_exactly_its_verbs(stage: Stage, feature: Feature) -> None:
    stage.allow(set(feature.needs))
    feature.use(stage)
    text = stage.said()
    assert text.count("must allow the verb") == (feature.misses is not None)
    assert feature.misses is None or verb(feature.misses) in text


MISSING = [(feature, permission) for feature in FEATURES for permission in feature.without]


@pytest.mark.parametrize(
    ("feature", "missing"), MISSING, ids=lambda one: "-".join(one) if isinstance(one, tuple) else name_of(one)
)
def test_where_one_is_missing_it_is_said_which_and_who_must_act(
    stage: Stage, feature: Feature, missing: Permission
) -> None:
    stage.allow(set(feature.needs) - {missing})
    text, works = feature.without[missing]
    raised = ""
    if works:
        feature.use(stage)
    else:
        with pytest.raises((AssertionError, errors.AsyncrunFailure)) as caught:
            feature.use(stage)
        raised = str(caught.value)
    assert re.search(text, stage.said() + raised), stage.said() + raised


def roles() -> dict[str, set[Permission]]:
    """The Roles in the documentation, by name."""
    text = (Path(__file__).parents[2] / "docs" / "permissions.md").read_text()
    found = {}
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        role = yaml.safe_load(block)
        assert (role["kind"], role["apiVersion"]) == ("Role", "rbac.authorization.k8s.io/v1")
        found[role["metadata"]["name"]] = {
            (verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
    return found


def test_the_documented_roles_are_the_sum_of_the_features_and_no_more() -> None:
    whole = set().union(*(feature.needs for feature in FEATURES))
    documented = roles()
    assert documented["asyncrun"] == whole
    assert documented["asyncrun-worker"] | documented["asyncrun-triggerer"] == whole


def test_the_documented_roles_of_workers_and_triggerers_are_enough(kube: KubeLab, stage: Stage) -> None:
    """A long XCom, a log, events, callbacks' reads, an earlier try's pod and the end, with two identities."""
    documented = roles()
    control = kube.kube.control

    def config(name: str) -> str:
        rules = [Rule(namespace="airflow", verbs=(verb,), resources=(what,)) for verb, what in documented[name]]
        return str(kube.kubeconfig(name, control.add_token(rules, user=name)))

    script = (
        """echo hello; (printf '"'; head -c 20000 /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    )
    task = operator(kube, script, do_xcom_push=True, deferrable=True, config_file=config("asyncrun-worker"),
                    log_events_on_failure=True)  # fmt: skip
    tries = PodTries(kube, stage.worker, "roles")
    tries.dies(task)
    tries.store.rows.clear()
    context = tries.context(task)
    watched = deferred(stage.worker, task, context)
    target = replace(watched.target, config_file=config("asyncrun-triggerer"))
    event = stage.end_of(replace(watched, target=target))
    assert stage.worker.call(task.execute_complete, context, event) == "x" * 20_000
    kube.until(lambda: not pods(kube))
    assert asked(kube, "create pods") == 1
    refused = [one for one in control.requests() if one.status == 403]
    assert refused == []
