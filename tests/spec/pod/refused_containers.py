"""What a container cannot have: arguments, and what is said of them."""

from __future__ import annotations

from typing import Any

from kubernetes.client import models as k8s  # noqa: TID253 - no DAG file

from asyncrun.spec.pod.secret import Secret

VOLUMES = [k8s.V1Volume(name="data", empty_dir=k8s.V1EmptyDirVolumeSource())]
NAME_63 = "expected 1 to 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit"

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"image": None},
        "image=None cannot work: expected an image, here or in full_pod_spec or the pod template (field "
        "spec.containers[0].image)",
    ),
    (
        {"image": ""},
        "image='' cannot work: expected an image, here or in full_pod_spec or the pod template (field "
        "spec.containers[0].image)",
    ),
    (
        {"image": " x"},
        "image=' x' cannot work: expected an image's name without spaces around it (field spec.containers[0].image)",
    ),
    ({"image": ["x"]}, "image=<list> cannot work: expected text"),
    ({"cmds": "echo hi"}, "cmds=<str> cannot work: expected a list, of which each is text"),
    ({"cmds": ["sleep", 5]}, "cmds[1]=<int> cannot work: expected text"),
    ({"env_vars": {"A": 5}}, "env_vars['A']=<int> cannot work: expected text"),
    (
        {"env_vars": {"A=B": "c"}},
        "env_vars='A=B' cannot work: expected the name of an environment variable: printable ASCII without '='",
    ),
    ({"env_vars": {"": "c"}}, "env_vars=''"),
    ({"env_vars": "A=b"}, "env_vars=<str> cannot work: expected a dict of texts, or a list of V1EnvVar"),
    ({"env_vars": [k8s.V1EnvVar(name="A", value=5)]}, "env_vars[0].value=<int> cannot work: expected text"),
    (
        {"env_vars": [{"value": "hunter2"}]},
        "env_vars[0].name=None cannot work: expected a value: Kubernetes requires it in every EnvVar",
    ),
    (
        {"env_vars": [{"name": "A", "value": "hunter2", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
        "env_vars[0].valueFrom=<dict> cannot work: expected nothing, since there is a value",
    ),
    (
        {"env_vars": [{"name": "A", "valueFrom": {}}]},
        "env_vars[0].valueFrom='none' cannot work: expected exactly one source",
    ),
    ({"env_from": [{"prefix": "A_"}]}, "env_from[0]='nothing' cannot work: expected either configMapRef or secretRef"),
    ({"env_from": [{"secretRef": {}}]}, "env_from[0].secretRef.name=None cannot work: expected the name of it"),
    ({"configmaps": "cm"}, "configmaps=<str> cannot work: expected a list, of which each is text"),
    ({"configmaps": ["C M"]}, "configmaps[0]='C M'"),
    (
        {"volume_mounts": [k8s.V1VolumeMount(name="dta", mount_path="/a")], "volumes": VOLUMES},
        "volume_mounts='dta' cannot work: expected the name of one of the pod's volumes (data) (field "
        "spec.containers[0].volumeMounts[0].name)",
    ),
    (
        {"volume_mounts": [{"name": "data"}], "volumes": VOLUMES},
        "volume_mounts[0].mountPath=None cannot work: expected a value: Kubernetes requires it in every VolumeMount",
    ),
    (
        {"volume_mounts": [{"name": "data", "mountPath": "/a", "subPath": "../b"}], "volumes": VOLUMES},
        "volume_mounts[0].subPath='../b' cannot work: expected a path inside the volume: relative, without '..'",
    ),
    (
        {"volume_mounts": [{"name": "data", "mountPath": "/a"}] * 2, "volumes": VOLUMES},
        "volume_mounts='/a' cannot work: expected another: it is there already (field "
        "spec.containers[0].volumeMounts[1].mountPath)",
    ),
    (
        {"volumes": VOLUMES * 2},
        "volumes='data' cannot work: expected another: it is there already (field spec.volumes[1].name)",
    ),
    (
        {"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/a"}}]},
        "volumes[0]='emptyDir, hostPath' cannot work: expected one kind of volume",
    ),
    ({"volumes": [{"name": "A", "emptyDir": {}}]}, f"volumes[0].name='A' cannot work: {NAME_63}"),
    (
        {"volumes": [{"name": "a", "emptydir": {}}]},
        "volumes[0]='emptydir' cannot work: expected a field of Volume in Kubernetes 1.36; did you mean 'emptyDir'?",
    ),
    ({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1 GB"}}]}, "volumes[0].emptyDir.sizeLimit='1 GB'"),
    ({"secrets": [{"secret": "s"}]}, "secrets[0]=<dict> cannot work: expected asyncrun's Secret, or upstream's"),
    ({"secrets": Secret("env", None, "s")}, "secrets=<Secret> cannot work: expected a list of Secret"),
    (
        {"container_resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "2G"}}},
        "container_resources.requests['memory']='2G' cannot work: expected at most its limit, 1Gi",
    ),
    (
        {"container_resources": {"limits": {"cpu": "1 core"}}},
        "container_resources.limits['cpu']='1 core' cannot work: expected a quantity: a number with a unit such as "
        "500m, 256Mi or 1G, 0 or more",
    ),
    ({"container_resources": {"limits": {"cpu": "-1"}}}, "container_resources.limits['cpu']='-1'"),
    ({"container_resources": {"limits": {"memory": "1gb"}}}, "container_resources.limits['memory']='1gb'"),
    (
        {"container_resources": {"request_memory": "1Gi"}},
        "container_resources='request_memory' cannot work: expected a field of ResourceRequirements in Kubernetes "
        "1.36; did you mean 'requests'?",
    ),
    (
        {"ports": [{"containerPort": 0}]},
        "ports[0].containerPort=0 cannot work: expected a whole number from 1 to 65535",
    ),
    ({"ports": [{"containerPort": 80, "name": "a_port"}]}, "ports[0].name='a_port'"),
    ({"ports": [{"containerPort": 80, "protocol": "tcp"}]}, "ports[0].protocol='tcp'"),
    ({"ports": [{"name": "a"}]}, "ports[0].containerPort=None"),
    (
        {"init_containers": [k8s.V1Container(name="base", image="x")]},
        "init_containers='base' cannot work: expected another: a main container has that name (field "
        "spec.initContainers[0].name)",
    ),
    (
        {"init_containers": [{"name": "i"}]},
        "init_containers=None cannot work: expected an image, here or in "
        "full_pod_spec or the pod template (field spec.initContainers[0].image)",
    ),
    ({"init_containers": [{"name": "i", "image": "x"}] * 2}, "init_containers='i'"),
    ({"init_containers": [{"name": "I", "image": "x"}]}, f"init_containers[0].name='I' cannot work: {NAME_63}"),
    (
        {"image_pull_policy": "always"},
        "image_pull_policy='always' cannot work: expected one of Always, IfNotPresent, Never (field "
        "spec.containers[0].imagePullPolicy)",
    ),
    (
        {"termination_message_policy": "Log"},
        "termination_message_policy='Log' cannot work: expected one of File, "
        "FallbackToLogsOnError (field spec.containers[0].terminationMessagePolicy)",
    ),
    ({"env_vars": [{"name": "A=B", "value": "hunter2"}]}, "env_vars[0].name='A=B'"),
    (
        {"volume_mounts": [{"name": "data", "mountPath": "/a", "subPath": "b", "subPathExpr": "c"}]},
        "volume_mounts[0].subPathExpr='c' cannot work: expected nothing, since there is a subPath",
    ),
    (
        {"volumes": [{"name": "a", "secret": {"items": [{"key": "k", "path": "/p"}]}}]},
        "volumes[0].secret.items[0].path='/p' cannot work: expected a path inside the volume: relative, without '..'",
    ),
    ({"container_resources": {"limits": {"my cpu": "1"}}}, "container_resources.limits='my cpu'"),
    ({"ports": [{"containerPort": 80, "hostPort": 70000}]}, "ports[0].hostPort=70000"),
    ({"env_from": [{"prefix": "a=", "secretRef": {"name": "s"}}]}, "env_from[0].prefix='a='"),
    ({"env_from": [{"secretRef": {"name": "S"}}]}, "env_from[0].secretRef.name='S'"),
    (
        {"env_from": [{"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}}]},
        "env_from[0]='configMapRef and secretRef'",
    ),
    (
        {"container_security_context": {"privileged": True, "allowPrivilegeEscalation": False}},
        "container_security_context.allowPrivilegeEscalation=False cannot work: expected True, or nothing, since "
        "privileged is True",
    ),
    ({"init_containers": [None]}, "init_containers[0]=None cannot work: expected a value"),
    (
        {"init_containers": [{"name": "i", "image": "x", "lifecycle": {}}]},
        "init_containers=<dict> cannot work: expected nothing in an init container (unless its restartPolicy is "
        "Always) (field spec.initContainers[0].lifecycle)",
    ),
]
"""Arguments, and the whole sentence, or what stands before its "cannot work"."""
