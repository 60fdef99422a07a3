"""
The embedded Kubernetes: an API server for pods, which behaves as the recorded one did (tests/kubernetes/traces).

    with EmbeddedKube(EmbeddedKubeOptions(tls=True)) as kube:
        kube.write_kubeconfig(path)          # for kubectl, Airflow connections, client libraries
        kube.control.cut("watch pods")       # what goes wrong in real clusters, on demand

A development tool: it is never imported by the product. In a test's own event loop: `server.KubeServer`.

``node="process"`` runs every container as a process of this machine (`node`); with ``node="scripted"`` pods only play
what their annotation ``asyncrun.local/script`` says (`scripted`), a thousand of them in one process.

kubectl sends a token by https only: without ``tls=True`` it is anonymous.

Imitated: pods with their defaults, validation, patches, graceful deletion, preconditions, finalizers, eviction,
``/log``, ``/exec``; events in both versions; secrets, config maps, namespaces, service accounts, quotas of pods;
watches with selectors, bookmarks, initial events and an expiring history; lists in pages of one moment; Tables; reviews
of one's permissions; what is refused, in the recorded words.

Not imitated: ``managedFields`` and server-side apply's ownership of fields (an apply is a merge), priority classes,
admission plug-ins but for service accounts and quotas, roles and tokens of service accounts (permissions are given with
`KubeControl.add_token`), protobuf but for what kubectl's own commands send, a namespace's slow death, attach and
port-forward, events' expiry.
"""

from __future__ import annotations

from asyncrun.local.kube.client import Counts, KubeControl, KubeControlError, Request
from asyncrun.local.kube.embedded import EmbeddedKube, kubeconfig
from asyncrun.local.kube.options import EmbeddedKubeOptions, Fault, Rule
from asyncrun.local.server_process import EmbeddedServerError

__all__ = [
    "EmbeddedKube",
    "EmbeddedKubeOptions",
    "Fault",
    "Rule",
    "KubeControl",
    "KubeControlError",
    "Counts",
    "Request",
    "EmbeddedServerError",
    "kubeconfig",
]
