"""One launch of a pod from a worker: find that of an earlier try or create one, and take back what nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncrun.model.errors import AccessDenied, AsyncrunError, RemoteError
from asyncrun.model.pod import Pod
from asyncrun.model.refs import LaunchPhase, PodLaunchRecord, PodRef
from asyncrun.operators import remote
from asyncrun.operators.launch_notes import LaunchNotes
from asyncrun.operators.pod_callbacks import Callbacks
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.build import Sidecar, build_manifest
from asyncrun.spec.pod.checks import check_template
from asyncrun.spec.pod.labels import (
    LAUNCH,
    launch_id,
    origin_labels,
    our_labels,
    task_labels,
    task_selector,
)
from asyncrun.spec.pod.labels import selector as deployment_selector
from asyncrun.spec.pod.whole import check_manifest
from asyncrun.spec.values import as_bool, text_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.kube_api import KubeAccess, PodsApi
    from asyncrun.launch.pod import PodLauncher
    from asyncrun.model.settings import Settings

PodNotes: TypeAlias = LaunchNotes[PodLaunchRecord]

_DEFAULT_NAMESPACE = "default"


class PodLaunching:
    """
    One launch of one try.

    :param operator: a ``KubernetesPodOperator`` with rendered arguments.
    :param notes: what an earlier try left there is read where the operator is ``durable``.
    :param before_request: called before each request to create a pod; it raises where the task was killed meanwhile.
    :ivar pod: as it was when it was created or found.
    :ivar server: URL of the API server that was reached.
    :ivar callbacks: the user's, of this try.
    """

    def __init__(
        self,
        operator: Any,
        context: Context,
        settings: Settings,
        notes: PodNotes,
        callbacks: Callbacks,
        before_request: Callable[[], None],
    ) -> None:
        self._operator, self._context, self._settings, self._notes = operator, context, settings, notes
        self.callbacks, self._before_request, self._log = callbacks, before_request, operator.log
        self._arguments = PodArguments.of(operator)
        self._launcher: PodLauncher | None = None
        self._record: PodLaunchRecord | None = None  # of an earlier worker
        self._namespace = _DEFAULT_NAMESPACE
        self.pod: Pod
        self.server = ""

    def launch(self) -> tuple[PodRef, bool]:
        """
        The pod, and whether it was created now (or earlier in this try) rather than taken over.

        :raises AsyncrunError: see ``PodLauncher.launch``; or it cannot be told whether an earlier try's pod is there.
        """
        return remote.call(remote.Kube(self._operator.target), self._find_or_launch, log=self._log)

    async def _find_or_launch(self, access: KubeAccess) -> tuple[PodRef, bool]:
        from asyncrun.launch.pod import PodLauncher

        self.server = access.server
        manifest = await asyncio.to_thread(self._manifest, access)
        pods = access.pods(manifest["metadata"]["namespace"])
        self._namespace = pods.namespace
        existing = await self._of_an_earlier_try(pods)
        if existing is not None:
            # A worker that died may be replaced within the same try.
            ours = (self.pod.metadata.annotations or {}).get(LAUNCH) == launch_id(self._context["ti"].id)
            return existing, ours
        self._launcher = PodLauncher(pods, self._say, self._before_request)
        placed = await self._launcher.launch(manifest)
        self.pod = placed.pod
        if placed.warning:
            self._log.warning("%s", placed.warning)
        what = "Created pod" if placed.is_new else "This try has already created pod"
        self._log.info("%s %s (uid %s)", what, placed.ref, placed.ref.uid)
        return placed.ref, True

    def _manifest(self, access: KubeAccess) -> dict[str, Any]:
        """The pod as it is sent: built, then changed by Airflow's ``pod_mutation_hook`` and by the user's callbacks."""
        from asyncrun.clients.pod_models import from_model, mutated, to_model

        manifest = self.build(access)
        check_manifest(manifest)  # what was a template where the DAG was parsed is known now
        made = mutated(manifest)
        if self.callbacks:
            model = to_model(made)
            self.callbacks.call("on_pod_manifest_created", pod_request=model)
            made = from_model(model)
        # Hooks and callbacks may take labels off; without this an answer that gets lost would leave a pod behind.
        launch = {LAUNCH: launch_id(self._context["ti"].id)}
        made["metadata"]["annotations"] = {**(made["metadata"].get("annotations") or {}), **launch}
        return made

    def build(self, access: KubeAccess) -> dict[str, Any]:
        """The pod of the operator's arguments."""
        from asyncrun.clients.pod_models import airflow_version, attached

        ti, settings = self._context["ti"], self._settings
        launch = launch_id(ti.id)
        labels = {
            **self._owner_labels(ti.try_number),
            **origin_labels(airflow_version(), in_cluster=access.in_cluster),
            **our_labels(settings.deployment, launch),
        }
        defaults = access.sidecar
        return build_manifest(
            self._arguments,
            task_id=self._operator.task_id,
            launch=launch,
            labels=labels,
            namespace=access.namespace or access.own_namespace or _DEFAULT_NAMESPACE,
            template=self._template(),
            sidecar=Sidecar(
                image=defaults.image,
                resources=defaults.resources,
                security_context=defaults.security_context,
                limit=settings.pod_xcom_limit,
            ),
            attach=attached,
        )

    def _template(self) -> dict[str, Any] | None:
        from asyncrun.clients.pod_models import read_template

        if not self._arguments.pod_template_file:
            return None
        content = read_template(self._arguments.pod_template_file)
        check_template(content)
        return content

    def _owner_labels(self, try_number: int | None = None) -> dict[str, str]:
        """Whose pod it is; without a try: the same for all."""
        ti = self._context["ti"]
        return task_labels(
            dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index, try_number=try_number
        )

    async def _of_an_earlier_try(self, pods: PodsApi) -> PodRef | None:
        # The first try has nothing to find; a pod with its labels is that of a DAG run that was deleted and made again.
        if not as_bool("durable", self._operator.durable) or self._context["ti"].try_number <= 1:
            return None
        from asyncrun.clients.patience import patiently
        from asyncrun.launch.pod_reattach import look_for

        ti = self._context["ti"]
        ours = task_selector(
            dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index,
            labels=dict(self._operator.labels),
        )  # fmt: skip
        selector = f"{ours},{deployment_selector(self._settings.deployment)}"
        record = self._record = self._notes.read()
        look = partial(look_for, pods, record, selector=selector, base=self._arguments.base_name)
        try:
            earlier = await patiently(look, self._say)
        except RemoteError as error:
            needs = ": the verbs get and list on pods are needed" if isinstance(error, AccessDenied) else ""
            self._log.error(
                "Nothing is launched: with durable=True it must first be known whether an earlier try's pod is there, "
                "and that could not be asked%s",
                needs,
            )
            raise
        if record is not None and earlier.ref == record.ref and self._was_given_up(record):
            await self._replace(pods, record)
            return None
        if earlier.why:
            self._log.info("%s", earlier.why)
        if earlier.pod is not None:
            self.pod = earlier.pod
        return earlier.ref

    def _was_given_up(self, record: PodLaunchRecord) -> bool:
        """
        Whether an earlier try was over although a trigger answered for its pod, which still runs: a user has cleared
        the task, which means a new pod. Its trigger is told so only after this try has begun, if it is told at all.
        """
        keeps = text_of(self._operator.on_kill_action) == "keep_pod"
        is_another_try = record.ti_id != str(self._context["ti"].id)
        return record.phase is LaunchPhase.HANDED_OVER and is_another_try and not keeps

    async def _replace(self, pods: PodsApi, record: PodLaunchRecord) -> None:
        from asyncrun.clients.patience import patiently

        ref, grace = record.ref, self._operator.termination_grace_period
        self._log.info(
            "Pod %s of try %d is not taken over but deleted: its task was cleared while it was deferred (or its worker "
            "died while it deferred, which looks the same)",
            ref, record.try_number,
        )  # fmt: skip
        try:
            await patiently(lambda: pods.delete(ref.name, uid=ref.uid, grace_seconds=grace), self._say)
        except RemoteError as error:
            self._log.error("Nothing is launched: pod %s could not be deleted and may still be running: %s", ref, error)
            raise

    def _say(self, why: str) -> None:
        self._log.warning("%s", why)

    def take_back(self) -> None:
        """
        After a launch that failed or was interrupted: delete what it created, or may have created.

        Only logs: another error is under way, and this may be called while a signal is handled.
        """
        interrupted, record = self._launcher, self._record
        if interrupted is None and record is not None and record.phase is not LaunchPhase.SETTLED:
            # Not stopped: it may have ended, and be kept on purpose.
            self._log.error(
                "Pod %s of try %d was being looked for, and may still be running", record.ref, record.try_number
            )
        if interrupted is None or (interrupted.placed is None and interrupted.unanswered is None):
            return

        async def work(access: KubeAccess, _: Callable[[], None]) -> bool:
            from asyncrun.launch.pod import PodLauncher

            launcher = PodLauncher(access.pods(self._namespace))  # the interrupted one's way is closed
            launcher.placed, launcher.unanswered = interrupted.placed, interrupted.unanswered
            try:
                ref = await launcher.take_back(grace_seconds=self._operator.termination_grace_period)
            finally:
                interrupted.placed, interrupted.unanswered = launcher.placed, launcher.unanswered
            if ref is not None:
                self._log.warning("Deleting pod %s: its launch was interrupted, and nobody waits for it", ref)
            return True

        way, settings = remote.Kube(self._operator.target), remote.running_settings()
        try:
            if remote.ask_from_signal(way, work, settings=settings, log=self._log):
                return
            reason = "Kubernetes did not answer in time"
        except AsyncrunError as error:
            reason = str(error)
        what = f"Pod {interrupted.placed} was created" if interrupted.placed else "A pod may have been created"
        self._log.error(
            "%s in namespace %s, and could not be deleted; look for the label %s (%s)",
            what,
            self._namespace,
            f"{LAUNCH}={launch_id(self._context['ti'].id)}",
            reason,
        )
