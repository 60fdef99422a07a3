"""
From an ``AwsTarget`` to an SDK session: the look-up of its connection, and whose credentials come of it.

Resolving an Airflow connection is the amazon provider's trade; its hook is asked, in a thread (in the triggerer every
look-up is a round trip of 50-230 ms, and the hook calls STS synchronously).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from asyncrun.clients.faults import cause_outside, sdk_errors, translate
from asyncrun.clients.refresh import refresh_in_threads
from asyncrun.clients.wording import Call
from asyncrun.model.arns import account_of
from asyncrun.model.errors import AccessDenied, CredentialsExpired, RemoteError, RequestRefused, Unavailable
from asyncrun.model.refs import AwsTarget

_SERVICES = ("ecs", "logs")

_SALT = os.urandom(16)  # a fingerprint is worth nothing outside of this process


@dataclass(frozen=True, slots=True, repr=False)
class Resolved:
    """
    What a target resolves to. Holds credentials within ``session``: never log it.

    :param session: aiobotocore session.
    :param endpoints: by service, where the connection names one.
    :param config: ``botocore.config.Config`` of the user, or None.
    :param fingerprint: equal for equal connections; a salted hash.
    :param found: whether the Airflow connection exists; else the SDK's own chain of credentials is used.
    :param identity: whose credentials these are, as the end of "the credentials ...".
    :param steward: who can mend them.
    :param account: number of their account, where the connection tells it: that of the role to assume.
    """

    session: Any
    region: str
    verify: bool | str | None
    endpoints: dict[str, str | None]
    config: Any
    fingerprint: str
    found: bool
    identity: str
    steward: str
    account: str | None = None

    def __repr__(self) -> str:
        return f"<Resolved: the credentials {self.identity}, {self.region}>"


def target_hash(target: AwsTarget) -> str:
    """What identifies a target in this process: equal for equal targets. Stays the same when credentials rotate."""
    encoded = msgspec.json.encode(target, order="sorted", enc_hook=repr)
    return hashlib.sha256(encoded).hexdigest()[:16]


def resolve(target: AwsTarget, known: str | None = None) -> Resolved | None:
    """
    Look up the target's connection and make a session. Blocks: call it in a thread.

    :param known: fingerprint of what is in use; an unchanged connection is then not resolved any further.
    :return: None if the fingerprint is still ``known``.
    :raises RemoteError: saying who must act.
    """
    if not target.conn_id:
        return None if known == _OWN_CHAIN else _own_chain(target)
    try:
        return _connection(target, known)
    except RemoteError:
        raise
    except PermissionError as error:
        raise AccessDenied(
            f"Airflow denies access to connection {target.conn_id!r}: whoever runs Airflow must allow it.",
            service="airflow",
        ) from error
    except sdk_errors() as error:
        raise _unresolvable(error, target) from cause_outside(error)


_OWN_CHAIN = "the SDK's own chain"


def _own_chain(target: AwsTarget) -> Resolved:
    from aiobotocore.session import get_session
    from botocore.config import Config

    _check_bundle(target.verify)
    session = _prepared(get_session())
    if target.region_name:
        session.set_config_variable("region", target.region_name)
    return Resolved(
        session=session,
        region=_region(target.region_name or session.get_config_variable("region"), target),
        verify=target.verify,
        endpoints={},
        config=_user_config(target, Config),
        fingerprint=_OWN_CHAIN,
        found=True,
        identity="that the AWS SDK finds in this process",
        steward="whoever runs Airflow",
    )


def _connection(target: AwsTarget, known: str | None) -> Resolved | None:
    from botocore.config import Config

    hook = _hook_class()(
        aws_conn_id=target.conn_id,
        region_name=target.region_name,
        verify=target.verify,
        client_type="ecs",
        config=_user_config(target, Config),
    )
    wrapper = hook.conn_config
    fingerprint = _fingerprint(wrapper, target)
    if fingerprint == known:
        return None
    _check_bundle(wrapper.verify)
    session = _prepared(hook.get_session(region_name=wrapper.region_name, deferrable=True))
    refresh_in_threads(session)
    found = bool(wrapper)
    identity = f"of Airflow connection {target.conn_id!r}"
    if not found:
        identity = f"that the AWS SDK finds in this process (there is no Airflow connection {target.conn_id!r})"
    return Resolved(
        session=session,
        region=_region(wrapper.region_name or session.get_config_variable("region"), target),
        verify=wrapper.verify,
        endpoints={service: wrapper.get_service_endpoint_url(service) for service in _SERVICES},
        config=wrapper.botocore_config,
        fingerprint=fingerprint,
        found=found,
        identity=identity,
        steward=f"whoever manages Airflow connection {target.conn_id!r}",
        account=account_of(wrapper.role_arn),
    )


def _hook_class() -> Any:
    try:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    except ImportError as error:
        raise RequestRefused(
            "An Airflow connection cannot be used for AWS: the amazon provider is not installed here. "
            "Whoever runs Airflow must install asyncrun[aws], or the operator must say aws_conn_id=None.",
            service="airflow",
        ) from error
    return AwsGenericHook


def _user_config(target: AwsTarget, config_class: Any) -> Any:
    if not target.botocore_config:
        return None
    from botocore.exceptions import BotoCoreError

    try:
        return config_class(**target.botocore_config)
    except (TypeError, ValueError, BotoCoreError) as error:
        raise RequestRefused(
            f"botocore_config cannot work: {' '.join(str(error).split())[:300]}", service="airflow"
        ) from error


def _region(name: str | None, target: AwsTarget) -> str:
    if name:
        return name
    where = f"in the extra of Airflow connection {target.conn_id!r}" if target.conn_id else "in AWS_DEFAULT_REGION"
    raise RequestRefused(f"No AWS region is known: set region_name on the operator, or region_name {where}.")


def _check_bundle(verify: bool | str | None) -> None:
    """Refuse a CA bundle that is not here: the SDK would report each call as a cut connection, which is waited out."""
    bundle = os.environ.get("AWS_CA_BUNDLE") if verify is None else verify
    if isinstance(bundle, str) and bundle and not Path(bundle).exists():
        raise RequestRefused(
            f"The CA bundle {bundle!r} does not exist on this machine: whoever runs Airflow must put it on workers and "
            "triggerer, or verify (of the operator or the connection) or AWS_CA_BUNDLE must be corrected.",
            service="airflow",
        )


def _unresolvable(error: BaseException, target: AwsTarget) -> RemoteError:
    """The hook could not make credentials of the connection. Its own text may hold parts of the connection."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    name = f"Airflow connection {target.conn_id!r}"
    if isinstance(error, (ClientError, BotoCoreError, ResponseParserError)):
        call = Call(
            service="sts",
            operation="AssumeRole",
            region=target.region_name or "",
            identity=f"of {name}",
            steward=f"whoever manages {name}",
        )
        return translate(error, call)
    if isinstance(error, OSError):
        return Unavailable(f"{name} cannot be resolved at the moment ({type(error).__name__}).", service="airflow")
    return CredentialsExpired(
        f"{name} cannot be made into AWS credentials ({type(error).__name__}): whoever manages it must correct it.",
        service="airflow",
    )


def _fingerprint(wrapper: Any, target: AwsTarget) -> str:
    """Everything in the connection that matters: credentials, region, endpoints, role, options."""
    facts = [
        bool(wrapper),
        wrapper.aws_access_key_id,
        wrapper.aws_secret_access_key,
        wrapper.aws_session_token,
        wrapper.region_name,
        wrapper.verify,
        sorted((wrapper.extra_config or {}).items(), key=lambda item: str(item[0])),
        target_hash(target),
    ]
    return hashlib.blake2b(repr(facts).encode(), key=_SALT, digest_size=16).hexdigest()


@lru_cache(maxsize=1)
def _loader() -> Any:
    """One for the process: a session loads the same ~10 MB of service descriptions otherwise, once more."""
    from botocore.loaders import Loader

    return Loader()


def _prepared(session: Any) -> Any:
    session.register_component("data_loader", _loader())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
    return session


def _time(value: Any) -> Any:
    """
    Times of ECS and CloudWatch Logs stay the numbers that they are on the wire.

    Parsing them costs more than half of a DescribeTasks answer (measured: 46 and 19 ms for 100 tasks). STS and others
    that the same session calls answer with text; text that is no time is handed through.
    """
    if not isinstance(value, str):
        return value
    from botocore.utils import parse_timestamp

    try:
        return parse_timestamp(value)
    except ValueError:
        return value
