"""Which of a user's accounts a deployment belongs to. The services know: each is asked in the name of each account.

Only somebody with several accounts who does not name one with the request needs this; so the specification's poll of
`status_url` with nothing but a cookie finds a deployment of any of them.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams
from pac.gateway.who import Membership, Who

OK, NOT_FOUND = 200, 404
ASKED_MAX = 20  # accounts; one that is further behind has to be named


@dataclass
class Owners:
    """Whose a deployment is never changes, so it is held; bounded, and may be lost with the process."""

    upstreams: Upstreams
    size: int = 4096
    timeout_seconds: float = 2.0
    retry_seconds: float = 0.5
    _held: OrderedDict[UUID, UUID] = field(default_factory=OrderedDict)

    async def find(
        self,
        request: web.Request,
        who: Who,
        accounts: Sequence[Membership],
        deployment_id: UUID,
        *,
        patience_seconds: float = 0.0,
    ) -> Membership:
        """The first account if it is of none of them: then the service says that there is no such deployment.

        Refused as unavailable if a service that could know has not answered within `patience_seconds`.
        """
        deadline = time.monotonic() + patience_seconds
        known = self._held.get(deployment_id)
        for account in accounts:
            if account.account_id == known:
                self._held.move_to_end(deployment_id)
                return account
        while True:
            try:
                return await self._ask(request, who, accounts[:ASKED_MAX], deployment_id)
            except OSError:
                if time.monotonic() + self.retry_seconds > deadline:
                    raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
            await asyncio.sleep(self.retry_seconds)

    async def _ask(
        self, request: web.Request, who: Who, accounts: Sequence[Membership], deployment_id: UUID
    ) -> Membership:
        is_away = False
        for service, path in (
            (ServiceName.DEPLOYMENTS, f"/api/deployments/{deployment_id}"),
            (ServiceName.PACKAGES, f"/internal/submissions/{deployment_id}"),  # knows it before the hub does
        ):
            asked = [self._knows(request, service, path, who, account) for account in accounts]
            answers = await asyncio.gather(*asked)
            for account, knows in zip(accounts, answers, strict=True):
                if knows:
                    self._hold(deployment_id, account.account_id)
                    return account
            is_away = is_away or None in answers
        if is_away:
            raise ConnectionError("a service that may know the deployment is away")
        return accounts[0]

    async def _knows(
        self, request: web.Request, service: ServiceName, path: str, who: Who, account: Membership
    ) -> bool | None:
        """None if it has not said."""
        caller = Caller(actor=who.actor, account_id=account.account_id, scopes=account.scopes)
        try:
            answer = await self.upstreams.fetch(request, service, path, caller, timeout_seconds=self.timeout_seconds)
        except OSError:
            return None
        return {OK: True, NOT_FOUND: False}.get(answer.status)

    def _hold(self, deployment_id: UUID, account_id: UUID) -> None:
        self._held[deployment_id] = account_id
        while len(self._held) > self.size:
            self._held.popitem(last=False)
