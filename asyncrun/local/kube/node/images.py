"""Images: there are none. What is left of them is their names, and those that cannot be pulled (traces d, d2)."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass

from asyncrun.local.kube.node.options import ImageError, ImageFault

_TAG = re.compile(r"[\w][\w.-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed image name."""

    registry: str
    repository: str
    tag: str


def image_id(image: str) -> str:
    """The same for the same name."""
    return f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def parse(image: str) -> Reference:
    """
    The parts of an image's name.

    :raises ValueError: the reason why it is none, as containerd says it.
    """
    name, _, digest = image.partition("@")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head.lower() != head):
        registry, path = head, rest
    else:
        registry, path = "docker.io", name if slash else f"library/{name}"
    repository, _, tag = path.partition(":")
    if repository.lower() != repository:
        raise ValueError(f"invalid reference format: repository name ({repository}) must be lowercase")
    if not _REPOSITORY.fullmatch(repository) or (tag and not _TAG.fullmatch(tag)) or (":" in path and not tag):
        raise ValueError("invalid reference format")
    return Reference(registry, repository, digest or tag or "latest")


def invalid(image: str) -> str:
    """Why it is no image's name, empty if it is one."""
    try:
        parse(image)
    except ValueError as error:
        return f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {error}'
    return ""


class Images:
    """Which images cannot be pulled, now."""

    def __init__(self, faults: tuple[ImageFault, ...]) -> None:
        self._faults = list(faults)
        self._failed: dict[ImageFault, int] = {}

    def add(self, fault: ImageFault) -> None:
        """It decides before those that are there."""
        self._faults.insert(0, fault)

    def clear(self) -> None:
        """Every image can be pulled."""
        self._faults.clear()

    def present(self, image: str) -> bool:
        """Whether it is on the node."""
        return self._fault(image) is None

    def pull(self, image: str) -> str:
        """Try to pull it: the error, or empty."""
        fault = self._fault(image)
        if fault is None:
            return ""
        self._failed[fault] = self._failed.get(fault, 0) + 1
        return _error(image, fault.error)

    def _fault(self, image: str) -> ImageFault | None:
        for fault in self._faults:
            if fnmatch.fnmatchcase(image, fault.image):
                over = fault.times is not None and self._failed.get(fault, 0) >= fault.times
                return None if over else fault
        return None


def _error(image: str, error: ImageError) -> str:
    reference = parse(image)
    whole = image if image.startswith(f"{reference.registry}/") else f"docker.io/{reference.repository}:{reference.tag}"
    start = f'failed to pull and unpack image "{whole}": failed to resolve reference "{whole}"'
    host = reference.registry.partition(":")[0]
    scheme = "http" if host in ("127.0.0.1", "localhost") else "https"
    url = f"{scheme}://{reference.registry}/v2/{reference.repository}/manifests/{reference.tag}"
    if error == "refused":
        return (
            f'{start}: failed to do request: Head "{url}": dial tcp {reference.registry}: connect: connection refused'
        )
    if error == "dns":
        return f'{start}: failed to do request: Head "{url}": dial tcp: lookup {host} on 10.255.255.53:53: no such host'
    if error == "denied":
        return (
            f"{start}: pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed"
        )
    return f"{start}: {whole}: not found"
