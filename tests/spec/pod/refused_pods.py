"""What a pod cannot have: arguments, and what is said of them."""

from __future__ import annotations

from typing import Any

from kubernetes.client import models as k8s  # noqa: TID253 - no DAG file

from tests.spec.pod.refused_containers import NAME_63


def _affinity(requirement: dict[str, Any], weight: int = 1) -> dict[str, Any]:
    term = {"weight": weight, "preference": {"matchExpressions": [requirement]}}
    return {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"pod_template_file": "/a", "pod_template_dict": {"spec": {}}},
        "pod_template_dict=<dict> cannot work: expected nothing, since pod_template_file is given",
    ),
    ({"pod_template_file": ""}, "pod_template_file='' cannot work: expected a path of a YAML file with a pod"),
    (
        {"name": "a b"},
        "name='a b' cannot work: expected 1 to 220 letters, digits, dashes, dots and underscores (the rest is made "
        "safe)",
    ),
    (
        {"name": "_a", "random_name_suffix": False},
        "name='-a' cannot work: expected 1 to 253 lower-case letters, digits, dashes and dots, each part "
        "beginning and ending with a letter or digit (field metadata.name)",
    ),
    ({"namespace": "a.b"}, f"namespace='a.b' cannot work: {NAME_63} (field metadata.namespace)"),
    (
        {"labels": {"a b": "c"}},
        "labels='a b' cannot work: expected labels whose keys are 1 to 63 letters, digits, dashes, underscores and "
        "dots, beginning and ending with a letter or digit, which may stand after a DNS name and '/'",
    ),
    (
        {"labels": {"a": "b c"}},
        "labels['a']='b c' cannot work: expected at most 63 letters, digits, dashes, underscores and dots, "
        "beginning "
        "and ending with a letter or digit",
    ),
    ({"labels": {"a": 5}}, "labels['a']=<int> cannot work: expected text"),
    ({"annotations": {"a": 5}}, "annotations['a']=<int> cannot work: expected text"),
    ({"annotations": {"/a": "5"}}, "annotations='/a'"),
    ({"labels": {"a": "x" * 64}}, "labels['a']='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"),
    (
        {"dnspolicy": "Cluster"},
        "dnspolicy='Cluster' cannot work: expected one of ClusterFirst, "
        "ClusterFirstWithHostNet, Default, None (field spec.dnsPolicy)",
    ),
    (
        {"active_deadline_seconds": 0},
        "active_deadline_seconds=0 cannot work: expected a whole number of seconds from 1 "
        "to 2147483647 (field spec.activeDeadlineSeconds)",
    ),
    ({"active_deadline_seconds": -5}, "active_deadline_seconds=-5"),
    ({"active_deadline_seconds": "60"}, "active_deadline_seconds=<str> cannot work: expected a whole number"),
    (
        {"termination_grace_period": -1},
        "termination_grace_period=-1 cannot work: expected a whole number of seconds "
        "from 0 to 2147483647 (field spec.terminationGracePeriodSeconds)",
    ),
    ({"termination_grace_period": 1.5}, "termination_grace_period=<float>"),
    ({"hostname": "a_b"}, f"hostname='a_b' cannot work: {NAME_63} (field spec.hostname)"),
    ({"service_account_name": "A"}, "service_account_name='A'"),
    ({"hostnetwork": "yes"}, "hostnetwork=<str> cannot work: expected True or False"),
    ({"random_name_suffix": "perhaps"}, "random_name_suffix='perhaps' cannot work: expected True or False"),
    ({"node_selector": {"a": "b c"}}, "node_selector='b c'"),
    (
        {"tolerations": [{"operator": "Equal"}]},
        "tolerations[0].key=None cannot work: expected a taint's key, or operator 'Exists' for all taints",
    ),
    ({"tolerations": [{"key": "a", "effect": "NoRun"}]}, "tolerations[0].effect='NoRun'"),
    ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "tolerations[0].value='b'"),
    (
        {"affinity": {"nodeAffinty": {}}},
        "affinity='nodeAffinty' cannot work: expected a field of Affinity in "
        "Kubernetes 1.36; did you mean 'nodeAffinity'?",
    ),
    ({"security_context": {"runAsUser": -1}}, "security_context.runAsUser=-1"),
    (
        {"security_context": k8s.V1SecurityContext(privileged=True)},
        "security_context=<V1SecurityContext> cannot work: "
        "expected a Kubernetes PodSecurityContext: V1PodSecurityContext of the Kubernetes client, or a dict of its "
        "fields",
    ),
    (
        {"full_pod_spec": k8s.V1PodSpec(containers=[])},
        "full_pod_spec=<V1PodSpec> cannot work: expected a Kubernetes "
        "Pod: V1Pod of the Kubernetes client, or a dict of its fields",
    ),
    (
        {"full_pod_spec": {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "base"}]}}},
        "base_container_name='base' cannot work: expected the name of the first container in the pod template or "
        "full_pod_spec, with which the operator's own is merged: 'base' is number 2 there",
    ),
    (
        {"pod_template_dict": {"kind": "Deployment"}},
        "pod_template_dict.kind='Deployment' cannot work: expected one of Pod",
    ),
    (
        {"pod_template_dict": {"metadata": {"resourceVersion": "5"}}},
        "pod_template_dict.metadata.resourceVersion='5' cannot work: expected nothing: the pod is new (remove it "
        "from the template)",
    ),
    (
        {"pod_template_dict": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}},
        "pod.spec.containers[1].image=None",
    ),
    ({"do_xcom_push": True, "volumes": [{"name": "xcom", "emptyDir": {}}]}, "do_xcom_push=True"),
    ({"base_container_name": "My Container"}, "base_container_name='My Container'"),
    ({"image_pull_secrets": [{"nme": "a"}]}, "image_pull_secrets[0]='nme'"),
    (
        _affinity({"key": "k", "operator": "In"}),
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]"
        ".values=None cannot work: expected at least one value with operator 'In'",
    ),
    (
        _affinity({"key": "k", "operator": "Exists", "values": ["a"]}),
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values=['a']",
    ),
    (
        _affinity({"key": "k", "operator": "Is"}),
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].operator='Is'",
    ),
    (
        _affinity({"key": "k", "operator": "Exists"}, weight=0),
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=0",
    ),
    ({"pod_template_dict": {"apiVersion": "v2"}}, "pod_template_dict.apiVersion='v2'"),
    ({"priority_class_name": "High"}, "priority_class_name='High'"),
    ({"runtime_class_name": "G Visor"}, "runtime_class_name='G Visor'"),
    ({"subdomain": "a.b"}, "subdomain='a.b'"),
    ({"tolerations": [{"key": "a", "operator": "exists"}]}, "tolerations[0].operator='exists'"),
    ({"full_pod_spec": {"metadata": {"annotations": {"a b": "c"}}}}, "full_pod_spec.metadata.annotations='a b'"),
    ({"full_pod_spec": {"metadata": {"labels": {"a b": "c"}}}}, "full_pod_spec.metadata.labels='a b'"),
    ({"full_pod_spec": {"metadata": {"name": "A"}}}, "full_pod_spec.metadata.name='A'"),
    ({"full_pod_spec": {"metadata": {"namespace": "A"}}}, "full_pod_spec.metadata.namespace='A'"),
    (
        {"full_pod_spec": {"spec": {"containers": [], "restartPolicy": "never"}}},
        "full_pod_spec.spec.restartPolicy='never'",
    ),
    (
        {"full_pod_spec": {"spec": {"containers": [], "ephemeralContainers": [{"name": "e", "image": "x"}]}}},
        "full_pod_spec.spec.ephemeralContainers='a list' cannot work: expected nothing: they are added to running "
        "pods only",
    ),
    (
        {"dnspolicy": "None"},
        "dns_config=None cannot work: expected nameservers, since dnspolicy is 'None' (field spec.dnsConfig)",
    ),
    (
        {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
        "tolerations[0].effect='NoSchedule' cannot work: expected one of NoExecute",
    ),
    (
        {"host_aliases": [{"ip": "1.2.3.999", "hostnames": ["a"]}]},
        "host_aliases[0].ip='1.2.3.999' cannot work: expected an IP address",
    ),
    ({"dns_config": {"nameservers": ["10.0.0.1", "nope"]}}, "dns_config.nameservers[1]='nope'"),
    (
        {"dns_config": {"nameservers": ["10.0.0.1", "10.0.0.2", "::1", "10.0.0.4"]}},
        "dns_config.nameservers='4 of them'",
    ),
    (
        {"full_pod_spec": {"spec": {"containers": [{"name": "base", "livenessProbe": {"periodSeconds": 5}}]}}},
        "full_pod_spec.spec.containers[0].livenessProbe='nothing' cannot work: expected exactly one of exec, grpc, "
        "httpGet, tcpSocket",
    ),
    (
        {
            "full_pod_spec": {
                "spec": {
                    "containers": [
                        {"name": "base", "startupProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 80}}}
                    ]
                }
            }
        },
        "full_pod_spec.spec.containers[0].startupProbe='exec and tcpSocket'",
    ),
    (
        {"full_pod_spec": {"spec": {"containers": [{"name": "base", "lifecycle": {"preStop": {}}}]}}},
        "full_pod_spec.spec.containers[0].lifecycle.preStop='nothing'",
    ),
]
"""Arguments, and the whole sentence, or what stands before its "cannot work"."""
