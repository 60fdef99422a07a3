"""What the control endpoint does, verb by verb (`asyncrun.local.aws.client` is its client)."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from asyncrun.local.aws.ecs import EcsApi
from asyncrun.local.aws.faults import Faults, Quotas
from asyncrun.local.aws.logs import LogsApi
from asyncrun.local.aws.options import EmbeddedAwsOptions, Fault, options_from_dict
from asyncrun.local.aws.runner import Stop

if TYPE_CHECKING:
    from asyncrun.local.aws.gate import Switches

SPOT = Stop("SpotInterruption", "Your Spot Task was interrupted.")


class Controls:
    """The verbs of ``POST /_asyncrun/<verb>``: JSON in, JSON out."""

    def __init__(
        self,
        faults: Faults,
        quotas: Quotas,
        switches: Switches,
        calls: deque[dict[str, Any]],
        ecs: EcsApi,
        logs: LogsApi,
        options: EmbeddedAwsOptions,
    ) -> None:
        self._faults, self._quotas, self._switches, self._calls = faults, quotas, switches, calls
        self._ecs, self._logs, self._options = ecs, logs, options
        self._verbs = {
            "faults": self._add_faults,
            "clear-faults": self._clear_faults,
            "settings": self._settings,
            "refuse": self._refuse,
            "calls": self._read_calls,
            "interrupt": self._interrupt,
            "stop": self._stop,
            "vanish": self._vanish,
            "log-event": self._log_event,
            "processes": self._processes,
        }

    def handle(self, verb: str, params: dict[str, Any]) -> Any:
        """Carries out one verb.

        :raises KeyError: for an unknown verb, an unknown task or a missing parameter.
        :raises TypeError: for a parameter of the wrong shape.
        """
        return self._verbs[verb](params)

    def _add_faults(self, params: dict[str, Any]) -> None:
        self._faults.add([Fault(**rule) for rule in params["faults"]])

    def _clear_faults(self, _params: dict[str, Any]) -> None:
        self._faults.clear()
        self._switches.refuse_all = False

    def _settings(self, params: dict[str, Any]) -> None:
        """Quotas, policy and capacity; what is not named stays."""
        values = options_from_dict(params)
        unknown = values.keys() - {"quotas", "policy", "out_of_capacity"}
        if unknown:
            raise TypeError(f"These options are fixed once the server runs: {sorted(unknown)}")
        if "quotas" in values:
            self._quotas.replace(values["quotas"])
        if "policy" in values:
            self._switches.policy = values["policy"]
        if "out_of_capacity" in values:
            self._ecs.out_of_capacity = values["out_of_capacity"]

    def _refuse(self, params: dict[str, Any]) -> None:
        self._switches.refuse_all = bool(params["refuse"])

    def _read_calls(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        calls = list(self._calls)
        if params.get("clear"):
            for _ in calls:
                self._calls.popleft()
        return calls

    def _interrupt(self, params: dict[str, Any]) -> None:
        self._ecs.stop(self._ecs.find(params["task"]), SPOT)

    def _stop(self, params: dict[str, Any]) -> None:
        self._ecs.stop(self._ecs.find(params["task"]), Stop(params["code"], params["reason"]))

    def _vanish(self, params: dict[str, Any]) -> None:
        self._ecs.find(params["task"]).vanished = True

    def _log_event(self, params: dict[str, Any]) -> None:
        timestamp = params.get("timestamp")
        event = (int(time.time() * 1000) if timestamp is None else int(timestamp), str(params["message"]))
        self._logs.put(params.get("region") or self._options.region, params["group"], params["stream"], [event])

    def _processes(self, _params: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"pid": container.process.pid, "task": task.arn, "container": container.name}
            for task in self._ecs.tasks()
            for container in task.containers
            if container.process is not None and not container.stopped
        ]
