"""
What RunTask would surely refuse, said where the DAG is parsed. Pure.

Each rule names where AWS documents it (API reference: "RunTask" and the types it links to); whatever AWS may accept
for some account, cluster or task definition is not judged here. Templates are judged once they are rendered.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.ecs import RunTaskArguments
from asyncrun.spec.values import as_seconds, check_text, check_type, is_unrendered

LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")
QUOTA_RETRY_KEYS = ("multiplier", "min", "max", "stop_after_delay")
_PUBLIC_IP = ("ENABLED", "DISABLED")


def check_run_task(arguments: RunTaskArguments) -> None:
    """
    Check everything that becomes part of the request.

    :raises InvalidArgument: naming the argument, its value and what is allowed.
    """
    check_text("task_definition", arguments.task_definition, "a family, family:revision or ARN")
    check_text("cluster", arguments.cluster, "the name or ARN of a cluster")
    check_overrides(arguments.overrides)
    _check_placement(arguments)
    _check_network(arguments)
    _check_tags(arguments.tags)
    _check_propagate(arguments.propagate_tags)
    for name in ("volume_configurations", "placement_constraints", "placement_strategy"):
        value = getattr(arguments, name)
        if value is not None:
            check_type(name, value, (list, tuple), "a list of dicts, as in RunTask")
    if arguments.enable_execute_command is not None:
        check_type("enable_execute_command", arguments.enable_execute_command, bool, "True, False or None")


def check_overrides(overrides: object) -> None:
    """
    Check the shape of RunTask's ``overrides``; messages show names and types only: environments hold secrets.

    :raises InvalidArgument: where it cannot be a TaskOverride.
    """
    check_type("overrides", overrides, Mapping, "a dict, as RunTask's overrides; {} for none")
    if not isinstance(overrides, Mapping):
        return
    listed = overrides.get("containerOverrides")
    if listed is None or is_unrendered(listed):
        return
    check_type("overrides['containerOverrides']", listed, (list, tuple), "a list of dicts, each with a 'name'")
    for index, one in enumerate(listed):
        _check_container_override(f"overrides['containerOverrides'][{index}]", one)


def _check_container_override(where: str, one: object) -> None:
    check_type(where, one, Mapping, "a dict with a 'name'")
    if not isinstance(one, Mapping):
        return
    # ContainerOverride, name: "This parameter is required if any override is specified."
    check_text(f"{where}['name']", one.get("name"), "the name of a container in the task definition")
    _check_command(f"{where}['command']", one.get("command"))
    _check_environment(f"{where}['environment']", one.get("environment"))


def _check_command(where: str, command: object) -> None:
    if command is None or is_unrendered(command):
        return
    # ContainerOverride, command: array of strings.
    check_type(where, command, (list, tuple), "a list of strings")
    if isinstance(command, (list, tuple)):
        for index, word in enumerate(command):
            check_type(f"{where}[{index}]", word, str, "a string")


def _check_environment(where: str, environment: object) -> None:
    if environment is None or is_unrendered(environment):
        return
    check_type(where, environment, (list, tuple), "a list of {'name': ..., 'value': ...} with strings")
    if not isinstance(environment, (list, tuple)):
        return
    for index, pair in enumerate(environment):
        check_type(f"{where}[{index}]", pair, Mapping, "{'name': ..., 'value': ...} with strings")
        if isinstance(pair, Mapping):
            for key in ("name", "value"):
                # KeyValuePair: both are strings; the SDK refuses a number.
                if key in pair:
                    check_type(f"{where}[{index}]['{key}']", pair[key], str, "a string")


def _check_placement(arguments: RunTaskArguments) -> None:
    strategy = arguments.capacity_provider_strategy
    if strategy:
        _check_strategy(strategy)
        return
    launch_type = arguments.launch_type
    if not launch_type or is_unrendered(launch_type):
        return
    if launch_type not in LAUNCH_TYPES:
        raise InvalidArgument("launch_type", launch_type, _one_of(LAUNCH_TYPES))
    version = arguments.platform_version
    if launch_type == "EC2" and version and not is_unrendered(version):
        # RunTask, platformVersion: only for tasks on Fargate; ECS answers that it "must be null when specifying an
        # EC2 launch type".
        raise InvalidArgument(
            "platform_version", version, "None with launch_type='EC2' (the default): it is for FARGATE only"
        )


def _check_strategy(strategy: object) -> None:
    if is_unrendered(strategy):
        return
    name = "capacity_provider_strategy"
    allowed = "a list of {'capacityProvider': ..., 'weight': ..., 'base': ...}"
    check_type(name, strategy, (list, tuple), allowed)
    if not isinstance(strategy, (list, tuple)):
        return
    if len(strategy) > 20:  # RunTask: "can contain a maximum of 20 capacity providers"
        raise InvalidArgument(name, f"{len(strategy)} entries", "at most 20 capacity providers")
    bases = 0
    for index, one in enumerate(strategy):
        check_type(f"{name}[{index}]", one, Mapping, allowed)
        if not isinstance(one, Mapping):
            continue
        if not one.get("capacityProvider"):  # CapacityProviderStrategyItem: required
            raise InvalidArgument(f"{name}[{index}]['capacityProvider']", one.get("capacityProvider"), "a name")
        _check_range(f"{name}[{index}]['weight']", one.get("weight"), 1000)
        _check_range(f"{name}[{index}]['base']", one.get("base"), 100000)
        bases += bool(one.get("base"))
    if bases > 1:  # CapacityProviderStrategyItem, base: "Only one capacity provider ... can have a base defined."
        raise InvalidArgument(name, f"{bases} entries with a base", "at most one entry with a base")


def _check_range(where: str, value: object, largest: int) -> None:
    if value is None or is_unrendered(value):
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise InvalidArgument(where, value, f"a whole number from 0 to {largest}")


def _check_network(arguments: RunTaskArguments) -> None:
    network = arguments.network_configuration
    fargate = arguments.launch_type == "FARGATE" and not arguments.capacity_provider_strategy
    if not network:
        if fargate:
            # Fargate knows the network mode awsvpc only, and RunTask, networkConfiguration: "required for task
            # definitions that use the awsvpc network mode".
            raise InvalidArgument(
                "network_configuration",
                network,
                "{'awsvpcConfiguration': {'subnets': [...], ...}}: launch_type='FARGATE' needs subnets",
            )
        return
    check_type("network_configuration", network, Mapping, "{'awsvpcConfiguration': {'subnets': [...], ...}}")
    if is_unrendered(network):
        return
    vpc = network.get("awsvpcConfiguration")
    if vpc is None and fargate:
        raise InvalidArgument("network_configuration", sorted(network), "a dict with 'awsvpcConfiguration'")
    if vpc is None or is_unrendered(vpc):
        return
    where = "network_configuration['awsvpcConfiguration']"
    check_type(where, vpc, Mapping, "{'subnets': [...], ...}")
    if not vpc.get("subnets"):  # AwsVpcConfiguration, subnets: required
        raise InvalidArgument(f"{where}['subnets']", vpc.get("subnets"), "at least one subnet id")
    public = vpc.get("assignPublicIp")
    if public is not None and not is_unrendered(public) and public not in _PUBLIC_IP:
        raise InvalidArgument(f"{where}['assignPublicIp']", public, _one_of(_PUBLIC_IP))


def _check_tags(tags: object) -> None:
    if tags is None or is_unrendered(tags):
        return
    check_type("tags", tags, Mapping, "a dict of strings to strings")
    if not isinstance(tags, Mapping):
        return
    if len(tags) > 50:  # RunTask, tags: at most 50
        raise InvalidArgument("tags", f"{len(tags)} tags", "at most 50 tags")
    for key, value in tags.items():
        if not isinstance(key, str) or not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            # Tag, key: 1 to 128 characters; the prefix aws: is reserved
            raise InvalidArgument("tags", key, "keys that are strings of 1 to 128 characters, not beginning with aws:")
        check_type(f"tags[{key!r}]", value, str, "a string")
        if isinstance(value, str) and len(value) > 256 and not is_unrendered(value):
            raise InvalidArgument(f"tags[{key!r}]", f"{len(value)} characters", "at most 256 characters")


def _check_propagate(value: object) -> None:
    if value is None or is_unrendered(value):
        return
    if value not in ("TASK_DEFINITION", "NONE"):
        # RunTask, propagateTags: "An error will be received if you specify the SERVICE option when running a task."
        raise InvalidArgument("propagate_tags", value, "TASK_DEFINITION, NONE or nothing")


def check_quota_retry(value: object) -> None:
    """
    Check ``quota_retry``.

    :raises InvalidArgument: it is no dict of the keys that upstream knows, or a value is no number of seconds.
    """
    if value is None:
        return
    allowed = f"a dict with keys out of {', '.join(QUOTA_RETRY_KEYS)} (seconds)"
    check_type("quota_retry", value, Mapping, allowed)
    if isinstance(value, Mapping):
        for key, number in value.items():
            if key not in QUOTA_RETRY_KEYS:
                raise InvalidArgument("quota_retry", key, allowed)
            as_seconds(f"quota_retry[{key!r}]", number, zero=True)


def _one_of(allowed: tuple[str, ...]) -> str:
    return f"one of {', '.join(allowed)}"


def check_container_definitions(definitions: object) -> None:
    """
    Check the shape of RegisterTaskDefinition's ``containerDefinitions``; messages show names and types only.

    :raises InvalidArgument: where it cannot be a list of ContainerDefinition.
    """
    allowed = "a list of container definitions, each a dict with a 'name'"
    check_type("container_definitions", definitions, (list, tuple), allowed)
    if isinstance(definitions, (list, tuple)):
        for index, one in enumerate(definitions):
            check_type(f"container_definitions[{index}]", one, Mapping, allowed)
