"""A target whose options cannot work: refused at once, by whom it concerns, without quoting the connection."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.clients.credentials import resolve
from asyncrun.model.errors import RemoteError, RequestRefused
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET

MISSING = "/nowhere/bundle.pem"


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize(
    "options",
    [
        {"role_arn": ROLE, "assume_role_kwargs": {"ExternalId": ["SECRET-WORD"]}},
        {"endpoint_url": "localhost:1234/SECRET-WORD"},
        {"config_kwargs": {"nonsense": "SECRET-WORD"}},
        {"role_arn": ROLE, "assume_role_method": "SECRET-WORD"},
    ],
)
async def test_what_stands_in_a_connection_is_not_in_the_traceback(
    connect: Connect, settings: Settings, options: dict[str, Any]
) -> None:
    connect(**options)
    with pytest.raises(RemoteError) as caught:
        async with open_aws(TARGET, settings):
            pass
    assert "SECRET-WORD" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize("url", ["localhost:1234", "notaurl"])
async def test_a_client_that_cannot_be_made_is_a_matter_of_the_connection(
    connect: Connect, settings: Settings, url: str
) -> None:
    connect(endpoint_url=url)
    with pytest.raises(RequestRefused) as caught:
        async with open_aws(TARGET, settings):
            pass
    assert str(caught.value) == (
        "No client for ECS in eu-west-1 can be made of the options of the credentials of Airflow connection 'aws_test' "
        "(ValueError): whoever manages Airflow connection 'aws_test' must correct endpoint_url, verify or "
        "config_kwargs."
    )


def test_a_ca_bundle_that_is_not_there_is_refused_before_any_call(
    aws: StandIn, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The SDK would report each call as a cut connection, which is waited out."""
    said = (
        f"The CA bundle '{MISSING}' does not exist on this machine: whoever runs Airflow must put it on workers and "
        "triggerer, or verify (of the operator or the connection) or AWS_CA_BUNDLE must be corrected."
    )
    connect(role_arn=ROLE)
    connect("aws_bundle", role_arn=ROLE, verify=MISSING)
    wrong = [
        AwsTarget(conn_id=None, region_name="eu-west-1", verify=MISSING),
        AwsTarget(conn_id="aws_test", verify=MISSING),
        AwsTarget(conn_id="aws_bundle"),
    ]
    for target in wrong:
        with pytest.raises(RequestRefused) as caught:
            resolve(target)
        assert str(caught.value) == said
    monkeypatch.setenv("AWS_CA_BUNDLE", MISSING)
    with pytest.raises(RequestRefused, match="AWS_CA_BUNDLE must be corrected"):
        resolve(AwsTarget(conn_id=None, region_name="eu-west-1"))
    assert aws.count("AssumeRole") == 0

    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    for target in wrong[:2]:
        assert resolve(AwsTarget(conn_id=target.conn_id, region_name="eu-west-1", verify=str(bundle))) is not None
    assert resolve(AwsTarget(conn_id=None, region_name="eu-west-1", verify=False)) is not None
