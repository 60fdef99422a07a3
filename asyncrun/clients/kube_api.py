"""
What the rest of asyncrun may ask of Kubernetes: interfaces and plain values, without an SDK.

The implementation is ``asyncrun.clients.kube``; tests may bring their own. Every method raises only errors of
``asyncrun.model.errors`` (a ``RemoteError`` whose ``service`` is ``kubernetes`` and whose ``code`` is the ``reason`` of
Kubernetes's Status: ``AlreadyExists``, ``Forbidden``, ``Invalid``, ``NotFound``, ``Expired``, ...), waits for its call
budget first, and never blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.pod import Pod, PodEvent


class PodPage(msgspec.Struct, frozen=True):
    """
    One page of a list.

    :param unreadable: by uid, those whose JSON is not what the API documents.
    :param resource_version: of the whole list: where a watch goes on from.
    :param next_page: token of the next page, empty at the end.
    """

    pods: list[Pod]
    unreadable: dict[str, MalformedAnswer]
    resource_version: str
    next_page: str


class WatchLine(msgspec.Struct, frozen=True):
    """
    One line of a watch, undecoded beyond what tells whom it is for.

    :param type: ``ADDED``, ``MODIFIED``, ``DELETED``, ``BOOKMARK`` or ``ERROR``.
    :param uid: of the object; empty in bookmarks and errors.
    :param resource_version: of the object or bookmark; empty in errors.
    :param object: JSON of the object, for ``model.pod.read_pod``; of an error: of a Status.
    """

    type: str
    uid: str
    resource_version: str
    object: msgspec.Raw


class WatchStream(Protocol):
    """An open watch."""

    async def lines(self) -> list[WatchLine]:
        """
        Wait for the next lines: those that have arrived, in order, at least one; empty at the clean end.

        :raises Unavailable: the connection broke, or nothing came for as long as ``silence``.
        :raises MalformedAnswer: a line that is no watch line; those before it were handed over.
        """


class LogStream(Protocol):
    """An open log."""

    def chunk(self) -> Awaitable[bytes]:
        """
        Wait for the next bytes; empty at the clean end, which does not mean that the container ended.

        :raises Unavailable: the connection broke, or nothing came for as long as ``silence``.
        """


class SidecarDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What the Airflow connection says about the XCom sidecar; None: nothing."""

    image: str | None = None
    resources: dict[str, Any] | None = None
    security_context: dict[str, Any] | None = None


class PodsApi(Protocol):
    """Pods of one namespace."""

    @property
    def namespace(self) -> str:
        """Its name."""

    async def create(self, manifest: Mapping[str, Any]) -> Pod:
        """
        Create a pod.

        :raises RequestRefused: code ``AlreadyExists``, ``Invalid`` (admission, too), ``BadRequest``, ...
        :raises AccessDenied: code ``Forbidden``: no permission.
        :raises LaunchRefused: a quota or an admission plug-in or webhook does not let it in.
        """

    async def get(self, name: str) -> Pod:
        """
        One pod.

        :raises NotFound: there is none of that name.
        """

    async def read(self, name: str) -> dict[str, Any]:
        """The same as the whole decoded JSON, for people and callbacks."""

    async def list(self, *, label_selector: str, limit: int, next_page: str = "") -> PodPage:
        """
        One page of the pods with these labels.

        :raises Expired: that page is no longer kept: begin again.
        """

    def watch(
        self, *, label_selector: str, resource_version: str, seconds: float, silence: float
    ) -> AbstractAsyncContextManager[WatchStream]:
        """
        Watch pods with these labels from there on, with bookmarks.

        :param seconds: the server ends it after that long.
        :param silence: seconds without a byte after which the connection counts as dead.
        :raises Expired: the place is too old, as an HTTP status (inside an answer it comes as an ``ERROR`` line).
        """

    async def patch(self, name: str, body: Mapping[str, Any]) -> Pod:
        """Change it by a merge patch."""

    async def delete(self, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        """
        Delete exactly that pod; one that is gone, or whose name belongs to another uid now, is no error.

        :param grace_seconds: None: as the pod itself says.
        """

    def log(
        self,
        name: str,
        container: str,
        *,
        follow: bool,
        silence: float,
        since: str = "",
        previous: bool = False,
    ) -> AbstractAsyncContextManager[LogStream]:
        """
        The log of a container's present instance, each line with its stamp.

        :param since: RFC 3339; only its whole seconds count.
        :param previous: of the instance before the present one.
        :raises RequestRefused: code ``BadRequest``: the container is waiting to start.
        :raises NotFound: there is no such pod (or, just after a kubelet's restart, there is).
        """

    async def events(self, name: str, uid: str) -> Sequence[PodEvent]:
        """
        The events about that pod, oldest first; none where the uid is another one's.

        :raises AccessDenied: no permission to list events.
        """


class KubeAccess(Protocol):
    """One ``KubeTarget``'s way to a cluster in this process and event loop. Stays valid when credentials rotate."""

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target in the same event loop."""

    @property
    def server(self) -> str:
        """URL of the API server, for messages."""

    @property
    def namespace(self) -> str | None:
        """The connection's namespace; None where it names none."""

    @property
    def own_namespace(self) -> str | None:
        """The namespace of the process's own pod, None outside of a cluster."""

    @property
    def in_cluster(self) -> bool:
        """Whether the credentials are those of the process's own pod."""

    @property
    def sidecar(self) -> SidecarDefaults:
        """What the connection says about the XCom sidecar."""

    def pods(self, namespace: str) -> PodsApi:
        """Pods of that namespace."""

    async def renew(self) -> None:
        """
        Look up the connection and its credentials again, now.

        Single-flight; calls that are under way finish with the old ones.

        :raises RemoteError: they cannot be resolved.
        """
