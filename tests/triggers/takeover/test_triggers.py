"""Whole triggers that are taken over, on one log volume: the log of an ECS task, as Airflow's reader shows it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab, container, logging_to
from tests.support.supervisor import supervised
from tests.support.triggers import call, start, tell, trigger, until
from tests.triggers.takeover.volume import TI, TRIGGER_ID, Volume

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

_SOME = 30  # lines
TAKEOVER = "AIRFLOW__ASYNCRUN__LOG_TAKEOVER"


def writing(folder: Path, name: str = "main") -> dict[str, Any]:
    """A container that writes equal and other lines until it was told, and some more."""
    script = (
        f"i=0; while [ ! -e {folder}/told ]; do i=$((i+1)); echo same; echo same; echo {name} $i; sleep 0.05; done; "
        "echo the end"
    )
    return container(script, name, **logging_to())


def watcher(arn: str) -> Any:
    made = trigger(TRIGGER_ID, arn)
    made.task_instance = TI
    return made


async def killed(volume: Volume, arn: str, job: int, *, by_supervisor: bool) -> None:
    """A life until it has written some lines."""
    with volume.triggerer(job) as triggerer:
        watching = start(watcher(arn))
        await until(lambda: len(volume.texts(job)) > _SOME)
        if by_supervisor:
            triggerer.kill()
            await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.wait([watching])


@pytest.mark.parametrize("takeover", ["continue", "replay"])
async def test_the_log_of_a_task_that_was_taken_over_again_and_again_is_whole(
    lab: Lab, volume: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, takeover: str
) -> None:
    monkeypatch.setenv(TAKEOVER, takeover)
    arn = await call(lab.run, writing(tmp_path), writing(tmp_path, "side"))
    async with supervised(monkeypatch):
        await killed(volume, arn, 1, by_supervisor=True)
        await killed(volume, arn, 2, by_supervisor=False)
        await killed(volume, arn, 1, by_supervisor=True)
        with volume.triggerer(3):
            watching = start(watcher(arn))
            await until(lambda: len(volume.texts(3)) > _SOME)
            tell(tmp_path)
            await watching
    streams = await call(lab.stream_names)
    for name in ("main", "side"):
        (stream,) = [one for one in streams if one == f"p/{name}/{arn.rsplit('/', 1)[1]}"]
        source = await call(lab.lines, stream)
        assert [line.removeprefix(f"[{name}] ") for line in volume.shown(name)] == source
        assert len(source) > _SOME
    said = volume.said(3)
    if takeover == "continue":
        assert "records of this log stand in 2 earlier files and are not written again" in said
        assert len(volume.texts(3)) < len(volume.shown())
    else:
        assert "earlier" not in said
        assert volume.texts(3) == volume.shown()
