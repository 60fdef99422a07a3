"""What an ARN tells of where its resource is."""

from __future__ import annotations

import re

# arn:partition:service:region:account:resource; an account's number has twelve digits (IAM User Guide, "Amazon
# Resource Names"). The region is empty for global services.
_ARN = re.compile(r"arn:[\w-]+:[\w-]+:(?P<region>[\w-]*):(?P<account>\d{12}):")


def region_of(arn: object) -> str | None:
    """The region in an ARN; None if there is none, or it is no ARN."""
    return _part(arn, "region")


def account_of(arn: object) -> str | None:
    """The account number in an ARN; None if there is none, or it is no ARN."""
    return _part(arn, "account")


def name_of(resource: str) -> str:
    """The last part of an ARN, or the name itself: a cluster's short name, a task's id."""
    return resource.rsplit("/", 1)[-1]


def _part(arn: object, name: str) -> str | None:
    found = _ARN.match(arn) if isinstance(arn, str) else None
    return found[name] or None if found else None
