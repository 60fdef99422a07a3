"""The embedded ECS and CloudWatch: every container is a local process, the APIs are those of AWS.

    with EmbeddedAws() as aws:
        ecs = boto3.client("ecs", **aws.client_options())

A development tool: it is never imported by the product. It imitates what is told in the AWS documentation; where it
decides by rule, the rules are these:

==============================================================  ======================================================
an image whose name contains ``does-not-exist``                 TaskFailedToStart, CannotPullContainerError
a container secret whose ``valueFrom`` contains ``missing``     TaskFailedToStart, ResourceInitializationError
an execution or task role whose ARN contains ``missing``        RunTask is refused: ClientException, "ECS was unable to
                                                                assume the role"
an awslogs group that does not exist, and no                    TaskFailedToStart, ResourceInitializationError (EC2:
``awslogs-create-group``                                        CannotStartContainerError)
a program that cannot be found                                  TaskFailedToStart, CannotStartContainerError
a process tree that outgrows the container's ``memory``         exit code 137, OutOfMemoryError (without ``memory``: the
(checked twice a second, shared pages counted per process)      task's)
``out_of_capacity`` names the launch type or provider           RunTask answers ``failures``
==============================================================  ======================================================

What a container gets: ``entryPoint`` and ``command`` (as overridden), a clean environment with its own variables, and
an empty working directory that is its HOME. ``python`` is the interpreter of the server. An image without a command
prints a line and ends with 0. A secret's value is ``value of <valueFrom>``. There are no volumes, no network and no
file system of its own; health checks are not run (``dependsOn: HEALTHY`` counts as START).

Not imitated: services, StartTask, placement constraints, IAM (but for ``policy``), signatures, SIGTERM being ignored by
a first process without a handler.
"""

from __future__ import annotations

from asyncrun.local.aws.client import AwsControl, Call, LiveProcess
from asyncrun.local.aws.embedded import EmbeddedAws
from asyncrun.local.aws.options import EmbeddedAwsOptions, Fault, FaultKind, LifecycleDelays
from asyncrun.local.server_process import EmbeddedServerError

__all__ = [
    "EmbeddedAws",
    "EmbeddedAwsOptions",
    "LifecycleDelays",
    "Fault",
    "FaultKind",
    "AwsControl",
    "Call",
    "LiveProcess",
    "EmbeddedServerError",
]
