"""
Which AWS account a way to AWS leads to, learned without asking for it.

AWS counts calls per account, so all connections that lead to one share its call budgets. The number stands in the ARN
of the role that a connection assumes and in the ARNs of ECS's answers. No call is made for it: GetCallerIdentity needs
no permission, but a way to STS, which private networks often lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncrun.model.arns import account_of

# Members of ECS's answers that name what is in the caller's own account. Not ``failures``: they repeat what was asked.
_OWN = ("tasks", "clusters", "taskArns", "task", "cluster", "taskDefinition")
_ARNS = ("taskArn", "clusterArn", "taskDefinitionArn")


def account_in(answer: Mapping[str, Any]) -> str | None:
    """The account number in an answer of ECS; None if it does not tell."""
    for name in _OWN:
        value = answer.get(name)
        first = value[0] if isinstance(value, list) and value else value
        arns = [first.get(one) for one in _ARNS] if isinstance(first, Mapping) else [first]
        for arn in arns:
            if (account := account_of(arn)) is not None:
                return account
    return None
