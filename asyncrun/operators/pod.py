"""``KubernetesPodOperator``: its arguments, and how it launches, watches and stops pods."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from asyncrun.model.event import PodCompletionEvent
from asyncrun.model.refs import KubeTarget, PodLaunchRecord, PodRef
from asyncrun.operators import pod_ending, remote
from asyncrun.operators.launch_notes import LaunchNotes
from asyncrun.operators.pod_arguments import check_arguments, plain_fields, refuse_old_arguments
from asyncrun.operators.pod_callbacks import Callbacks, Observer, needs_worker
from asyncrun.operators.pod_launching import PodLaunching, PodNotes
from asyncrun.operators.pod_watching import pod_watch
from asyncrun.operators.run_control import announce
from asyncrun.operators.running import Launched, RunOperator
from asyncrun.spec.pod.secret import Secret

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import Context

    from asyncrun.model.pod_watch import PodWatch
    from asyncrun.model.settings import Settings
    from asyncrun.triggers.pod import PodTrigger

__all__ = ["KubernetesPodOperator", "Secret"]


class KubernetesPodOperator(RunOperator):
    """
    Run a pod on Kubernetes and wait for its end in the triggerer, with its containers' logs live in the task's log.

    Arguments are those of the cncf.kubernetes provider's operator of the same name, and take ``kubernetes.client``
    models, ``kubernetes_asyncio`` models and plain dicts alike. What differs:

    - ``deferrable`` is True by default; see there.
    - All pods of a namespace are watched by one connection: ``poll_interval``, ``startup_check_interval_seconds``,
      ``base_container_status_polling_interval`` and ``logging_interval`` are accepted and have no meaning. Logs are
      live and whole without ``logging_interval``.
    - XCom needs no ``pods/exec``: a native sidecar hands the value over, which needs Kubernetes 1.29.
    - The base container decides: sidecars neither keep a task waiting nor fail it.
    - The launch is idempotent within a try: a worker that dies and starts the same try again gets the same pod.
    - Killing the Airflow task (marked as failed or success, or cleared) deletes the pod, deferred or not.
    - The errors are the classes of ``asyncrun.operators.errors``, all of them ``AirflowException``.

    Only what is ours or needs a word is described here; the rest is as upstream documents it.

    :param kubernetes_conn_id: Airflow connection of the cluster. Resolved again in the triggerer: no credential is
        stored with the deferred task.
    :param config_file: path of a kubeconfig file. Triggerers need it, too: its content is not stored.
    :param random_name_suffix: the pod's name ends in eight characters that are this try's.
    :param durable: take over the pod of an earlier try whose worker died, also where it has ended since. What ended in
        sight of an earlier try is not taken over: a retry means a new pod.
    :param reattach_on_restart: old name of ``durable``.
    :param schedule_timeout_seconds: until a node must have been found; as ``startup_timeout_seconds`` if not given.
    :param startup_timeout_seconds: from there until the pod must have started. What can never start (an image name
        that is none) is given up at once.
    :param log_events_on_startup: a pod that has not started after ten seconds has its events in the task log.
    :param log_pod_spec_on_failure: the pod's definition in the task log, without the values of variables.
    :param container_name_log_prefix_enabled: with several containers, their lines begin with ``[name]``.
    :param log_formatter: code of the DAG file: the task then waits in the worker. So do ``progress_callback``, and
        callbacks that have ``on_pod_starting`` or ``progress_callback``.
    :param deferrable: True: wait in the triggerer, without a worker slot. False: wait in the worker. Airflow's
        ``[operators] default_deferrable`` is not asked, for the reason that ``EcsRunTaskOperator`` gives.
    :param skip_on_exit_code: an exit code of the base container, or a container of them, that skips the Airflow task.
    :param on_finish_action: also what happens at ``execution_timeout`` of a deferred task, or to a pod that does not
        start: where it is to be kept, it is ended by its active deadline, and its object and logs stay. (Airflow's own
        time-out in a worker is a kill: see ``on_kill_action``.)
    :param trigger_kwargs: accepted, and has no meaning.
    :return: what the base container wrote to ``/airflow/xcom/return.json``, with ``do_xcom_push``.
    """

    what = "pod"
    completion_type = PodCompletionEvent
    ref_type = PodRef
    _launch: PodLaunching  # of this try, once it has begun
    BASE_CONTAINER_NAME: ClassVar[str] = "base"
    template_fields: Sequence[str] = (
        "image",
        "name",
        "hostname",
        "cmds",
        "annotations",
        "arguments",
        "env_vars",
        "labels",
        "config_file",
        "pod_template_file",
        "pod_template_dict",
        "namespace",
        "container_resources",
        "volumes",
        "volume_mounts",
        "cluster_context",
        "env_from",
        "configmaps",
        "node_selector",
        "kubernetes_conn_id",
        "base_container_name",
        "trigger_kwargs",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"env_vars": "py"}

    def __init__(  # noqa: PLR0915 - upstream's arguments, one line each
        self,
        *,
        kubernetes_conn_id: str | None = "kubernetes_default",
        namespace: str | None = None,
        image: str | None = None,
        name: str | None = None,
        random_name_suffix: bool = True,
        cmds: list[str] | None = None,
        arguments: list[str] | None = None,
        ports: list[Any] | None = None,
        volume_mounts: list[Any] | None = None,
        volumes: list[Any] | None = None,
        env_vars: list[Any] | dict[str, str] | None = None,
        env_from: list[Any] | None = None,
        secrets: list[Any] | None = None,
        in_cluster: bool | None = None,
        cluster_context: str | None = None,
        labels: dict[str, Any] | None = None,
        reattach_on_restart: bool | None = None,
        durable: bool | None = None,
        startup_timeout_seconds: int = 120,
        startup_check_interval_seconds: int = 5,
        schedule_timeout_seconds: int | None = None,
        get_logs: bool = True,
        base_container_name: str | None = None,
        base_container_status_polling_interval: float = 1,
        init_container_logs: Iterable[str] | str | Literal[True] | None = None,
        container_logs: Iterable[str] | str | Literal[True] | None = None,
        image_pull_policy: str | None = None,
        annotations: dict[str, Any] | None = None,
        container_resources: Any = None,
        affinity: Any = None,
        config_file: str | None = None,
        runtime_class_name: str | None = None,
        node_selector: dict[str, Any] | None = None,
        image_pull_secrets: list[Any] | str | None = None,
        service_account_name: str | None = None,
        automount_service_account_token: bool | None = None,
        hostnetwork: bool = False,
        host_aliases: list[Any] | None = None,
        tolerations: list[Any] | None = None,
        security_context: Any = None,
        container_security_context: Any = None,
        xcom_sidecar_container_security_context: Any = None,
        dnspolicy: str | None = None,
        dns_config: Any = None,
        hostname: str | None = None,
        subdomain: str | None = None,
        schedulername: str | None = None,
        full_pod_spec: Any = None,
        init_containers: list[Any] | None = None,
        log_events_on_failure: bool = False,
        log_events_on_startup: bool = True,
        do_xcom_push: bool = False,
        pod_template_file: str | None = None,
        pod_template_dict: dict[str, Any] | None = None,
        priority_class_name: str | None = None,
        pod_runtime_info_envs: list[Any] | None = None,
        termination_grace_period: int | None = None,
        configmaps: list[str] | None = None,
        skip_on_exit_code: int | Container[int] | None = None,
        deferrable: bool = True,
        poll_interval: float = 2,
        log_pod_spec_on_failure: bool = True,
        on_finish_action: str = "delete_pod",
        on_kill_action: str = "delete_pod",
        is_delete_operator_pod: bool | None = None,
        termination_message_policy: str = "File",
        active_deadline_seconds: int | None = None,
        callbacks: list[type[Any]] | type[Any] | None = None,
        progress_callback: Callable[[str], None] | None = None,
        logging_interval: int | None = None,
        trigger_kwargs: dict[str, Any] | None = None,
        container_name_log_prefix_enabled: bool = True,
        log_formatter: Callable[[str, str], str] | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_old_arguments({**kwargs, "is_delete_operator_pod": is_delete_operator_pod})
        super().__init__(**kwargs)
        self.kubernetes_conn_id = kubernetes_conn_id
        self.namespace = namespace
        self.image = image
        self.name = name
        self.random_name_suffix = random_name_suffix
        self.cmds = cmds or []
        self.arguments = arguments or []
        self.ports = ports or []
        self.volume_mounts = volume_mounts or []
        self.volumes = volumes or []
        self.env_vars = env_vars or []
        self.env_from = env_from or []
        self.secrets = secrets or []
        self.in_cluster = in_cluster
        self.cluster_context = cluster_context
        self.labels = labels or {}
        self.durable = self.reattach_on_restart = _durable(durable, reattach_on_restart)
        self.startup_timeout_seconds = startup_timeout_seconds
        self.startup_check_interval_seconds = startup_check_interval_seconds
        self.schedule_timeout_seconds = schedule_timeout_seconds or startup_timeout_seconds
        self.get_logs = get_logs
        self.base_container_name = base_container_name or self.BASE_CONTAINER_NAME
        self.base_container_status_polling_interval = base_container_status_polling_interval
        self.init_container_logs = init_container_logs
        self.container_logs = container_logs
        self.image_pull_policy = image_pull_policy
        self.annotations = annotations or {}
        self.container_resources = container_resources
        self.affinity = affinity or {}
        self.config_file = config_file
        self.runtime_class_name = runtime_class_name
        self.node_selector = node_selector or {}
        self.image_pull_secrets = image_pull_secrets or []
        self.service_account_name = service_account_name
        self.automount_service_account_token = automount_service_account_token
        self.hostnetwork = hostnetwork
        self.host_aliases = host_aliases
        self.tolerations = tolerations or []
        self.security_context = security_context or {}
        self.container_security_context = container_security_context
        self.xcom_sidecar_container_security_context = xcom_sidecar_container_security_context
        self.dnspolicy = dnspolicy
        self.dns_config = dns_config
        self.hostname = hostname
        self.subdomain = subdomain
        self.schedulername = schedulername
        self.full_pod_spec = full_pod_spec
        self.init_containers = init_containers or []
        self.log_events_on_failure = log_events_on_failure
        self.log_events_on_startup = log_events_on_startup
        self.do_xcom_push = do_xcom_push
        self.pod_template_file = pod_template_file
        self.pod_template_dict = pod_template_dict
        self.priority_class_name = priority_class_name
        self.pod_runtime_info_envs = pod_runtime_info_envs or []
        self.termination_grace_period = termination_grace_period
        self.configmaps = configmaps or []
        self.skip_on_exit_code = skip_on_exit_code
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.log_pod_spec_on_failure = log_pod_spec_on_failure
        self.on_finish_action = on_finish_action
        self.on_kill_action = on_kill_action
        self.termination_message_policy = termination_message_policy
        self.active_deadline_seconds = active_deadline_seconds
        self.callbacks = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
        self.progress_callback = progress_callback
        self.logging_interval = logging_interval
        self.trigger_kwargs = trigger_kwargs
        self.container_name_log_prefix_enabled = container_name_log_prefix_enabled
        self.log_formatter = log_formatter
        if self._is_judged_at_parse():
            self._check()

    def _check(self) -> None:
        """Refuse what cannot work; called where the DAG is parsed, and again with rendered values."""
        check_arguments(self)

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        """Models become plain values first, so that every text in them is rendered (mapped tasks come here, too)."""
        if parent is self:
            plain_fields(self, template_fields)
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    @property
    def target(self) -> KubeTarget:
        """Which cluster, and with whose credentials. An empty connection id means none, as upstream has it."""
        return KubeTarget(
            conn_id=self.kubernetes_conn_id or None,
            in_cluster=self.in_cluster,
            config_file=self.config_file or None,
            cluster_context=self.cluster_context or None,
        )

    @cached_property
    def hook(self) -> Any:
        """The cncf provider's ``KubernetesHook``, built when first used: for users' subclasses and callbacks."""
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

        return KubernetesHook(
            conn_id=self.kubernetes_conn_id,
            in_cluster=self.in_cluster,
            config_file=self.config_file,
            cluster_context=self.cluster_context,
        )

    @cached_property
    def client(self) -> Any:
        """The synchronous ``CoreV1Api`` of that hook: for users' subclasses and callbacks; asyncrun never uses it."""
        client = self.hook.core_v1_client
        for callback in self.callbacks:
            if (called := getattr(callback, "on_sync_client_creation", None)) is not None:
                called(client=client, operator=self)
        return client

    # -- its life, see RunOperator -------------------------------------------------------------------------------------

    def _notes(self, context: Context) -> PodNotes:
        return LaunchNotes(PodLaunchRecord, context, self.log, wanted=self._flag("durable"))

    def _launching(self, context: Context, settings: Settings, notes: PodNotes) -> PodLaunching:
        self._launch = PodLaunching(self, context, settings, notes, Callbacks(self, context), self._refuse_if_killed)
        return self._launch

    def _announce(self, context: Context, ref: PodRef) -> None:
        ti, callbacks = context["ti"], Callbacks(self, context)
        announce(ti, ref, {})
        ti.xcom_push(key="pod_name", value=ref.name)
        ti.xcom_push(key="pod_namespace", value=ref.namespace)
        if callbacks:
            from asyncrun.clients.pod_models import read_model

            callbacks.call("on_pod_creation", pod=read_model(self.client, ref.name, ref.namespace, self.log))

    def _waits_in_triggerer(self) -> bool:
        if not self._flag("deferrable"):
            return False
        if code := needs_worker(self):
            self.log.warning("This task waits in the worker: %s is code of the DAG file, which triggerers lack", code)
        return not code

    def _wait_here(self, watch: PodWatch) -> Any:
        observer = Observer(self, self._launch.callbacks, watch.ref)
        trigger = self._trigger(watch)
        trigger.observer = observer if observer.is_wanted else None
        return observer.unless_it_failed(lambda: remote.wait_here(trigger, observer.begin))

    def _watch(self, launched: Launched, settings: Settings) -> PodWatch:
        launch = self._launch
        return pod_watch(self, KubernetesPodOperator, launched, launch.pod, settings, server=launch.server)

    def _trigger(self, watch: PodWatch) -> PodTrigger:
        from asyncrun.triggers.pod import PodTrigger

        return PodTrigger(watch.to_dict())

    def _stop_now(self, ref: PodRef, why: str) -> bool:
        return pod_ending.stop(self, ref, why, killed=self._killed)

    def _ended(self, context: Context, completion: PodCompletionEvent) -> Any:
        return pod_ending.end(self, Callbacks(self, context), context, completion, resumed=not self._waited_here)


def _durable(durable: bool | None, reattach_on_restart: bool | None) -> bool:
    """As upstream: ``durable`` goes first, then its old name; True where neither was given."""
    if durable is not None:
        return durable
    return True if reattach_on_restart is None else reattach_on_restart
