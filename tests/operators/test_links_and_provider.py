"""Links to the AWS console, and the provider's metadata."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import airflow
import jsonschema
import pytest

from asyncrun.model.refs import EcsTaskRef
from asyncrun.model.settings import Settings
from asyncrun.operators.links import ecs_task_url, link_facts
from asyncrun.provider import get_provider_info

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/my-cluster/0123abcd"


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        (
            ARN,
            "https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/my-cluster/tasks/0123abcd/configuration?region=eu-west-1",
        ),
        (
            "arn:aws-cn:ecs:cn-north-1:1:task/c/t",
            "https://cn-north-1.console.amazonaws.cn/ecs/v2/clusters/c/tasks/t/configuration?region=cn-north-1",
        ),
        (
            "arn:aws-us-gov:ecs:us-gov-west-1:1:task/c/t",
            "https://us-gov-west-1.console.amazonaws-us-gov.com/ecs/v2/clusters/c/tasks/t/configuration"
            "?region=us-gov-west-1",
        ),
        (
            "arn:aws:ecs:eu-west-1:1:task/t",  # the old form
            "https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/given/tasks/t/configuration?region=eu-west-1",
        ),
        ("arn:aws-iso:ecs:us-iso-east-1:1:task/c/t", ""),
        ("nonsense", ""),
    ],
)
def test_task_link(arn: str, url: str) -> None:
    assert ecs_task_url(arn, "arn:aws:ecs:eu-west-1:1:cluster/given") == url


def test_stream_link_where_the_arguments_tell_the_stream() -> None:
    ref = EcsTaskRef(cluster="my-cluster", task_arn=ARN)
    facts = link_facts(ref, group="/ecs/a", prefix="ecs", container="main", region="us-east-1")
    assert facts["logs_url"] == (
        "https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        "#logsV2:log-groups/log-group/$252Fecs$252Fa/log-events/ecs$252Fmain$252F0123abcd"
    )


def test_logs_link_is_the_consoles_own_page_otherwise() -> None:
    ref = EcsTaskRef(cluster="my-cluster", task_arn=ARN)
    facts = link_facts(ref, group=None, prefix=None, container=None, region=None)
    assert facts["logs_url"] == ecs_task_url(ARN, "my-cluster", "logs")


def test_provider_info_is_what_airflow_accepts() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_everything_that_the_provider_names_exists() -> None:
    info = get_provider_info()
    for kind in ("operators", "sensors", "triggers"):
        for one in info[kind]:
            assert one["integration-name"] in {known["integration-name"] for known in info["integrations"]}
            for module in one["python-modules"]:
                import_module(module)
    for path in info["extra-links"]:
        module, name = path.rsplit(".", 1)
        assert getattr(import_module(module), name).name


def test_every_setting_is_a_config_option_with_its_default() -> None:
    options = get_provider_info()["config"]["asyncrun"]["options"]
    assert list(options) == [one.name for one in fields(Settings)]
    assert Settings.load(lambda name: options[name]["default"]) == Settings()


def test_provider_info_needs_no_airflow() -> None:
    code = (
        "import sys; import asyncrun.provider as p; p.get_provider_info();"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('airflow', 'botocore', 'aiobotocore')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
