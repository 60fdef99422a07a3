"""Lists of objects, in pages."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

from asyncrun.local.kube.query import Call, ListOptions, revision
from asyncrun.local.kube.selectors import field_selector, label_selector
from asyncrun.local.kube.status import bad_request, expired, too_large_version
from asyncrun.local.kube.store import Json, Store, TooOld, place

_OLD_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)
_OLD_VERSION = "The resourceVersion for the provided list is too old."


async def list_objects(store: Store, call: Call, *, future_wait: float) -> tuple[list[Json], dict[str, Any]]:
    """
    The objects of one page, and the list's metadata.

    All pages of a list show the same moment, as long as the history reaches back to it.

    :raises ApiError: 400, 410 (trace ``k3_expired_continue_token``), 422, 504.
    """
    options = ListOptions.read(call.query, watch=False)
    labels, fields = label_selector(options.label_selector), field_selector(call.resource, options.field_selector)
    at, start = await _moment(store, options, future_wait)
    objects = _objects(store, call, at)
    found = [
        one
        for one in objects
        if (start is None or _place(one, call) >= start)
        and (labels is None or labels(one))
        and (fields is None or fields(one))
    ]
    metadata: dict[str, Any] = {"resourceVersion": str(at)}
    if 0 < options.limit < len(found):
        rest = len(found) - options.limit
        found = found[: options.limit]
        metadata["continue"] = _token(at, _place(found[-1], call) + "\0")
        if labels is None and fields is None:
            metadata["remainingItemCount"] = rest
    return found, metadata


async def _moment(store: Store, options: ListOptions, future_wait: float) -> tuple[int, str | None]:
    """The revision to show, and the place to begin at."""
    if options.token:
        at, start = _read_token(options.token)
        if at < 0:
            return store.revision, start
        if at < store.oldest:
            metadata = {"continue": _token(-1, start)}
            raise expired(_OLD_TOKEN, metadata)
        return at, start
    wanted = revision(options.resource_version, watch=False)
    if wanted is None:
        return store.revision, None
    if wanted > store.revision:
        await asyncio.sleep(future_wait)
        if wanted > store.revision:
            raise too_large_version(wanted, store.revision)
    if options.match == "Exact":
        if wanted < store.oldest:
            raise expired(_OLD_VERSION)
        return wanted, None
    return store.revision, None


def _objects(store: Store, call: Call, at: int) -> list[Json]:
    namespace = call.namespace or None
    if at == store.revision:
        return store.list(call.resource.key, namespace)
    try:
        return store.list_at(call.resource.key, namespace, at)
    except TooOld:
        raise expired(_OLD_VERSION) from None


def _place(obj: Json, call: Call) -> str:
    return str(obj["metadata"]["name"]) if call.namespace else place(obj)


def _token(at: int, start: str) -> str:
    slash = "/" if at >= 0 else ""
    raw = json.dumps({"v": "meta.k8s.io/v1", "rv": at, "start": slash + start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise bad_request("invalid continue token: continue key is not valid: illegal base64 data") from None
    try:
        read = json.loads(raw)
        at, start = int(read["rv"]), str(read["start"])
    except (ValueError, KeyError, TypeError):
        first = json.dumps(chr(raw[0]))[1:-1] if raw else ""
        why = f"invalid character '{first}' looking for beginning of value"
        raise bad_request(f"invalid continue token: continue key is not valid: {why}") from None
    return at, start.removeprefix("/") if at >= 0 else start
