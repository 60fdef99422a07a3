"""The processes behind the containers and the server: none outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.lab import Lab, container, logging_to, until


def test_nothing_of_a_container_outlives_it(lab: Lab) -> None:
    arn = lab.run(container("sleep 61 & echo $!; exit 0", **logging_to()))
    lab.wait(arn)
    (pid,) = lab.lines(f"p/main/{arn[-32:]}")
    until(lambda: _alive(int(pid)), lambda alive: not alive)


def _alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


_HOST = """
import os, sys
from asyncrun.local.aws import EmbeddedAws
import boto3
with EmbeddedAws() as aws:
    ecs = boto3.client("ecs", **aws.client_options())
    ecs.register_task_definition(family="f", containerDefinitions=[
        {"name": "a", "image": "x", "memory": 64, "entryPoint": ["/bin/sh", "-c"], "command": [sys.argv[1]]}])
    ecs.run_task(taskDefinition="f")
    while not aws.control.processes():
        pass
    if sys.argv[2] == "fork" and os.fork() == 0:
        os.close(1), sys.stdin.read(), os._exit(0)
    print(aws.control.processes()[0].pid, aws.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("who", ["the host", "the host with a fork", "the server", "nobody"])
def test_no_process_is_left_whoever_is_killed(who: str) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, "trap '' TERM; while :; do sleep 0.1; done", who.rpartition(" ")[2]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    assert host.stdin is not None
    with host:
        pid, server = (int(word) for word in host.stdout.readline().split())
        assert _alive(pid)
        if who != "nobody":
            os.kill(server if who == "the server" else host.pid, signal.SIGKILL)
        if who == "nobody":
            host.stdin.close()
        until(lambda: _alive(pid), lambda alive: not alive)
        host.stdin.close()
    until(lambda: _alive(server), lambda alive: not alive)


def test_a_server_that_cannot_start_says_why(lab: Lab) -> None:
    from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions, EmbeddedServerError

    port = int(lab.aws.endpoint_url.rpartition(":")[2])
    with pytest.raises(EmbeddedServerError, match="in use"), EmbeddedAws(EmbeddedAwsOptions(port=port)):
        pass
