"""
Cheap reading of the large answers that pollers get several times a second.

The SDK decodes JSON and then builds the whole answer again, guided by the service's model: for a hundred tasks ~20 ms
in one step of the event loop, and two trees of objects that bring the next full garbage collection nearer, which stops
every trigger for a fifth of a second. These operations need no model: their answers are used as they are on the wire.
"""

from __future__ import annotations

from typing import Any

import msgspec

OPERATIONS = {
    "ecs": ("DescribeTasks",),
    "logs": ("FilterLogEvents", "GetLogEvents"),
}
"""What is read here, by the SDK's name of the service."""


def read_cheaply(client: Any) -> None:
    """
    Read the answers to ``OPERATIONS`` of this client, and of no other, without the SDK's parser.

    :param client: of aiobotocore; its own event system is used, so other clients of the session stay as they are.
    """
    service = client.meta.service_model.service_name
    for operation in OPERATIONS.get(service, ()):
        event = f"before-parse.{client.meta.service_model.service_id.hyphenize()}.{operation}"
        client.meta.events.register(event, _read, unique_id=f"asyncrun-{operation}")


def _read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """
    The SDK's handler for "an answer is about to be parsed": what it puts into the second argument is the answer.

    Errors, and what is no JSON object, are left to the SDK, which knows how to report them.
    """
    if response_dict["status_code"] != 200:
        return
    try:
        answer = msgspec.json.decode(response_dict["body"])
    except (msgspec.DecodeError, TypeError, RecursionError):
        return
    if isinstance(answer, dict):
        customized_response_dict.update(answer)
        response_dict["body"] = b""  # nothing is left for the SDK's parser but the headers
