"""
What to do about a launch that was refused: which argument of the operator is wrong, and who must act.

ECS has few codes for many mistakes, so the sentence is chosen by its words. The class of the error is not: that is
decided by the code (``asyncrun.clients.error_codes``), and an unknown text gets the general advice.
"""

from __future__ import annotations

from asyncrun.clients.error_codes import NO_CLUSTER
from asyncrun.model.errors import NotFound, RemoteError, RequestRefused, TokenConflict

_GENERAL = "Correct the operator's arguments, or the task definition."
_NO_CLUSTER = (
    "Correct the operator's argument `cluster` (or `region_name` or `aws_conn_id`, which choose region and account), "
    "or create the cluster."
)
_OTHER_REQUEST = (
    "This try of the Airflow task has already launched an ECS task with other arguments; look for it in the cluster. "
    "The next try launches independently of it."
)
_NO_DEFINITION = "Correct the operator's argument `task_definition`, or register it in this region and account."
_INACTIVE = (
    "That revision was deregistered: give the operator's argument `task_definition` an active revision, or the family "
    "alone for its latest one."
)
_NO_NETWORK = (
    "The task definition has the network mode awsvpc: give the operator's argument `network_configuration`, "
    "{'awsvpcConfiguration': {'subnets': [...]}}."
)
_NEEDLESS_NETWORK = (
    "Leave the operator's argument `network_configuration` out, or use a task definition with the network mode awsvpc."
)
_NETWORK = "Correct the operator's argument `network_configuration`."
_NO_CONTAINER = "Correct the container's name in the operator's argument `overrides`, or the `task_definition`."
_LAUNCH_TYPE = (
    "Correct the operator's argument `launch_type`, or register the task definition for it (requiresCompatibilities)."
)
_PROVIDER = (
    "Correct the operator's argument `capacity_provider_strategy`, or associate the capacity provider with the cluster."
)
_ROLE = (
    "Whoever manages that role must let ecs-tasks.amazonaws.com assume it, and let the credentials in use pass it "
    "(iam:PassRole)."
)

_REFUSALS = {
    "taskdefinition is inactive": _INACTIVE,
    "taskdefinition not found": _NO_DEFINITION,
    "unable to describe task definition": _NO_DEFINITION,
    "network configuration must be provided": _NO_NETWORK,
    "network configuration is not valid for the given networkmode": _NEEDLESS_NETWORK,
    "is not a container in the taskdefinition": _NO_CONTAINER,
    "does not support launch_type": _LAUNCH_TYPE,
    "unable to assume the role": _ROLE,
    "capacity provider": _PROVIDER,
    "subnet": _NETWORK,
    "security group": _NETWORK,
}
"""By what ECS says, in lower case; the first that is found decides."""


def advised(error: RemoteError) -> RemoteError:
    """That error with what to do now; itself where its message says that already."""
    if isinstance(error, NotFound):
        return error.advising(_NO_CLUSTER if error.code == NO_CLUSTER else _GENERAL)
    if isinstance(error, TokenConflict):
        return error.advising(_OTHER_REQUEST)
    if isinstance(error, RequestRefused):
        said = (error.said or str(error)).lower()
        return error.advising(next((advice for words, advice in _REFUSALS.items() if words in said), _GENERAL))
    return error
