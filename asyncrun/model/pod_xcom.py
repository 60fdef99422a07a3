"""
What the XCom sidecar hands over, read and checked. Pure: the sidecar itself is made by ``asyncrun.spec.pod_xcom``.

When the main containers have ended, the sidecar writes one message as its termination message, which arrives with the
pod's status (the lengths are of the value in bytes; the SHA-256 is ``-`` where the image has no sha256sum)::

    asyncrun-xcom/1 none <missing|empty|symlink|directory|fifo|special> .
    asyncrun-xcom/1 inline <length> <sha256> <base64> .
    asyncrun-xcom/1 log <length> <sha256> .
    asyncrun-xcom/1 long <length> <limit> .
    asyncrun-xcom/1 error <words for people> .

A value, an ``inline`` one too, stands in its log before that message is written::

    asyncrun-xcom/1 begin <length> <sha256>
    <base64, some lines>
    asyncrun-xcom/1 end <length> <sha256>

So a message that Kubernetes has cut (containers that a webhook added share the 12 KiB) costs one look at the log, and
what is cut anywhere is noticed: a message without its final dot, a log without its end, another length or checksum.

Errors::

    XComUnusable
    ├── XComMissing     the sidecar ended without a word of its own: killed, or the node was lost
    ├── XComUnreadable  the author of the DAG: the file is there and the sidecar may not read it, or has no tool to
    ├── XComTooLong     the author of the DAG: longer than [asyncrun] pod_xcom_limit
    ├── XComCut         the platform: part of the value is lost (a rotated log)
    └── XComInvalid     the code in the container: not JSON
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from asyncrun.model.errors import AsyncrunError
from asyncrun.model.pod import Pod

SIDECAR_NAME = "airflow-xcom-sidecar"
"""The sidecar's container; upstream's name. Its log is never part of the task's."""

RETURN_FILE = "/airflow/xcom/return.json"
"""Where a container leaves its XCom; upstream's path."""

PROTOCOL = "asyncrun-xcom/1"
"""First word of every message and marker. Another version is another language: sidecar and reader may differ in age."""

# What a container of upstream's own examples writes to say "nothing".
_UPSTREAM_NOTHING = b"__airflow_xcom_result_empty__"

_HEADER = re.compile(r"asyncrun-xcom/1 (inline|log) ([0-9]{1,18}) ([0-9a-f]{64}|-) ")
_NOTHING = re.compile(r"asyncrun-xcom/1 none ([a-z]+) \.\s*")
_LONG = re.compile(r"asyncrun-xcom/1 long ([0-9]{1,18}) ([0-9]{1,18}) \.\s*")
_ERROR = re.compile(r"asyncrun-xcom/1 error (.+?)( \.)?\s*", re.DOTALL)
_ANY_VERSION = re.compile(r"asyncrun-xcom/([0-9]+) ")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")

_WHY_NOTHING = {
    "missing": "there is no such file",
    "empty": "the file is empty",
    "symlink": "it is a symbolic link, which is not followed: write a file",
    "directory": "it is a directory: write a file",
    "fifo": "it is a pipe: write a file",
    "special": "it is no ordinary file: write one",
}
_EXPECTED_NOTHING = frozenset({"missing", "empty"})


class XComUnusable(AsyncrunError):
    """A container left an XCom that cannot be used; the subclass says who must act."""


class XComMissing(XComUnusable):
    """The sidecar ended without handing anything over, so whether there was a value is not known."""


class XComUnreadable(XComUnusable):
    """The sidecar could not read the file that the container left."""


class XComTooLong(XComUnusable):
    """The value is longer than ``[asyncrun] pod_xcom_limit``."""


class XComCut(XComUnusable):
    """Part of the value was lost on its way."""


class XComInvalid(XComUnusable):
    """The value is not JSON; the message shows none of it, since it may be a secret."""


class HandedKind(StrEnum):
    """What a termination message hands over."""

    NOTHING = "nothing"
    """The container left no value."""
    INLINE = "inline"
    """The value itself, complete and checked."""
    IN_LOG = "in the log"
    """The value stands in the sidecar's log."""
    MISSING = "missing"
    """No message of the sidecar's, or not all of it."""
    UNREADABLE = "unreadable"
    """The sidecar could not read the file."""
    TOO_LONG = "too long"
    """The sidecar did not hand it over, because of its length."""


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the sidecar handed over.

    :param value: where it is ``INLINE``: the file's bytes.
    :param length: of the value in bytes, where there is one.
    :param sha256: of the value in hexadecimal digits; empty where the sidecar's image has no sha256sum.
    :param why: the reason where there is no value: the end of a sentence.
    :param is_odd: there is no value for a reason that the author of the DAG will want to know.
    """

    kind: HandedKind
    value: bytes = b""
    length: int = 0
    sha256: str = ""
    why: str = ""
    is_odd: bool = False


def handed_over(pod: Pod, base: str) -> Handed | None:
    """
    What the pod's sidecar handed over, None while that is still to come.

    It is to come until the base container and the sidecar have both ended: a sidecar that ends before is started again.
    (An ended pod whose sidecar shows no end handed nothing over.)

    :param base: name of the container that leaves the value.
    """
    sidecar, main = pod.status_of(SIDECAR_NAME), pod.status_of(base)
    if sidecar is not None and sidecar.state.terminated is not None:
        if pod.is_final or (main is not None and main.state.terminated is not None):
            end = sidecar.state.terminated
            return read_message(end.message, ended=f"{end.reason or 'ended'}, exit code {end.exit_code}")
        return None
    return Handed(kind=HandedKind.MISSING, why="Kubernetes shows no end of it") if pod.is_final else None


def read_message(text: str, *, ended: str = "") -> Handed:
    """
    What a termination message hands over. Never raises.

    :param text: as Kubernetes shows it: perhaps cut, perhaps not the sidecar's.
    :param ended: how the sidecar ended, for a message that does not say anything itself.
    """
    if found := _HEADER.match(text):
        kind, length, sha256 = found[1], int(found[2]), found[3].removeprefix("-")
        rest = text[found.end() :].rstrip()
        value = _whole(rest, length, sha256) if kind == "inline" else None
        if value is None:
            return Handed(kind=HandedKind.IN_LOG, length=length, sha256=sha256)
        return Handed(kind=HandedKind.INLINE, value=value, length=length, sha256=sha256)
    if found := _NOTHING.fullmatch(text):
        why = _WHY_NOTHING.get(found[1], found[1])
        return Handed(kind=HandedKind.NOTHING, why=why, is_odd=found[1] not in _EXPECTED_NOTHING)
    if found := _LONG.fullmatch(text):
        why = f"it has {int(found[1]):,} bytes, and [asyncrun] pod_xcom_limit allows {int(found[2]):,}"
        return Handed(kind=HandedKind.TOO_LONG, length=int(found[1]), why=why)
    if found := _ERROR.fullmatch(text):
        return Handed(kind=HandedKind.UNREADABLE, why=" ".join(found[1].split()))
    return Handed(kind=HandedKind.MISSING, why=_no_message(text, ended))


def read_log(lines: Iterable[str], handed: Handed) -> bytes:
    """
    The value out of the sidecar's log.

    :param lines: of the sidecar's last instance, without stamps; other lines may be among them.
    :param handed: what its message says of the value.
    :raises XComCut: it does not stand there, or not all of it.
    """
    begin, end = (f"{PROTOCOL} {word} {handed.length} {handed.sha256 or '-'}" for word in ("begin", "end"))
    most = handed.length * 4 // 3 + 4
    parts: list[str] | None = None
    seen, begun = 0, False
    for line in map(str.strip, lines):
        if line == begin:
            parts, seen, begun = [], 0, True
        elif line == end and parts is not None:
            value = _decoded("".join(parts), handed.length, handed.sha256)
            if value is not None:
                return value
        elif parts is not None and _BASE64.fullmatch(line):
            seen += len(line)
            if seen <= most:  # never more memory than the value is said to have
                parts.append(line)
    told = "only part of the value" if begun else "no value"
    raise XComCut(
        f"The XCom of {handed.length:,} bytes was cut: the log of container {SIDECAR_NAME!r} has {told}. A node keeps "
        "only the newest 10 MiB of a container's log, unless its kubelet is told otherwise (containerLogMaxSize). "
        "Write a shorter value, such as the address of a file"
    )


def value_of(handed: Handed, *, container: str, lines: Iterable[str] = ()) -> Any:
    """
    The XCom, None where the container left none.

    :param container: name of the container that left it.
    :param lines: see ``read_log``; needed where it stands ``IN_LOG``.
    :raises XComUnusable: there is no telling, or it is no JSON.
    """
    match handed.kind:
        case HandedKind.NOTHING:
            return None
        case HandedKind.INLINE:
            return parse(handed.value, container=container)
        case HandedKind.IN_LOG:
            return parse(read_log(lines, handed), container=container)
        case HandedKind.TOO_LONG:
            raise XComTooLong(
                f"The XCom of container {container!r} is too long: {handed.why}. Write a shorter value, such as the "
                "address of a file, or raise that setting"
            )
        case HandedKind.UNREADABLE:
            raise XComUnreadable(
                f"The XCom of container {container!r} cannot be read by container {SIDECAR_NAME!r}: {handed.why}. Let "
                f"it write {RETURN_FILE} so that others may read it, or give the sidecar its user "
                "(xcom_sidecar_container_security_context)"
            )
        case HandedKind.MISSING:
            raise XComMissing(
                f"Container {SIDECAR_NAME!r} ended without handing over the XCom of container {container!r}: "
                f"{handed.why}. It needs some seconds when the pod ends (termination_grace_period), and an image with "
                "sh, wc, base64 and sleep"
            )


def parse(value: bytes, *, container: str) -> Any:
    """
    The value as JSON; None where the file is empty or says in upstream's words that there is nothing.

    :param container: name of the container that wrote it.
    :raises XComInvalid: it is not JSON.
    """
    if not value or value.rstrip() == _UPSTREAM_NOTHING:
        return None
    what = f"The XCom that container {container!r} wrote to {RETURN_FILE} is not JSON"
    try:
        text = value.decode()
        parsed = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\u" in text:  # half of a surrogate pair is accepted by the parser, and can be stored nowhere
            json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise XComInvalid(f"{what}: byte {error.start + 1:,} is not UTF-8") from None
    except UnicodeEncodeError:
        raise XComInvalid(f"{what} that can be stored: it has half of a surrogate pair (\\ud800 to \\udfff)") from None
    except json.JSONDecodeError as error:
        raise XComInvalid(f"{what}: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise XComInvalid(f"{what} that can be read: it is nested too deeply") from None
    except ValueError as error:  # a number with thousands of digits; NaN
        raise XComInvalid(f"{what}: {error}") from None
    return parsed


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    """Airflow's API client stores no infinity: it could not be written as JSON again."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a 64-bit float")
    return number


def _whole(rest: str, length: int, sha256: str) -> bytes | None:
    """The value of an ``inline`` message after its header, None where it was cut."""
    return _decoded("".join(rest.removesuffix(" .").split()), length, sha256) if rest.endswith(" .") else None


def _decoded(text: str, length: int, sha256: str) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(value) != length or (sha256 and hashlib.sha256(value).hexdigest() != sha256):
        return None
    return value


def _no_message(text: str, ended: str) -> str:
    how = f" ({ended})" if ended else ""
    if (found := _ANY_VERSION.match(text)) and found[1] != PROTOCOL.rpartition("/")[2]:
        return f"it speaks version {found[1]} of a language of which this asyncrun knows version 1"
    if text.startswith(PROTOCOL):
        return f"its message was cut{how}"
    return f"its termination message is {text[:200]!r}{how}" if text.strip() else f"it said nothing{how}"
