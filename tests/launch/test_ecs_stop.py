"""Stopping a task that ECS does not show yet, over the wire, against the embedded AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.launch.ecs import EcsLauncher
from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions
from asyncrun.model.errors import NotShown
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.model.settings import Settings
from tests.support.lab import QUICK, Lab, container


@pytest.fixture
def hiding_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Shows a task only a second and a half after its launch."""
    with EmbeddedAws(EmbeddedAwsOptions(delays=QUICK, describe_visibility_delay=1.5)) as aws:
        for name, value in aws.env().items():
            monkeypatch.setenv(name, value)
        yield Lab(aws)


@pytest.mark.usefixtures("closing")
async def test_a_kill_right_after_the_launch_stops_the_task(hiding_lab: Lab) -> None:
    arn = await asyncio.to_thread(hiding_lab.run, container("sleep 60"))
    async with open_aws(AwsTarget(conn_id=None), Settings()) as access:
        with pytest.raises(NotShown):
            await access.ecs.stop_task("default", arn, "kill")
        ref = EcsTaskRef(cluster="default", task_arn=arn)
        await EcsLauncher(access.ecs).stop(ref, "Stopped by Airflow: kill", missing_grace=60)
        described = await access.ecs.describe_tasks("default", [arn])
    assert described.items[0]["desiredStatus"] == "STOPPED"
    assert described.items[0]["stoppedReason"] == "Stopped by Airflow: kill"
