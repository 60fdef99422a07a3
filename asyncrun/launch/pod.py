"""Launch, find and stop pods. Async, and free of a worker's context: workers and triggers use it alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import msgspec

from asyncrun.clients.kube_api import PodsApi
from asyncrun.clients.patience import Patience, Say, patiently
from asyncrun.launch.pod_advice import TAKEN, advised
from asyncrun.launch.pod_manifest import launch_of, lost_sidecars, owner_of, why_too_old
from asyncrun.launch.pod_refusals import leaves_open, name_is_taken, passing, soon
from asyncrun.model.errors import (
    AccessDenied,
    Expired,
    LaunchRefused,
    NotFound,
    RemoteError,
    Unavailable,
)
from asyncrun.model.pod import Pod
from asyncrun.model.refs import PodRef
from asyncrun.spec.pod.labels import CHECKED, DEPLOYMENT

# A launch is idempotent through its name and label, so an answer that did not come is asked for again. Ten minutes: a
# cluster whose control plane is replaced refuses connections for some (DESIGN section 3), and that fails nothing.
_UNANSWERED = Patience(first=1, longest=10, lasts=600)
# The end of an earlier try's pod is reported some seconds before it is deleted (pod_delete_delay): for so many seconds
# its name may become free without anybody's doing.
_NAME_GRACE = 30.0
# A create whose connection was cut may be stored a moment after the connection is gone.
_IN_FLIGHT = 1.0
# An API server that has just started may deny for some seconds what it will allow: it has not read all roles yet.
_ROLES_UNREAD = 20.0
_PAGE = 200
_RELISTS = 4


def _ignored(*_: str) -> None:
    """Nobody wants to know."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """
    A pod that was launched.

    :param ref: which; its selector is empty where the cluster took our labels off.
    :param pod: as it was answered.
    :param is_new: False: it was there already, from an answer that got lost or an earlier process of this try.
    :param warning: what the one who reads the task's log should know of it; empty if nothing.
    """

    ref: PodRef
    pod: Pod
    is_new: bool
    warning: str = ""


class PodLauncher:
    """
    Launches pods exactly once, finds and stops them.

    :param pods: pods of the namespace.
    :param say: told before each further attempt of ``launch`` why there is one.
    :param before_request: called before each request to create a pod; it raises where nobody wants the task any more.
    :ivar unanswered: the manifest of a request that may have made a pod though nothing said so; None if there is none.
    :ivar placed: the pod that ``launch`` returned, or was about to return when it was interrupted.
    """

    def __init__(self, pods: PodsApi, say: Say = _ignored, before_request: Callable[[], None] = _ignored) -> None:
        self._pods, self._say, self._before_request = pods, say, before_request
        self._name_free_by: float | None = None
        self._silent_at: float | None = None
        self.unanswered: Mapping[str, Any] | None = None
        self.placed: PodRef | None = None

    async def launch(self, manifest: Mapping[str, Any]) -> Placed:
        """
        Create the pod.

        Its name and its label ``asyncrun/launch`` must belong to this launch: a repeated request is then told that the
        pod exists, so answers that were lost on the way are asked for again, and a worker that died after the launch
        finds its pod.

        :raises OutOfCapacity: a quota leaves no room.
        :raises LaunchRefused: admission does not let the pod in; or the cluster is too old for its sidecars, and the
            pod is deleted again.
        :raises RemoteError: the request was refused (another pod has that name, too), or nobody answered.
        """
        try:
            placed = await patiently(lambda: self._attempt(manifest), self._say, _UNANSWERED)
        except (RemoteError, LaunchRefused) as error:
            raise advised(error, self._pods.namespace) from error.__cause__
        if lost := lost_sidecars(manifest, placed.pod):
            await self._remove_useless(placed.ref)
            raise LaunchRefused(why_too_old(placed.ref, lost, placed.pod), reasons=("NativeSidecars",))
        return placed

    async def find_existing(self, selector: str) -> Pod | None:
        """
        The pod with these labels that was created last, finished or not; None if there is none.

        Not one that is marked as ``already_checked``, nor one that is being deleted.

        :param selector: label selector of the task instance: ``spec.pod.labels.task_selector`` with the deployment's.
        :raises RemoteError: the list was refused, or nobody answered; or one of these pods cannot be read.
        """
        found = (one for one in await self._listed(selector) if not _is_done_with(one))
        return max(found, key=_created, default=None)

    async def stop(self, ref: PodRef, *, grace_seconds: int | None = None) -> None:
        """
        Delete that pod; one that is gone, or whose name belongs to another pod now, is no error.

        :param grace_seconds: between TERM and KILL; None: as the pod itself says.
        :raises RemoteError: that was refused, or nobody answered: the pod may still be running.
        """
        await self._pods.delete(ref.name, uid=ref.uid, grace_seconds=grace_seconds)

    async def take_back(self, *, grace_seconds: int | None = None) -> PodRef | None:
        """
        Delete what was placed, or what an unanswered request may have placed, which is looked for by name and label.

        :param grace_seconds: see ``stop``.
        :return: the pod that is being deleted; None if there is none.
        :raises RemoteError: that was refused, or not answered: a pod may be running.
        """
        if self.placed is None and self.unanswered is not None:
            self.placed = await self._made_after_all(self.unanswered)
        if self.placed is None:
            self.unanswered = None
            return None
        ref = self.placed
        await self.stop(ref, grace_seconds=grace_seconds)
        self.placed = self.unanswered = None
        return ref

    async def _attempt(self, manifest: Mapping[str, Any]) -> Placed:
        try:
            return await self._place(manifest)
        except Unavailable:
            self._silent_at = anyio.current_time()
            raise
        except AccessDenied as error:
            if self._silent_at is None or anyio.current_time() > self._silent_at + _ROLES_UNREAD:
                raise
            raise soon(str(error), error) from error.__cause__

    async def _place(self, manifest: Mapping[str, Any]) -> Placed:
        """
        One request. However it is interrupted, ``unanswered`` holds the manifest until ``placed`` holds its pod.

        Whether a call still waits for its turn in the budget cannot be told here: it counts as being under way.
        """
        self._before_request()
        before, self.unanswered = self.unanswered, manifest
        try:
            pod, is_new = await self._pods.create(manifest), True
        except (RemoteError, LaunchRefused) as error:
            if leaves_open(error):
                raise
            taken = isinstance(error, RemoteError) and error.code == TAKEN
            if not taken:
                self.unanswered = before
                if before is None:
                    raise passing(error) from error.__cause__
            # What refuses a pod (a quota that it has used up itself) is asked before anybody looks whether it exists.
            pod, is_new = await self._ours_or_nothing(manifest, error, taken=taken), False
        placed = placed_as(self._pods.namespace, manifest, pod, is_new=is_new)
        self.placed, self.unanswered = placed.ref, None
        return placed

    async def _ours_or_nothing(
        self, manifest: Mapping[str, Any], error: RemoteError | LaunchRefused, *, taken: bool
    ) -> Pod:
        """
        The pod of that name if it is this launch's.

        :param taken: Kubernetes has said that there is one.
        :raises Unavailable: the name will be free in a moment: ask again.
        :raises RequestRefused: it is another one's.
        """
        name = _name(manifest)
        try:
            pod = await self._pods.get(name)
        except (NotFound, AccessDenied) as no_pod:
            if not taken:
                raise passing(error) from error.__cause__
            if isinstance(no_pod, AccessDenied):
                raise
            raise soon(f"A pod {self._pods.namespace}/{name} was there, and is gone now.", error) from None
        if _is_ours(manifest, pod):
            return pod
        if not taken:
            raise passing(error) from error.__cause__
        self.unanswered = None  # what has the name is not ours, so nothing of ours can have it
        if why := self._why_free_soon(manifest, pod):
            raise soon(f"Pod {self._pods.namespace}/{name} {why}, and its name is this pod's.", error)
        raise name_is_taken(self._pods.namespace, pod, error) from error.__cause__

    def _why_free_soon(self, manifest: Mapping[str, Any], pod: Pod) -> str:
        if pod.metadata.deletion_timestamp is not None:
            return "is being deleted"
        labels = pod.metadata.labels or {}
        is_of_this_task = owner_of(labels) and owner_of(labels) == owner_of(manifest["metadata"].get("labels"))
        if not (pod.is_final and is_of_this_task) or labels.get(CHECKED) == "True":
            return ""
        if self._name_free_by is None:
            self._name_free_by = anyio.current_time() + _NAME_GRACE
        return "of an earlier try has ended" if anyio.current_time() < self._name_free_by else ""

    async def _made_after_all(self, manifest: Mapping[str, Any]) -> PodRef | None:
        for is_last in (False, True):
            try:
                pod = await self._pods.get(_name(manifest))
            except NotFound:
                if not is_last:
                    await anyio.sleep(_IN_FLIGHT)
                continue
            if not _is_ours(manifest, pod):
                return None
            return placed_as(self._pods.namespace, manifest, pod, is_new=False).ref
        return None

    async def _remove_useless(self, ref: PodRef) -> None:
        try:
            await patiently(lambda: self.stop(ref), self._say)
        except RemoteError as error:
            self._say(f"Pod {ref} could not be deleted: {error}")  # the caller takes back what is in `placed`
        else:
            self.placed = None

    async def _listed(self, selector: str) -> list[Pod]:
        for _ in range(_RELISTS):
            with suppress(Expired):
                return await self._pages(selector)
        return await self._pages(selector)

    async def _pages(self, selector: str) -> list[Pod]:
        found: list[Pod] = []
        next_page = ""
        while True:
            page = await self._pods.list(label_selector=selector, limit=_PAGE, next_page=next_page)
            for error in page.unreadable.values():
                raise error
            found += page.pods
            next_page = page.next_page
            if not next_page:
                return found


def placed_as(namespace: str, manifest: Mapping[str, Any], pod: Pod, *, is_new: bool) -> Placed:
    """
    That pod as what was launched: its selector is checked on the pod itself.

    :param manifest: what was asked for.
    """
    asked, has = manifest["metadata"].get("labels") or {}, pod.metadata.labels or {}
    deployment = asked.get(DEPLOYMENT)
    selector, warning = f"{DEPLOYMENT}={deployment}" if deployment else "", ""
    if not deployment or has.get(DEPLOYMENT) != deployment:
        selector = ""
        by = f"={deployment}: a webhook of the cluster" if deployment else ": pod_mutation_hook"
        warning = (
            f"Pod {namespace}/{pod.metadata.name} has no label {DEPLOYMENT}{by} has removed it. So the shared "
            "watch does not see the pod; it is asked for by itself every few seconds, and a later try cannot find it "
            "by its labels"
        )
    ref = PodRef(namespace=namespace, name=pod.metadata.name, uid=pod.uid, selector=selector)
    return Placed(ref=ref, pod=pod, is_new=is_new, warning=warning)


def _name(manifest: Mapping[str, Any]) -> str:
    return str(manifest["metadata"]["name"])


def _is_ours(manifest: Mapping[str, Any], pod: Pod) -> bool:
    ours = launch_of(manifest["metadata"])
    return bool(ours) and launch_of(pod.metadata) == ours


def _is_done_with(pod: Pod) -> bool:
    labels = pod.metadata.labels or {}
    return pod.metadata.deletion_timestamp is not None or labels.get(CHECKED) == "True"


def _created(pod: Pod) -> tuple[float, str]:
    created = pod.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, pod.metadata.name)
