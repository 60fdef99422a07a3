"""One pod behind the shared way, and who asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings

TARGET = KubeTarget(conn_id="kube_test")
ALL = "/api/v1/namespaces/ns/pods"
ONE = f"{ALL}/p"
OLD, NEW = "old-token", "new-token"


async def get(kube: KubeAccess) -> str:
    return (await kube.pods("ns").get("p")).uid


def fresh_loop(server_url: str, settings: Settings, results: list[Any]) -> None:
    """What a worker does."""

    async def work() -> None:
        async with open_kube(TARGET, settings) as kube:
            results.append(await get(kube))
        await close_all_kube()

    asyncio.run(work())
