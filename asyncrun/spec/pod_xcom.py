"""
The XCom sidecar of a pod: how a container's return value leaves the pod without ``pods/exec``. Pure.

It is a native sidecar, an init container with restartPolicy Always: Kubernetes (1.29 and newer) sends it TERM only
after all main containers have ended (trace j_native_sidecar), and its end does not count for the pod's. What it then
writes is described in ``asyncrun.model.pod_xcom``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.pod_xcom import PROTOCOL, RETURN_FILE, SIDECAR_NAME

DEFAULT_IMAGE = "alpine:3.24.2"
"""Upstream's. Any image with sh, wc, base64 and sleep will do; with sha256sum, values are checked by that, too."""

DEFAULT_RESOURCES: Mapping[str, Any] = {"requests": {"cpu": "1m", "memory": "10Mi"}}
"""Upstream's."""

LONGEST = 2**20
"""Default of ``[asyncrun] pod_xcom_limit``, in bytes."""

_VOLUME = "xcom"
_FOLDER = RETURN_FILE.rpartition("/")[0]
_MESSAGE_FILE = "/dev/termination-log"  # Kubernetes's default; writable for all users and with a read-only root

# Trace m_termination_message: 4 KiB per container, and 12 KiB for all containers of the pod, shared evenly.
_MESSAGE_ROOM, _POD_ROOM = 4096, 12 * 1024
# Containers that webhooks add share it, too: a service mesh adds two, an agent of a secret store two.
_STRANGERS = 4
# Protocol, "inline", length, checksum, spaces and the final dot.
_FRAME = 120
# base64 writes lines of 76 characters for 57 bytes each.
_LINE, _BYTES_PER_LINE = 77, 57

# Waits with `wait`, which a signal interrupts at once; the sleep is short for shells that miss one just before it.
# A message is written last: who sees it finds the log complete. Nothing is read of what is no ordinary file.
_SCRIPT = """\
file='{file}' message='{message}'
end() {{ printf '{protocol} %s .' "$*" >"$message"; exit 0; }}
hand() {{
  trap '' TERM
  [ -L "$file" ] && end none symlink
  [ -e "$file" ] || end none missing
  [ -d "$file" ] && end none directory
  [ -p "$file" ] && end none fifo
  [ -f "$file" ] || end none special
  [ -r "$file" ] || end error "permission denied for user $(id -u): $(ls -ln "$file" 2>&1)"
  n=$(wc -c <"$file") || end error "wc in the sidecar's image ended with $?"
  n=$((n))
  [ "$n" -eq 0 ] && end none empty
  [ "$n" -gt {limit} ] && end long "$n" {limit}
  sum=$(sha256sum 2>/dev/null <"$file") || sum=-
  sum=${{sum%% *}}
  echo "{protocol} begin $n $sum"
  base64 <"$file" || end error "base64 in the sidecar's image ended with $?"
  echo "{protocol} end $n $sum"
  [ "$n" -gt {inline} ] && end log "$n" "$sum"
  end inline "$n" "$sum" "$(base64 <"$file")"
}}
trap hand TERM
while :; do sleep 1 & wait $! || exit 1; done
"""


def inline_limit(containers: int) -> int:
    """
    The longest value, in bytes, that fits into the sidecar's termination message.

    :param containers: of the pod as we make it, init containers and the sidecar included.
    """
    room = min(_MESSAGE_ROOM, _POD_ROOM // (containers + _STRANGERS)) - _FRAME
    return max(0, room // _LINE * _BYTES_PER_LINE)


def sidecar_script(
    *, inline: int, limit: int = LONGEST, file: str = RETURN_FILE, message_file: str = _MESSAGE_FILE
) -> str:
    """
    What the sidecar's shell runs: waits for TERM, then hands the file over and ends.

    Needs a POSIX shell, wc, base64 and sleep. Holds no more of the value in memory than ``inline`` bytes.

    :param inline: values up to so many bytes stand in the termination message.
    :param limit: longer ones are not handed over at all.
    :param file: where the value is; no quotes in it, as in ``message_file``.
    """
    return _SCRIPT.format(file=file, message=message_file, protocol=PROTOCOL, limit=limit, inline=inline)


def add_sidecar(
    manifest: Mapping[str, Any],
    *,
    image: str | None = None,
    resources: Mapping[str, Any] | None = None,
    security_context: Mapping[str, Any] | None = None,
    limit: int = LONGEST,
) -> dict[str, Any]:
    """
    The manifest with the XCom volume in its first container, as upstream mounts it, and the sidecar after all other
    init containers: native sidecars are ended in the opposite order, so it need not wait for them.

    :param manifest: of a pod, as JSON; left as it is.
    :param image: None: upstream's default. Where the pod must not run as root, it needs an image or a
        ``security_context`` for that.
    :param resources: requests and limits; None or empty: upstream's.
    :param security_context: None: none.
    :param limit: the setting ``pod_xcom_limit``, in bytes.
    :raises InvalidArgument: the pod has a volume or container of that name already.
    """
    made = copy.deepcopy(dict(manifest))
    spec = made["spec"]
    mains, inits, volumes = (spec.get(key) or [] for key in ("containers", "initContainers", "volumes"))
    _refuse_twice("volumes", volumes, _VOLUME)
    _refuse_twice("containers", [*mains, *inits], SIDECAR_NAME)
    mount = {"name": _VOLUME, "mountPath": _FOLDER}
    sidecar: dict[str, Any] = {
        "name": SIDECAR_NAME,
        "image": image or DEFAULT_IMAGE,
        "imagePullPolicy": "IfNotPresent",  # any version of it will do, so a registry is asked only where it is missing
        "command": ["sh", "-c", sidecar_script(inline=inline_limit(len(mains) + len(inits) + 1), limit=limit)],
        "restartPolicy": "Always",
        "volumeMounts": [mount],
        "resources": copy.deepcopy(dict(resources or DEFAULT_RESOURCES)),
    }
    if security_context is not None:
        sidecar["securityContext"] = copy.deepcopy(dict(security_context))
    first = mains[0]
    first["volumeMounts"] = [dict(mount), *(first.get("volumeMounts") or [])]
    spec["volumes"] = [{"name": _VOLUME, "emptyDir": {}}, *volumes]
    spec["initContainers"] = [*inits, sidecar]
    return made


def _refuse_twice(what: str, ones: list[dict[str, Any]], name: str) -> None:
    if any(one.get("name") == name for one in ones):
        raise InvalidArgument("do_xcom_push", True, f"no other {name!r} among the pod's {what}: that one is for XComs")
