"""
Why a container cannot start, from the words of the scheduler, the kubelet and the container runtime.

These tables are the only place that knows the words. They were recorded (traces ``d_image_pull`` to
``e_unschedulable`` and ``o_start_errors``) or stand in the sources of Kubernetes 1.36 and containerd. A permanent
trouble is one that waiting will not mend; a missing Secret may still be created, and a registry may come back.
"""

from __future__ import annotations

import re

import msgspec

from asyncrun.model.diagnosis import Cause


class Finding(msgspec.Struct, frozen=True):
    """
    What is known of a trouble.

    :param cause: in one word.
    :param what: a clause, lower case, for people.
    :param next_step: who should do what, in sentences.
    :param permanent: waiting will not mend it.
    """

    cause: Cause
    what: str
    next_step: str
    permanent: bool = False


class _Known(msgspec.Struct, frozen=True):
    pattern: re.Pattern[str]
    cause: Cause
    why: str
    next_step: str
    permanent: bool


def _known(pattern: str, cause: Cause, why: str, next_step: str, *, permanent: bool = False) -> _Known:
    return _Known(re.compile(pattern, re.IGNORECASE), cause, why, next_step, permanent)


IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "ErrRegistryUnavailable",
        "SignatureValidationFailed",
    }
)

_NO_NAME = _known(
    r"InvalidImageName|couldn't parse image (?:name|reference)|invalid reference format",
    Cause.IMAGE, "is no valid image name",
    "The author of the DAG must mend the `image`.", permanent=True,
)  # fmt: skip
# The first match wins.
_IMAGES = (
    _NO_NAME,
    _known(
        r"ErrImageNeverPull|not present with pull policy of Never",
        Cause.IMAGE, "is not on the node, and image_pull_policy is Never",
        "The author of the DAG must choose another `image_pull_policy` (IfNotPresent), or whoever runs the cluster "
        "must put the image on its nodes.",
        permanent=True,
    ),
    _known(
        r"toomanyrequests|too many requests|\b429\b|rate limit|pull QPS exceeded",
        Cause.IMAGE, "is not given out at the moment: too many pulls",
        "Retry later. If it happens often, whoever runs the cluster should give the pulls an account of the registry, "
        "or use a mirror.",
    ),
    _known(
        r"no such host|server misbehaving|lookup \S+.*(?:timeout|on \S+:53)",
        Cause.IMAGE, "cannot be pulled: the name of its registry cannot be resolved from the node",
        "Check the registry's name in `image`; if it is right, whoever runs the cluster must mend the DNS of its "
        "nodes.",
    ),
    _known(
        r"x509|certificate|gave HTTP response to HTTPS client",
        Cause.IMAGE, "cannot be pulled: the node does not accept the registry's certificate",
        "Whoever runs the cluster must make its nodes trust the registry.",
    ),
    _known(
        r"no space left on device",
        Cause.IMAGE, "cannot be pulled: the node's disk is full",
        "Whoever runs the cluster must make room on that node; a retry may land on another one.",
    ),
    _known(
        r"no match(?:ing)? (?:for platform|manifest)|exec format",
        Cause.IMAGE, "does not exist for the processor of the node",
        "The author of the DAG must use an image that is built for the nodes' architecture, or choose nodes by "
        "`node_selector` (kubernetes.io/arch).",
        permanent=True,
    ),
    _known(
        r"unauthorized|authorization failed|\b401\b|\b403\b|forbidden|denied|insufficient_scope|no basic auth",
        Cause.IMAGE, "is refused by its registry: it does not exist there, or the node may not pull it",
        "Check the name in `image`; if it is right, name a Secret with credentials of the registry in "
        "`image_pull_secrets`, or whoever runs the cluster must allow its nodes to pull from there.",
        permanent=True,
    ),
    _known(
        r"manifest unknown|not found|\b404\b|name unknown|does not exist",
        Cause.IMAGE, "does not exist in its registry",
        "The author of the DAG must mend the name or the tag in `image`, or somebody must push the image.",
        permanent=True,
    ),
    _known(
        r"dial tcp|connection (?:refused|reset)|i/o timeout|deadline exceeded|TLS handshake|no route to host"
        r"|network is unreachable|\b50[0234]\b|bad gateway|service unavailable|\bEOF\b|RegistryUnavailable",
        Cause.IMAGE, "cannot be pulled: its registry cannot be reached from the node",
        "Retry, if the registry was only away for a while. Else check its name in `image`, and whoever runs the "
        "cluster must check the way from its nodes to the registry.",
    ),
)  # fmt: skip
_ANY_IMAGE = _known(
    "", Cause.IMAGE, "cannot be pulled",
    "Check the name and tag in `image`, `image_pull_secrets`, and the way from the nodes to the registry.",
)  # fmt: skip


def of_image(container: str, image: str, reason: str, message: str) -> Finding:
    """
    Of an image that the kubelet cannot get.

    :param reason: ``ErrImagePull``, ``ImagePullBackOff``, ...; both come in turns while it is tried again.
    :param message: the kubelet's; since Kubernetes 1.32 with what the registry said also in ``ImagePullBackOff``.
    """
    text = innermost(message)
    # An image may be called "denied:404": only the words around its name tell anything.
    words = _QUOTED.sub("", text).replace(image, "") if image else _QUOTED.sub("", text)
    known = next((one for one in _IMAGES if one.pattern.search(f"{reason}: {words}")), _ANY_IMAGE)
    named = f"image {image!r} of container {container!r} {known.why}"
    if reason == "ErrImageNeverPull":
        return Finding(known.cause, named, known.next_step, known.permanent)
    return Finding(known.cause, f"{named}: {text}" if text else named, known.next_step, known.permanent)


_PULL_FRAMES = re.compile(
    r'^(?:failed to (?:pull(?: and unpack)? image|resolve reference|copy|apply default image tag) "[^"]*": '
    r'|failed to do request: \w+ "[^"]*": |couldn\'t parse image (?:name|reference) "[^"]*": )+',
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"]*"|https?://\S+')


def innermost(message: str) -> str:
    """What a pull failed for, without the kubelet's frame, which changes with every attempt."""
    if message.startswith("Back-off pulling image"):
        _, _, message = message.partition(": ")
    for frame in ("ErrImagePull: ", "rpc error: code = ", "Unknown desc = ", "NotFound desc = "):
        message = message.removeprefix(frame)
    # "failed to pull and unpack image X: failed to resolve reference X: <what counts>"
    return _PULL_FRAMES.sub("", message).strip()


_MISSING_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) ([^/\s]+)/(\S+)")
_MISSING = re.compile(r'\b(secret|configmap) "([^"]+)" not found', re.IGNORECASE)
_NO_SUCH_KEY = re.compile(r"references non-existent (secret|config) key: (\S+)")
_CAUSE_OF = {"secret": Cause.SECRET, "configmap": Cause.CONFIG}
_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}


def of_missing_object(message: str, namespace: str) -> Finding | None:
    """Of a Secret, a ConfigMap or a key that is named and missing; None if the message says nothing of that."""
    if (found := _MISSING_KEY.search(message)) is not None:
        key, kind, where, name = found.groups()
        return Finding(
            _CAUSE_OF[kind.lower()],
            f"{kind} {name!r} in namespace {where!r} has no key {key!r}",
            f"Add the key {key!r} to {kind} {name!r} in namespace {where!r}, or mend its name in the DAG.",
        )
    if (found := _MISSING.search(message)) is not None:
        kind, name = _KINDS[found[1].lower()], found[2]
        return Finding(
            _CAUSE_OF[kind.lower()],
            f"{kind} {name!r} does not exist in namespace {namespace!r}",
            f"Create {kind} {name!r} in namespace {namespace!r}, or mend its name or the `namespace` in the DAG.",
        )
    if (found := _NO_SUCH_KEY.search(message)) is not None:
        kind = "Secret" if found[1] == "secret" else "ConfigMap"
        return Finding(
            _CAUSE_OF[kind.lower()],
            f"a volume names the key {found[2]!r}, which its {kind} does not have",
            f"Add the key to the {kind} in namespace {namespace!r}, or mend the volume's items in the DAG.",
        )
    return None


_NO_MOUNT = (
    Cause.VOLUME, "cannot be started: one of its volumes cannot be mounted",
    "The author of the DAG must check `volume_mounts` (path, subPath) against the image.",
)  # fmt: skip
# Of CreateContainerConfigError, CreateContainerError, RunContainerError and StartError. The first match wins.
_STARTS = (
    _known(r"error mounting|subPath", *_NO_MOUNT),  # "... to rootfs at ...: no such file or directory" is no program
    _known(
        r"runAsNonRoot",
        Cause.CONFIG, "must not run as root, and its image would",
        "The author of the DAG must set `run_as_user` in the security context to a number other than 0, or use an "
        "image whose USER is one.",
        permanent=True,
    ),
    _known(
        r"services have not yet been read",
        Cause.START, "waits for its node, which has just started", "Retry.",
    ),
    _known(
        r"exec format error",
        Cause.START, "cannot be started: its program is not built for the processor of the node",
        "The author of the DAG must use an image for the nodes' architecture, or choose nodes by `node_selector` "
        "(kubernetes.io/arch).",
        permanent=True,
    ),
    _known(
        r"no such file or directory|executable file not found|no command specified|stat \S+: no such",
        Cause.START, "cannot be started: its image has no such program",
        "The author of the DAG must mend `cmds` and `arguments`: the first word of `cmds` must be a program in the "
        "image.",
        permanent=True,
    ),
    _known(
        r"permission denied|operation not permitted",
        Cause.START, "cannot be started: its program may not be executed",
        "The author of the DAG must check that the first word of `cmds` is executable in the image, and the security "
        "context.",
        permanent=True,
    ),
    _known(r"mount", *_NO_MOUNT),
)  # fmt: skip
_ANY_START = _known(
    "", Cause.START, "cannot be started",
    "Check the container's definition: `cmds`, `arguments`, `env_from`, the security context and the volumes.",
)  # fmt: skip


def of_start(container: str, message: str, namespace: str) -> Finding:
    """Of a container that the kubelet or the runtime cannot create or start."""
    missing = of_missing_object(message, namespace)
    if missing is not None:
        what = f"container {container!r} cannot be started: {missing.what}"
        return Finding(missing.cause, what, missing.next_step)
    known = next((one for one in _STARTS if one.pattern.search(message)), _ANY_START)
    named = f"container {container!r} {known.why}"
    text = _without_frames(message)
    return Finding(known.cause, f"{named}: {text}" if text else named, known.next_step, known.permanent)


def _without_frames(message: str) -> str:
    """An error of the container runtime from where it becomes specific; the evidence holds all of it."""
    for frame in ("unable to start container process: ", "OCI runtime create failed: "):
        message = message.rpartition(frame)[2]
    message = re.sub(r' \(pod: "[^"]*", container: [^)]*\)$', "", message.strip())
    return message.removeprefix("Error: ").removesuffix(": unknown").strip()


def of_mount(message: str, namespace: str) -> Finding:
    """Of an event ``FailedMount`` or ``FailedAttachVolume``; the pod itself says nothing of it."""
    missing = of_missing_object(message, namespace)
    volume = re.search(r'for volume "([^"]+)"', message)
    named = f"volume {volume[1]!r} cannot be mounted" if volume else "a volume cannot be mounted"
    if missing is not None:
        return Finding(missing.cause, f"{named}: {missing.what}", missing.next_step)
    return Finding(
        Cause.VOLUME,
        f"{named}: {message.strip()}",
        "The author of the DAG must check `volumes` and what they name; if that is right, whoever runs the cluster "
        "must check the storage behind them.",
    )


def of_sandbox(message: str) -> Finding:
    """Of an event ``FailedCreatePodSandBox``: the node cannot give the pod its network."""
    return Finding(
        Cause.NETWORK,
        f"the node cannot set up the pod's network: {message.strip()}",
        "Retry; if it happens again, whoever runs the cluster must check the network plug-in of that node, and whether "
        "it still has addresses to give.",
    )


# What may be done about each reason of the scheduler's, and by whom.
_HINTS = (
    (r"Insufficient ", "lower the requests in `container_resources`, or have whoever runs the cluster add nodes"),
    (r"node affinity|node selector", "check `node_selector` and `affinity`: no node has the labels that they ask for"),
    (r"untolerated taint|had taint", "add `tolerations` for the taints of the nodes, if the pod belongs there"),
    (r"PersistentVolumeClaim|volume node affinity", "check the PersistentVolumeClaims that `volumes` names"),
    (r"too many pods", "have whoever runs the cluster add nodes: each holds as many pods as it may"),
    (r"no nodes available", "have whoever runs the cluster add nodes: it has none"),
    (r"anti-affinity|topology spread", "check the rules of anti-affinity and spreading: they leave no node"),
    (r"were unschedulable", "have whoever runs the cluster open its cordoned nodes again, or add others"),
)


def of_scheduling(message: str) -> Finding:
    """Of a pod that the scheduler finds no node for."""
    hints = [hint for pattern, hint in _HINTS if re.search(pattern, message, re.IGNORECASE)]
    advice = "; ".join(hints) if hints else "have whoever runs the cluster look for room, or add nodes"
    # What preempting others would bring is in the evidence.
    said = re.split(r"\.? (?:no new claims to deallocate, )?preemption: ", message)[0].strip().rstrip(".")
    return Finding(
        Cause.CAPACITY,
        f"no node can take the pod: {said}" if said else "no node can take the pod",
        f"{advice[0].upper()}{advice[1:]}.",
    )
