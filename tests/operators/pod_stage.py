"""A cluster, credentials that may do what a Role says, and what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from msgspec.structs import replace

from asyncrun.local.kube import Rule
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.pod import PodTrigger
from asyncrun.triggers.shutdown import close_loop
from tests.operators.pod_support import deferred, operator
from tests.operators.support import Worker
from tests.support.kube_lab import KubeLab
from tests.support.triggers import event_of

Permission = tuple[str, str]
"""Verb and resource."""
CREATE, GET, LIST, WATCH = (("create", "pods"), ("get", "pods"), ("list", "pods"), ("watch", "pods"))
PATCH, DELETE, LOGS, EVENTS = (("patch", "pods"), ("delete", "pods"), ("get", "pods/log"), ("list", "events"))
SEEING = {LIST, WATCH}


class Stage:
    """A cluster, credentials that may do what the Role says, and what was said."""

    def __init__(self, kube: KubeLab, worker: Worker, said_so_far: Callable[[], str]) -> None:
        self.kube, self.worker, self._said = kube, worker, said_so_far
        self.text = ""
        self.token = ""
        self.unlabelled = False
        """Pods lose our labels, as to a webhook of the cluster."""

    def allow(self, permissions: set[Permission]) -> None:
        """From now on, exactly that."""
        rules = [Rule(namespace="airflow", verbs=(verb,), resources=(resource,)) for verb, resource in permissions]
        self.token = self.kube.kube.control.add_token(rules, user="airflow", token=self.token)

    def operator(self, script: str, **arguments: Any) -> Any:
        config = self.kube.kubeconfig("limited", self.token)
        given = {"config_file": str(config), "get_logs": False, "log_pod_spec_on_failure": False, "deferrable": True,
                 "on_finish_action": "keep_pod", "termination_grace_period": 1, **arguments}  # fmt: skip
        return operator(self.kube, script, **given)

    def watched(self, task: Any, context: Any | None = None) -> tuple[Any, Any]:
        """Created by someone who may, and watched with the Role: the context, and the trigger's event."""
        context = context or self.worker.context(task)
        role, config = task.config_file, self.kube.config
        task.config_file = str(config)
        watch = deferred(self.worker, task, context)
        task.config_file = role
        target = replace(watch.target, config_file=role)
        ref = replace(watch.ref, selector="") if self.unlabelled else watch.ref
        return context, self.end_of(replace(watch, target=target, ref=ref))

    def end_of(self, watch: Any) -> Any:
        """What its trigger reports, which leaves the pod to a worker."""
        return self.worker.call(self.kube.inline_event, replace(watch, end_in_triggerer=False))

    def ends_in_triggerer(self, script: str, action: str) -> None:
        """Created by someone who may; watched and, as it succeeds, finished by a triggerer that has the Role."""
        task = self.operator(script, on_finish_action=action)
        role, task.config_file = task.config_file, str(self.kube.config)
        watch = deferred(self.worker, task, self.worker.context(task))
        assert watch.end_in_triggerer, watch.end_reason
        made = PodTrigger(replace(watch, target=replace(watch.target, config_file=role)).to_dict())
        made.trigger_id = 1
        assert isinstance(self.worker.call(asyncio.run, with_all_that_is_left_to_do(made)), TaskSuccessEvent)

    def said(self) -> str:
        self.text += self._said()
        return self.text


async def with_all_that_is_left_to_do(made: PodTrigger) -> TriggerEvent:
    event = await event_of(made)
    await finish_all()
    await close_loop()
    return event
