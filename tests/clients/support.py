"""What tests of the shared way to AWS have in common: a target, a role, and two small waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

from asyncrun.clients.aws import open_aws
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings

TARGET = AwsTarget(conn_id="aws_test")
ROLE = "arn:aws:iam::123456789012:role/runner"


async def open_once(settings: Settings) -> str:
    """Open and leave it; the region."""
    async with open_aws(TARGET, settings) as access:
        return access.region


async def until(condition: Callable[[], object], limit: float = 10) -> None:
    """Until the condition, a function or coroutine function, is true: the stand-in answers in threads of its own."""
    async with asyncio.timeout(limit):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return
            await asyncio.sleep(0.01)
