"""Arguments as upstream's operator takes them, by what they are about; a template, and a whole pod."""

from __future__ import annotations

from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.secret import Secret as UpstreamSecret  # noqa: TID253 - no DAG file
from kubernetes.client import models as k8s  # noqa: TID253

Body = dict[str, Any]

TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  name: from-template
  namespace: of-the-template
  creationTimestamp: null
  labels: {team: data, number: 5, empty: ""}
  annotations: {a: template, b: template}
  finalizers: [example.com/one]
spec:
  restartPolicy: OnFailure
  hostNetwork: true
  serviceAccountName: runner
  terminationGracePeriodSeconds: 10
  activeDeadlineSeconds: "100"
  nodeSelector: {disk: ssd}
  securityContext: {runAsUser: 1000, fsGroup: 1000}
  tolerations: [{key: a, operator: Exists}]
  imagePullSecrets: [{name: pull}]
  volumes:
  - {name: data, emptyDir: {}}
  - {name: claim, persistentVolumeClaim: {claimName: c}}
  initContainers:
  - {name: setup, image: setup:1, env: [{name: X, value: 1}], volumeMounts: [{name: data, mountPath: /data}]}
  - {name: other, image: other:1}
  containers:
  - name: main
    image: template:1
    workingDir: /work
    command: [sh]
    args: [-c, template]
    env: [{name: A, value: true}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    envFrom: [{configMapRef: {name: c}}]
    ports: [{containerPort: 80, name: http}]
    resources: {requests: {cpu: 1, memory: 64Mi}, limits: {memory: 1Gi}}
    volumeMounts: [{name: data, mountPath: /data}]
    livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 5}
    securityContext: {privileged: false}
  - {name: second, image: second:1}
"""

FULL = k8s.V1Pod(
    metadata=k8s.V1ObjectMeta(name="full", labels={"full": "yes", "team": "full"}, annotations={"b": "full"}),
    spec=k8s.V1PodSpec(
        containers=[
            k8s.V1Container(
                name="main",
                image="full:1",
                env=[k8s.V1EnvVar(name="F", value="1")],
                volume_mounts=[k8s.V1VolumeMount(name="full", mount_path="/full")],
                resources=k8s.V1ResourceRequirements(),
                lifecycle=k8s.V1Lifecycle(pre_stop=k8s.V1LifecycleHandler(_exec=k8s.V1ExecAction(command=["true"]))),
            ),
            k8s.V1Container(name="sidecar", image="sidecar:1"),
        ],
        init_containers=[
            k8s.V1Container(name="setup", image="setup:2", args=["x"]),
            k8s.V1Container(name="third", image="t"),
        ],
        volumes=[k8s.V1Volume(name="full", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit="1Gi"))],
        share_process_namespace=True,
        priority=5,
    ),
)

OPERATOR: Body = {
    "image": "mine:1",
    "cmds": ["run"],
    "arguments": ["--now"],
    "labels": {"team": "mine", "none": None},
    "annotations": {"a": "mine"},
    "env_vars": {"A": "1", "EMPTY": ""},
    "container_resources": k8s.V1ResourceRequirements(requests={"cpu": "2"}),
    "init_containers": [k8s.V1Container(name="setup", image="setup:3", env=[k8s.V1EnvVar(name="Y", value="2")])],
    "volumes": [k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource())],
    "volume_mounts": [k8s.V1VolumeMount(name="scratch", mount_path="/scratch")],
}

CASES: dict[str, Body] = {
    "nothing": {},
    "image": {"image": "x:1"},
    "name": {"image": "x", "name": "My_Pod.x"},
    "name without suffix": {"image": "x", "name": "my-pod", "random_name_suffix": False},
    "no name without suffix": {"image": "x", "random_name_suffix": False},
    "long name": {"image": "x", "name": "n" * 53 + "-" * 20 + "x" * 100},
    "long name without suffix": {"image": "x", "name": "n" * 100, "random_name_suffix": False},
    "namespace": {"image": "x", "namespace": "mine"},
    "command": {"image": "x", "cmds": ["sh", "-c"], "arguments": ["echo hi"]},
    "env dict": {"image": "x", "env_vars": {"A": "1", "B": "", "C": None}},
    "env list": {
        "image": "x",
        "env_vars": [
            k8s.V1EnvVar(name="A", value="1"),
            k8s.V1EnvVar(
                name="B",
                value_from=k8s.V1EnvVarSource(config_map_key_ref=k8s.V1ConfigMapKeySelector(name="c", key="k")),
            ),
        ],
    },
    "env list of dicts": {"image": "x", "env_vars": [{"name": "A", "value": "1"}]},
    "runtime info": {
        "image": "x",
        "env_vars": {"A": "1"},
        "pod_runtime_info_envs": [
            k8s.V1EnvVar(
                name="IP", value_from=k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path="status.podIP"))
            )
        ],
    },
    "env from": {
        "image": "x",
        "env_from": [k8s.V1EnvFromSource(prefix="P_", secret_ref=k8s.V1SecretEnvSource(name="s"))],
        "configmaps": ["c1", "c2"],
    },
    "secrets": {
        "image": "x",
        "secrets": [
            UpstreamSecret("env", "pw", "db", "password"),
            UpstreamSecret("env", None, "all"),
            UpstreamSecret("volume", "/etc/one", "one"),
            UpstreamSecret("volume", "/etc/two", "two", items=[k8s.V1KeyToPath(key="k", path="p", mode=0o400)]),
            UpstreamSecret("volume", "/etc/three", "one"),
        ],
    },
    "volumes": {
        "image": "x",
        "volumes": [
            k8s.V1Volume(name="a", host_path=k8s.V1HostPathVolumeSource(path="/a")),
            k8s.V1Volume(name="b", empty_dir=k8s.V1EmptyDirVolumeSource()),
            k8s.V1Volume(
                name="c",
                projected=k8s.V1ProjectedVolumeSource(
                    sources=[k8s.V1VolumeProjection(config_map=k8s.V1ConfigMapProjection(name="c"))]
                ),
            ),
        ],
        "volume_mounts": [k8s.V1VolumeMount(name="a", mount_path="/a", read_only=False, sub_path="s")],
    },
    "ports": {"image": "x", "ports": [k8s.V1ContainerPort(container_port=80, name="http", host_ip="1.2.3.4")]},
    "resources": {
        "image": "x",
        "container_resources": k8s.V1ResourceRequirements(limits={"cpu": "1"}, requests={"cpu": 0.5, "memory": "1Gi"}),
    },
    "resources as dict": {"image": "x", "container_resources": {"limits": {"cpu": "1"}}},
    "empty resources": {"image": "x", "container_resources": k8s.V1ResourceRequirements()},
    "empty resources as dict": {"image": "x", "container_resources": {}},
    "affinity": {
        "image": "x",
        "affinity": k8s.V1Affinity(
            node_affinity=k8s.V1NodeAffinity(
                required_during_scheduling_ignored_during_execution=k8s.V1NodeSelector(
                    node_selector_terms=[
                        k8s.V1NodeSelectorTerm(
                            match_expressions=[k8s.V1NodeSelectorRequirement(key="k", operator="In", values=["v"])]
                        )
                    ]
                )
            )
        ),
    },
    "affinity as dict": {
        "image": "x",
        "affinity": {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "k", "operator": "In", "values": [1]}]}}
                ]
            }
        },
    },
    "tolerations": {
        "image": "x",
        "tolerations": [k8s.V1Toleration(key="a", operator="Exists"), {"key": "b", "value": 1, "effect": "NoSchedule"}],
    },
    "node": {
        "image": "x",
        "node_selector": {"disk": "ssd"},
        "runtime_class_name": "gvisor",
        "priority_class_name": "high",
        "schedulername": "mine",
    },
    "pull": {
        "image": "x",
        "image_pull_policy": "Always",
        "image_pull_secrets": [k8s.V1LocalObjectReference(name="p")],
    },
    "pull secrets as text": {"image": "x", "image_pull_secrets": "a,b"},
    "account": {"image": "x", "service_account_name": "sa", "automount_service_account_token": False},
    "network": {
        "image": "x",
        "hostnetwork": True,
        "hostname": "h",
        "subdomain": "s",
        "host_aliases": [k8s.V1HostAlias(ip="1.2.3.4", hostnames=["a"])],
        "dnspolicy": "None",
        "dns_config": k8s.V1PodDNSConfig(
            nameservers=["1.1.1.1"], options=[k8s.V1PodDNSConfigOption(name="n", value="1")]
        ),
    },
    "security": {
        "image": "x",
        "security_context": k8s.V1PodSecurityContext(run_as_user=0, run_as_non_root=False),
        "container_security_context": {"runAsUser": 1, "capabilities": {"add": ["NET_ADMIN"]}},
    },
    "security as dict": {
        "image": "x",
        "security_context": {"runAsUser": 0},
        "container_security_context": k8s.V1SecurityContext(allow_privilege_escalation=False),
    },
    "init containers": {
        "image": "x",
        "init_containers": [
            k8s.V1Container(name="i", image="i", restart_policy="Always"),
            {"name": "j", "image": "j", "env": [{"name": "A", "value": "1"}]},
        ],
    },
    "times": {"image": "x", "termination_grace_period": 0, "active_deadline_seconds": 5},
    "termination message": {"image": "x", "termination_message_policy": "FallbackToLogsOnError"},
    "base container's name": {"image": "x", "base_container_name": "main"},
    "labels": {"image": "x", "labels": {"a": "1", "dag_id": "overruled", "none": None}, "annotations": {"x/y": "z"}},
    "xcom": {"image": "x", "do_xcom_push": True},
    "xcom and volumes": {
        "image": "x",
        "do_xcom_push": True,
        "volumes": [k8s.V1Volume(name="a", empty_dir=k8s.V1EmptyDirVolumeSource())],
        "volume_mounts": [k8s.V1VolumeMount(name="a", mount_path="/a")],
        "secrets": [UpstreamSecret("volume", "/s", "s")],
        "init_containers": [k8s.V1Container(name="i", image="i")],
    },
    "template": {"pod_template_dict": yaml.safe_load(TEMPLATE)},
    "template and arguments": {"pod_template_dict": yaml.safe_load(TEMPLATE), **OPERATOR},
    "template and empty arguments": {
        "pod_template_dict": yaml.safe_load(TEMPLATE),
        "container_resources": k8s.V1ResourceRequirements(),
        "security_context": k8s.V1PodSecurityContext(),
        "container_security_context": k8s.V1SecurityContext(),
        "affinity": {},
        "node_selector": {},
        "hostnetwork": False,
        "termination_grace_period": 0,
        "active_deadline_seconds": 0,
        "automount_service_account_token": False,
    },
    "template and empty dicts": {
        "pod_template_dict": yaml.safe_load(TEMPLATE),
        "container_resources": {},
        "security_context": {},
        "container_security_context": {},
        "tolerations": [],
        "dns_config": {},
        "cmds": [],
    },
    "template and xcom": {"pod_template_dict": yaml.safe_load(TEMPLATE), "do_xcom_push": True, "image": "x"},
    "template, secrets": {
        "pod_template_dict": yaml.safe_load(TEMPLATE),
        "secrets": [UpstreamSecret("env", "a", "b", "c"), UpstreamSecret("volume", "/s", "s")],
    },
    "template without spec": {"pod_template_dict": {"metadata": {"labels": {"a": "b"}}}, "image": "x"},
    "template with empty lists": {
        "pod_template_dict": {
            "metadata": {"labels": {}, "annotations": {}},
            "spec": {"containers": [], "volumes": [], "securityContext": {}, "nodeSelector": {}},
        },
        "image": "x",
    },
    "template with an empty container": {"pod_template_dict": {"spec": {"containers": [{"name": "x"}]}}, "image": "x"},
    "full": {"full_pod_spec": FULL},
    "full and arguments": {"full_pod_spec": FULL, **OPERATOR},
    "full without anything": {"full_pod_spec": k8s.V1Pod(), "image": "x"},
    "full with metadata only": {"full_pod_spec": k8s.V1Pod(metadata=k8s.V1ObjectMeta(name="n")), "image": "x"},
    "template and full": {"pod_template_dict": yaml.safe_load(TEMPLATE), "full_pod_spec": FULL},
    "template, full and arguments": {"pod_template_dict": yaml.safe_load(TEMPLATE), "full_pod_spec": FULL, **OPERATOR},
    "full without a spec over a template": {
        "pod_template_dict": yaml.safe_load(TEMPLATE),
        "full_pod_spec": k8s.V1Pod(metadata=k8s.V1ObjectMeta(labels={"a": "b"})),
    },
}
