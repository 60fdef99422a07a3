"""What all operators and sensors for AWS have in common: the generic arguments, and a hook for users' own calls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions._internal.types import NOTSET, ArgNotSet

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.refs import AwsTarget
from asyncrun.spec.values import is_unrendered

if TYPE_CHECKING:
    from airflow.sdk import Context


def with_aws_fields(*names: str) -> tuple[str, ...]:
    """Template fields of a class together with the generic ones, in alphabetical order as upstream has them."""
    return tuple(sorted({"aws_conn_id", "region_name", "verify", *names}))


class AwsArguments:
    """
    The generic AWS arguments, as upstream's operators have them, and what is made of them.

    ``hook`` and ``client`` exist for users' subclasses; asyncrun itself never uses them.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None

    def _set_aws(
        self,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,
        botocore_config: dict[str, Any] | None,
        region: str | ArgNotSet | None,
    ) -> None:
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name if isinstance(region, ArgNotSet) else _old_region(region, region_name)
        self.verify = verify
        self.botocore_config = botocore_config
        if botocore_config is not None and not isinstance(botocore_config, dict):
            raise InvalidArgument("botocore_config", botocore_config, "a dict of botocore.config.Config's arguments")

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
    warnings.warn("the argument 'region' is deprecated: use 'region_name'", DeprecationWarning, stacklevel=5)
    judged = not is_unrendered(region) and not is_unrendered(region_name)
    if judged and region_name and region and region != region_name:
        raise InvalidArgument("region", region, f"nothing, or the same as region_name={region_name!r}")
    return region_name or region


class AwsOperator(AwsArguments, BaseOperator):
    """
    Base of the operators.

    :param aws_conn_id: Airflow connection with credentials; None: the SDK's own chain of credentials.
    :param region_name: AWS region; None: the connection's, or the SDK's default.
    :param verify: as in boto3: False, or a path to a CA bundle.
    :param botocore_config: arguments of ``botocore.config.Config``. Retries, time-outs and pool of asyncrun's clients
        are its own.
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
        self._set_aws(aws_conn_id, region_name, verify, botocore_config, region)

    def execute(self, context: Context) -> Any:
        """Do the operator's work; subclasses must have it."""
        raise NotImplementedError(f"{type(self).__name__} has no execute()")
