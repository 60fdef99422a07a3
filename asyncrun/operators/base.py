"""What all operators and sensors for AWS have in common: the generic arguments, and a hook for users' own calls."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from warnings import warn  # Airflow replaces the name `warnings` in modules with operators, and guesses the level

from airflow.sdk import BaseOperator
from airflow.sdk.definitions._internal.types import NOTSET, ArgNotSet
from msgspec import to_builtins

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.refs import AwsTarget
from asyncrun.spec.values import Kind, check_botocore_config, check_type, is_unrendered


def with_aws_fields(*names: str) -> tuple[str, ...]:
    """Template fields of a class together with the generic ones, in alphabetical order as upstream has them."""
    return tuple(sorted({"aws_conn_id", "region_name", "verify", *names}))


class AwsOperator(BaseOperator):
    """
    Base of the operators and, beside Airflow's ``BaseSensorOperator``, of the sensors.

    ``hook`` and ``client`` exist for users' subclasses; asyncrun itself never uses them.

    :param aws_conn_id: Airflow connection with credentials; None: the SDK's own chain of credentials.
    :param region_name: AWS region; None: the connection's, or the SDK's default.
    :param verify: as in boto3: False, or a path to a CA bundle.
    :param botocore_config: arguments of ``botocore.config.Config``. Retries, time-outs and pool of asyncrun's clients
        are its own. It is stored with a deferred task, so a proxy's user and password belong into the connection
        (extra, ``config_kwargs``) or the environment (``HTTPS_PROXY``).
    :param region: old name of ``region_name``.
    """

    template_fields: Sequence[str] = with_aws_fields()

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        region: str | ArgNotSet | None = NOTSET,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name if isinstance(region, ArgNotSet) else _old_region(region, region_name)
        self.verify = verify
        self.botocore_config = botocore_config
        self._check_target()

    def _check_target(self) -> None:
        """Refuse what could not be stored with a deferred task: that would be found out only after the launch."""
        check_type("verify", self.verify, (bool, str, type(None)), "True, False, or the path of a CA bundle as text")
        if self.botocore_config is None:
            return
        check_botocore_config(self.botocore_config)
        if is_unrendered(self.botocore_config):
            return
        for name, value in self.botocore_config.items():
            try:
                to_builtins(value)
            except (TypeError, ValueError, RecursionError):
                raise InvalidArgument(
                    f"botocore_config[{name!r}]",
                    Kind(value),
                    "text, numbers, lists and dicts, since it is stored with the deferred task: put anything else into "
                    'the Airflow connection (extra, config_kwargs; there "signature_version": "unsigned" is text)',
                ) from None

    @property
    def target(self) -> AwsTarget:
        """Where calls go and with whose credentials. An empty connection id means none, as upstream has it."""
        return AwsTarget(
            conn_id=self.aws_conn_id or None,
            region_name=self.region_name or None,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )

    @cached_property
    def hook(self) -> Any:
        """The amazon provider's ``EcsHook`` with this operator's generic arguments, built when first used."""
        from airflow.providers.amazon.aws.hooks.ecs import EcsHook

        return EcsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )

    @cached_property
    def client(self) -> Any:
        """boto3's ECS client from that hook, built when first used. Synchronous."""
        return self.hook.conn


def _old_region(region: str | None, region_name: str | None) -> str | None:
    """
    ``region`` is upstream's old name of ``region_name``.

    Upstream's present version accepts and ignores it, so that a run silently goes to another region; we do what the
    argument says, and refuse a contradiction.
    """
    message = "the argument 'region' is deprecated: use 'region_name'"
    warn(message, DeprecationWarning, stacklevel=_users_level())
    judged = not is_unrendered(region) and not is_unrendered(region_name)
    if judged and region_name and region and region != region_name:
        raise InvalidArgument("region", region, f"nothing, or the same as region_name={region_name!r}")
    return region_name or region


def _users_level() -> int:
    """``stacklevel`` of the nearest caller's caller that is the user's code: a DAG file, or a subclass."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - what warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("asyncrun.", "airflow.")):
        level, frame = level + 1, frame.f_back
    return level
