"""The same calls against moto, which knows the protocol better than we do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.model.errors import NotFound
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.usefixtures("closing")
async def test_clusters_definitions_and_logs(moto: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"conn_type": "aws", "login": "AKID", "password": "secret-word"}
    extra = {"region_name": "eu-west-1", "endpoint_url": moto}
    monkeypatch.setenv("AIRFLOW_CONN_MOTO", json.dumps({**described, "extra": extra}))
    async with open_aws(AwsTarget(conn_id="moto"), settings, account="123456789012") as access:
        ecs, logs = access.ecs, access.logs()
        assert (await ecs.create_cluster({"clusterName": "c"}))["clusterName"] == "c"
        container = {"name": "main", "image": "i", "memory": 10}
        definition = await ecs.register_task_definition({"family": "f", "containerDefinitions": [container]})
        assert (await ecs.describe_task_definition("f:1"))["taskDefinitionArn"] == definition["taskDefinitionArn"]
        assert [one["clusterName"] for one in (await ecs.describe_clusters(["c"])).items] == ["c"]
        assert await ecs.list_tasks("c", started_by="me", desired_status="RUNNING") == []
        with pytest.raises(NotFound, match=r"^Cluster 'other' does not exist in eu-west-1 \(account 123456789012\);"):
            await ecs.list_tasks("other", started_by="me", desired_status="RUNNING")
        with pytest.raises(NotFound, match=r"^CloudWatch Logs FilterLogEvents in eu-west-1 for log group 'nowhere' n"):
            await logs.filter_log_events("nowhere", ["s"], start_ms=0)
        assert (await ecs.deregister_task_definition("f:1"))["status"] == "INACTIVE"
        assert (await ecs.delete_cluster("c"))["clusterName"] == "c"
