"""One call to AWS: a token of its budget, the clients in use, the answer, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from asyncrun.clients.accounts import account_in
from asyncrun.clients.budget import Group, TokenBucket, bucket_for, forget
from asyncrun.clients.faults import may_quote_secrets, sdk_errors, translate
from asyncrun.clients.generation import Generation
from asyncrun.clients.owned import being_cancelled
from asyncrun.clients.remote_clock import RemoteClock
from asyncrun.clients.rotation import Rotation
from asyncrun.clients.wording import Call, names_in
from asyncrun.model.errors import Throttled, Unavailable
from asyncrun.model.settings import Settings


class Calls:
    """
    The calls of one target, for ``clients.ecs`` and ``clients.logs``: each takes a token, and its errors become ours.

    Which account they count in is told by the connection's role, else by the first answer of ECS, else supposed by the
    caller, else unknown. Until it is known they have a budget of their own; it is charged to the account's afterwards.

    :param identity: what their budget belongs to while the account is not known.
    """

    def __init__(self, rotation: Rotation, settings: Settings, identity: str) -> None:
        self._rotation, self._settings, self._identity = rotation, settings, identity
        self._clocks: dict[tuple[str, str], RemoteClock] = {}
        self._account: str | None = None
        self._told_by: Generation | None = None  # whose credentials got the answer that named the account

    @property
    def region(self) -> str:
        """The region that the target resolves to."""
        return self._rotation.current.resolved.region

    @property
    def account(self) -> str | None:
        """Number of the account that the calls are made in; None while it is not known."""
        return self._rotation.current.resolved.account or self._account

    def suppose_account(self, account: str) -> None:
        """Somebody expects the calls to be made in that account: believed until AWS tells."""
        if self._told_by is None:
            self._count_in(account)

    def clock(self, service: str, region: str) -> RemoteClock:
        """That service's clock there."""
        return self._clocks.setdefault((service, region), RemoteClock())

    async def call(
        self, service: str, region: str, operation: str, group: Group, /, **arguments: Any
    ) -> dict[str, Any]:
        """
        Make one call within its budget.

        :raises RemoteError: see ``asyncrun.clients.faults``.
        """
        bucket = self._bucket(region, group)
        await bucket.take()
        generation = self._rotation.current
        self._rotation.look_again()
        with generation.lease():
            client = await generation.client(service, region)
            call = self.describe(service, operation, region, arguments)
            clock = self.clock(service, region)
            asked_at = clock.now()
            try:
                answer = await _answer(client, generation, call, arguments)
            except sdk_errors() as error:
                clock.heard(getattr(error, "response", None), asked_at)
                if generation.closed:
                    raise _closed(call) from error
                ours = translate(error, call)
                self._settle(bucket, region, group, getattr(error, "response", None), slow=isinstance(ours, Throttled))
                raise ours from (None if may_quote_secrets(error) else error)
        clock.heard(answer, asked_at)
        if service == "ecs" and self._told_by is not generation and (account := account_in(answer)):
            self._told_by = generation
            self._count_in(account)
        self._settle(bucket, region, group, answer)
        return answer

    def describe(self, service: str, operation: str, region: str, arguments: Mapping[str, Any] | None = None) -> Call:
        """That call, for an error message."""
        resolved = self._rotation.current.resolved
        return Call(
            service=service,
            operation=operation,
            region=region,
            identity=resolved.identity,
            steward=resolved.steward,
            account=self.account or "",
            **names_in(operation, arguments or {}),
        )

    def _count_in(self, account: str) -> None:
        if account != self._account:
            self._account = account
            forget(self._identity)  # or the metrics would tell of two budgets

    def _bucket(self, region: str, group: Group) -> TokenBucket:
        return bucket_for(self.account or self._identity, region, group, self._settings)

    def _settle(self, taken: TokenBucket, region: str, group: Group, answer: Any, *, slow: bool = False) -> None:
        """Charge what was not known before: the SDK's own retries, and the account that the call was made in."""
        bucket = self._bucket(region, group)
        bucket.charge(_retries(answer) + (bucket is not taken))
        if slow:
            bucket.throttled()


async def _answer(client: Any, generation: Generation, call: Call, arguments: Mapping[str, Any]) -> dict[str, Any]:
    from botocore import xform_name

    method = getattr(client, xform_name(call.operation))
    try:
        answer: dict[str, Any] = await method(**arguments)
    except asyncio.CancelledError:
        if generation.closed and not being_cancelled():  # the SDK cancels those who queue for a closed pool
            raise _closed(call) from None
        raise
    return answer


def _closed(call: Call) -> Unavailable:
    return Unavailable(
        f"{call.text} was not answered: its client was closed.", service=call.service, operation=call.operation
    )


def _retries(answer: Any) -> int:
    """How often the SDK repeated a call by itself: AWS counts those too."""
    meta = answer.get("ResponseMetadata") if isinstance(answer, dict) else None
    retries = meta.get("RetryAttempts") if isinstance(meta, dict) else None
    return retries if isinstance(retries, int) else 0
