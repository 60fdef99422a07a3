"""From a target to a session: what a connection becomes, and what is said where it becomes nothing."""

from __future__ import annotations

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.clients.credentials import resolve, target_hash
from asyncrun.model.errors import CredentialsExpired, Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET


def test_fingerprint_changes_with_what_matters_and_tells_nothing(connect: Connect) -> None:
    def fingerprint() -> str:
        resolved = resolve(TARGET)
        assert resolved is not None
        return resolved.fingerprint

    connect()
    first = fingerprint()
    assert fingerprint() == first
    assert "AKIDFIRST" not in first
    for change in (
        {"password": "another"},
        {"login": "AKIDSECOND"},
        {"region_name": "us-east-1"},
        {"endpoint_url": "http://127.0.0.1:1"},
        {"config_kwargs": {"proxies": {"http": "http://127.0.0.1:2"}}},
    ):
        connect(**change)  # type: ignore[arg-type]
        assert fingerprint() != first, change
    connect()
    assert resolve(TARGET, known=first) is None


def test_unreadable_connection_says_whose_task_it_is(connect: Connect) -> None:
    connect(role_arn=ROLE, assume_role_method="assume_role_with_magic")
    with pytest.raises(CredentialsExpired) as caught:
        resolve(TARGET)
    assert str(caught.value) == (
        "Airflow connection 'aws_test' cannot be made into AWS credentials (NotImplementedError): "
        "whoever manages it must correct it."
    )


def test_sts_that_is_away_is_unavailable(connect: Connect) -> None:
    connect(
        role_arn=ROLE,
        service_config={"sts": {"endpoint_url": "http://127.0.0.1:9"}},
        config_kwargs={"retries": {"total_max_attempts": 1}},
    )
    with pytest.raises(Unavailable) as caught:
        resolve(TARGET)
    assert str(caught.value) == "STS AssumeRole got no answer (EndpointConnectionError)."


def test_half_an_answer_of_sts_is_unavailable(connect: Connect, aws: StandIn) -> None:
    connect(role_arn=ROLE)
    aws.reply("AssumeRole", *[(200, "<AssumeRoleResponse><AssumeRoleResult><Creden")] * 9)
    with pytest.raises(Unavailable) as caught:
        resolve(TARGET)
    assert (caught.value.service, caught.value.operation) == ("sts", "AssumeRole")
    assert str(caught.value) == "STS AssumeRole gave half an answer (ResponseParserError)."


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize(
    ("reply", "kind", "text"),
    [
        (
            (200, '{"AccessKeyId": "AK'),
            Unavailable,
            "The source of the credentials that the AWS SDK finds in this process gave no useful answer "
            "(CredentialRetrievalError).",
        ),
        (
            (403, "no role for you"),
            CredentialsExpired,
            "There are no usable credentials for ECS in eu-west-1 (CredentialRetrievalError): whoever runs Airflow "
            "must provide them.",
        ),
    ],
)
async def test_half_an_answer_of_the_metadata_endpoint_is_an_outage_and_a_refusal_is_not(
    connect: Connect,
    aws: StandIn,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    reply: tuple[int, str],
    kind: type[Exception],
    text: str,
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws.url}/credentials")
    aws.reply("ContainerCredentials", *[reply] * 9)
    with pytest.raises(kind) as caught:
        async with open_aws(AwsTarget(conn_id=None, region_name="eu-west-1"), settings):
            pass
    assert str(caught.value) == text
    assert aws.count("ContainerCredentials") > 0


def test_hash_of_a_target_depends_on_every_field_and_not_on_the_order_of_options() -> None:
    hashes = {
        target_hash(target)
        for target in (
            AwsTarget(),
            AwsTarget(conn_id=None),
            AwsTarget(region_name="eu-west-1"),
            AwsTarget(verify=False),
            AwsTarget(botocore_config={"proxies": {"http": "p"}}),
        )
    }
    assert len(hashes) == 5
    one, two = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert target_hash(AwsTarget(botocore_config=one)) == target_hash(AwsTarget(botocore_config=two))
