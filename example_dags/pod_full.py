"""
A pod with most of what one may configure, as ``kubernetes.client`` models, which upstream's operator takes, too.

Each argument also takes a plain dict in the API's names, as ``tolerations`` here.
"""

from __future__ import annotations

from airflow.sdk import DAG
from kubernetes.client import models as k8s  # noqa: TID253 - plain dicts do as well, and are lighter

from asyncrun.operators.pod import KubernetesPodOperator

with DAG("pod_full", tags=["asyncrun"]):
    KubernetesPodOperator(
        task_id="configured",
        name="configured",
        image="busybox:1.36",
        cmds=["sh", "-c"],
        arguments=['cat /prepared/note; echo "$GREETING from $POD_NAME"; ls -d /scratch'],
        labels={"team": "data"},
        annotations={"example.com/owner": "data@example.com"},
        env_vars=[
            k8s.V1EnvVar(name="GREETING", value="Hello"),
            k8s.V1EnvVar(
                name="POD_NAME",
                value_from=k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path="metadata.name")),
            ),
        ],
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "50m", "memory": "32Mi"}, limits={"cpu": "500m", "memory": "128Mi"}
        ),
        volumes=[
            k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource()),
            k8s.V1Volume(name="prepared", empty_dir=k8s.V1EmptyDirVolumeSource()),
        ],
        volume_mounts=[
            k8s.V1VolumeMount(name="scratch", mount_path="/scratch"),
            k8s.V1VolumeMount(name="prepared", mount_path="/prepared", read_only=True),
        ],
        init_containers=[
            k8s.V1Container(
                name="prepare",
                image="busybox:1.36",
                command=["sh", "-c", "echo preparing; echo prepared by the init container > /prepared/note"],
                volume_mounts=[k8s.V1VolumeMount(name="prepared", mount_path="/prepared")],
            )
        ],
        init_container_logs=True,
        tolerations=[{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}],
        affinity=k8s.V1Affinity(
            node_affinity=k8s.V1NodeAffinity(
                preferred_during_scheduling_ignored_during_execution=[
                    k8s.V1PreferredSchedulingTerm(
                        weight=1,
                        preference=k8s.V1NodeSelectorTerm(
                            match_expressions=[
                                k8s.V1NodeSelectorRequirement(key="kubernetes.io/os", operator="In", values=["linux"])
                            ]
                        ),
                    )
                ]
            )
        ),
        security_context=k8s.V1PodSecurityContext(fs_group=2000),
        container_security_context={"allowPrivilegeEscalation": False},
        image_pull_policy="IfNotPresent",
        termination_grace_period=10,
        active_deadline_seconds=600,
        startup_timeout_seconds=300,
        on_finish_action="delete_succeeded_pod",
    )
