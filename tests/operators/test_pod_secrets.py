"""No secret comes anywhere: what is stored, what is logged, what is announced, what is raised, what is shown."""

from __future__ import annotations

import json
import pickle
from functools import partial
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from msgspec.structs import replace

from asyncrun.operators import errors
from asyncrun.operators.pod import Secret
from tests.operators.pod_support import asked, deferred, operator, pods, said
from tests.operators.support import Store, Worker
from tests.support.kube_lab import KubeLab

SECRET = "hunter2-of-the-database"
PLAIN = "s3cret-in-the-dag-file"


@pytest.mark.parametrize("deferrable", [True, False])
def test_neither_the_token_nor_a_secrets_value_comes_anywhere(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any, deferrable: bool
) -> None:
    kube.kube.control.put("secrets", kube.secret("db", password=SECRET))
    caplog.set_level("DEBUG")
    task = operator(
        kube, 'test -n "$PASS" -a -n "$PLAIN" && echo failing && exit 3', deferrable=deferrable,
        secrets=[Secret("env", "PASS", "db", "password")], env_vars={"PLAIN": PLAIN},
        init_containers=[{"name": "i", "image": "busybox", "command": ["true"],
                          "env": [{"name": "AGAIN", "value": PLAIN}]}],
        log_pod_spec_on_failure=True, log_events_on_failure=True, on_finish_action="keep_pod", init_container_logs=True,
    )  # fmt: skip
    store = Store()
    context = worker.context(task, task_state_store=store)
    written: list[str] = []
    ending = partial(worker.execute, task, context)
    if deferrable:
        watch = deferred(worker, task, context)
        event = worker.call(kube.inline_event, replace(watch, end_in_triggerer=False))
        written += [repr(watch), json.dumps(watch.to_dict()), repr(event), json.dumps(event)]
        ending = partial(worker.call, task.execute_complete, context, event)
    with pytest.raises(errors.ContainerFailed) as caught:
        ending()
    assert caught.value.outcome.exit_code == 3
    shown = said(capsys, caplog)
    assert '"name": "PLAIN",\n' in shown
    assert shown.count("(not shown)") == 2
    written += [
        shown, repr(context["ti"].xcoms), repr(store.rows), str(caught.value), repr(vars(caught.value)),
        str(pickle.dumps(caught.value)), repr(task), repr(pods(kube)[0]["metadata"]),
    ]  # fmt: skip
    for text in written:
        for secret in (SECRET, PLAIN, kube.kube.token):
            assert secret not in text
    assert len(written) >= 8


def test_the_container_may_print_it_and_that_is_its_own_business(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    """Airflow's own masker hides values of connections and variables; asyncrun adds nothing to it."""
    task = operator(kube, f"echo {PLAIN}")
    worker.execute(task, worker.context(task))
    assert PLAIN in said(capsys, caplog)


def test_a_definition_that_is_not_wanted_is_not_shown(kube: KubeLab, worker: Worker, capsys: Any, caplog: Any) -> None:
    task = operator(kube, "exit 3", log_pod_spec_on_failure=False)
    with pytest.raises(errors.ContainerFailed):
        worker.execute(task, worker.context(task))
    assert "The definition of pod" not in said(capsys, caplog)


def test_a_label_that_is_called_env_is_shown_and_hides_nothing_else(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    caplog.set_level("DEBUG")
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"env": "prod"}}}
    rules = [{"weight": 1, "podAffinityTerm": term}]
    apart = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": rules}}
    task = operator(kube, "exit 42", affinity=apart, env_vars={"PLAIN": PLAIN}, skip_on_exit_code=42)
    with pytest.raises(AirflowSkipException):
        worker.execute(task, worker.context(task))
    shown = said(capsys, caplog)
    assert '"env": "prod"' in shown
    assert PLAIN not in shown
    assert asked(kube, "delete pods") == 1
