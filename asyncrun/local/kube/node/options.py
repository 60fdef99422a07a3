"""What can be set of the node."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

ImageError = Literal["refused", "dns", "not_found", "denied", "absent"]


@dataclass(frozen=True, slots=True)
class ImageFault:
    """
    Images that cannot be pulled.

    :param image: shell pattern (``*.invalid/*``).
    :param error: ``refused``: nobody listens at the registry; ``dns``: there is no such host; ``not_found``: no such
        image or tag; ``denied``: no access; ``absent``: it is not on the node, and ``not_found`` elsewhere.
    :param times: attempts that fail before it can be pulled; None is for ever.
    :raises ValueError: there is no such error.
    """

    image: str
    error: ImageError = "not_found"
    times: int | None = None

    def __post_init__(self) -> None:
        if self.error not in get_args(ImageError):
            raise ValueError(f"an image cannot fail by {self.error!r}")


@dataclass(frozen=True, slots=True)
class Delays:
    """
    Seconds that things take. Recorded ones are in parentheses.

    :param scheduling: from the creation to the node (0.005).
    :param sandbox: until the pod's network is there (0.5).
    :param starting: from there to the first container (0.15).
    :param pulling: an image with pull policy ``Always``.
    :param final: from the end of the last container to the final phase (1.1).
    :param removal: from the final phase to the removal of a pod that is being deleted (0.3 to 1).
    :param kept_after_eviction: the log of an evicted pod stays that long after its end (1).
    :param retry: until what is missing is looked for again: secrets, room on the node (2 to 15).
    :param backoff_shown: from a container's end to ``CrashLoopBackOff``, from ``ErrImagePull`` to ``ImagePullBackOff``
        (up to 12).
    :param crash: first and longest back-off of a container that ended, doubled each time (10, 300).
    :param pull: the same of an image that cannot be pulled (10, 300).
    :param backoff_factor: seconds that a second of a back-off takes; messages name it unscaled.
    :param eviction_check: between two looks at the size of volumes (10 and more).
    :param unreachable: from the loss of a node to the pods' ``Ready=False`` (45).
    :param toleration_factor: seconds that a second of a ``tolerationSeconds`` takes.
    """

    scheduling: float = 0.0
    sandbox: float = 0.02
    starting: float = 0.0
    pulling: float = 0.1
    final: float = 0.2
    removal: float = 0.1
    kept_after_eviction: float = 1.0
    retry: float = 2.0
    backoff_shown: float = 0.5
    crash: tuple[float, float] = (10.0, 300.0)
    pull: tuple[float, float] = (10.0, 300.0)
    backoff_factor: float = 1.0
    eviction_check: float = 1.0
    unreachable: float = 45.0
    toleration_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """
    Options of `LocalNode`.

    :param name: of the node.
    :param labels: of the node, for node selectors; the usual ones are added.
    :param cpu: what pods may request of it together.
    :param memory: the same.
    :param images: that cannot be pulled; the first match decides. All others are there.
    :param delays: what takes how long.
    :param log_limit: bytes after which a container's log begins anew (10 MiB).
    :param environment: variables of every container, below its own.
    :param namespaces: ``auto``: containers get mounts of their own if this machine lets us; ``never``.
    """

    name: str = "embedded-node"
    labels: dict[str, str] = field(default_factory=dict)
    cpu: str = "64"
    memory: str = "256Gi"
    images: tuple[ImageFault, ...] = (ImageFault("*.invalid/*", "dns"), ImageFault("*.invalid:*/*", "dns"))
    delays: Delays = Delays()
    log_limit: int = 10 << 20
    environment: dict[str, str] = field(default_factory=dict)
    namespaces: Literal["auto", "never"] = "auto"

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> NodeOptions:
        """
        From JSON.

        :raises TypeError: for an unknown name.
        """
        unknown = raw.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise TypeError(f"Unknown options of the embedded node: {sorted(unknown)}")
        given = dict(raw)
        if "images" in given:
            given["images"] = tuple(ImageFault(**one) for one in given["images"])
        if "delays" in given:
            pairs: dict[str, Any] = {
                key: tuple(one) if isinstance(one, list) else one for key, one in given["delays"].items()
            }
            given["delays"] = Delays(**pairs)
        return cls(**given)
