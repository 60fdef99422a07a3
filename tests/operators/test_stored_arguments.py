"""What could not be stored with a deferred task is refused before anything is launched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore import UNSIGNED  # noqa: TID253 - no DAG file

from asyncrun.local.aws import EmbeddedAws
from asyncrun.model.errors import InvalidArgument
from asyncrun.operators import errors
from asyncrun.operators.ecs import EcsCreateClusterOperator
from asyncrun.sensors.ecs import EcsClusterStateSensor
from tests.operators.support import run_task

MAKERS = [
    run_task,
    lambda **given: EcsCreateClusterOperator(task_id="t", cluster_name="c", **given),
    lambda **given: EcsClusterStateSensor(task_id="t", cluster_name="c", **given),
]


@pytest.mark.parametrize("make", MAKERS)
def test_an_object_in_botocore_config_is_refused_at_parse(make: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make(botocore_config={"signature_version": UNSIGNED})
    assert str(caught.value) == (
        "botocore_config['signature_version']=<UNSIGNED> cannot work: expected text, numbers, lists and dicts, since "
        "it is stored with the deferred task: put anything else into the Airflow connection (extra, config_kwargs; "
        'there "signature_version": "unsigned" is text)'
    )


@pytest.mark.parametrize("make", MAKERS)
def test_a_path_object_as_ca_bundle_is_refused_at_parse(make: Any) -> None:
    with pytest.raises(InvalidArgument, match="expected True, False, or the path of a CA bundle as text"):
        make(verify=Path("/etc/ca.pem"))


def test_one_that_is_set_later_is_refused_before_the_launch(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task()
    operator.botocore_config = {"s3": {"nested": [UNSIGNED]}}
    with pytest.raises(errors.InvalidArgument, match="expected text, numbers, lists and dicts"):
        worker.execute(operator, worker.context(operator))
    assert aws.control.calls("RunTask") == []


def test_what_can_be_stored_is_accepted() -> None:
    config = {"proxies": {"https": "http://proxy:3128"}, "tcp_keepalive": True, "signature_version": "v4"}
    assert run_task(botocore_config=config).target.botocore_config == config
