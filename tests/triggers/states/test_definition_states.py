"""The task definition sensor's trigger: active, inactive, not shown yet, and unknown."""

from __future__ import annotations

import time

import pytest

from tests.support.lab import Lab, container
from tests.support.memory_aws import MemoryAws, at
from tests.support.triggers import call
from tests.triggers.conftest import TaskLogReader
from tests.triggers.states.support import definition, ended, payload

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")


async def test_a_task_definition_by_family_revision_and_arn(lab: Lab) -> None:
    family = await call(lab.define, container("true"))
    arn = (await call(lab.ecs.describe_task_definition, taskDefinition=family))["taskDefinition"]["taskDefinitionArn"]
    for name in (family, f"{family}:1", arn):
        assert await payload(definition(name, "ACTIVE", failing=("INACTIVE",))) == ended("success", "ACTIVE")
    await call(lab.ecs.deregister_task_definition, taskDefinition=f"{family}:1")
    assert await payload(definition(arn, "ACTIVE", failing=("INACTIVE",))) == ended("failed", "INACTIVE")
    assert await payload(definition(arn, "INACTIVE")) == ended("success", "INACTIVE")


@pytest.mark.looptime
async def test_a_task_definition_that_is_not_shown_yet_is_waited_for(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "60")
    memory.known = False
    at(15, lambda: setattr(memory, "known", True))
    assert await payload(definition("young:1", "ACTIVE", failing=("INACTIVE",))) == ended("success", "ACTIVE")


async def test_a_task_definition_that_nobody_knows(lab: Lab) -> None:
    for wanted in ("ACTIVE", "INACTIVE"):
        began = time.time()
        end = await payload(definition("nobody", wanted))
        assert time.time() - began > 1  # missing_grace is 1 s here
        assert (end["status"], end["state"]) == ("failed", "MISSING")
        assert end["message"] == "AWS does not know it: check the name, the region and the account"
