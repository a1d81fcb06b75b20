"""POST …/rollback: what ran before runs again, with the environment it had then. It costs nothing, and pins the app."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Source
from pac.contracts.bodies.packages import AcceptedReply, RollbackRequest
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.packages import PackageSubmitted
from pac.eventlog import Cause
from pac.packages.again import Again, Wish, open_shelf, policy_of
from pac.packages.domain.again import check_stored, still_open_of
from pac.packages.domain.submission import SUBMISSION
from pac.packages.domain.versions import Status
from pac.packages.shelf import Shelf, app_lock
from pac.servicekit.http import account_and_app, body_in, cause_of
from pac.servicekit.idempotency import attempt_of


@dataclass(frozen=True)
class Rollback:
    again: Again

    async def post_rollback(self, request: web.Request) -> web.Response:
        """202, the body of a deploy. To the release before the current one, or to any that has completed: `to`."""
        account_id, app_id = account_and_app(request)
        asked = await body_in(request, RollbackRequest)
        if (known := await self.again.answering.go_on(request)) is not None:
            return known
        target = asked.to or await self._release_before(app_id)
        before = await self.again.queries.submission(account_id, target)
        if before.app_id != app_id:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        if before.completed_at is None:
            raise Refused(ErrorCode.NO_RELEASE, "Deployment has not completed: there is nothing of it to go back to")
        first = (await self.again.log.history(SUBMISSION.stream(target)))[0].event
        assert isinstance(first, PackageSubmitted)
        wish = Wish(
            uuid4(),
            Source.ROLLBACK,
            self.again.clock(),
            first.environment,
            billable=False,
            policy=policy_of(request),
            attempt=attempt_of(request),
        )
        expected = None if asked.to else target
        accepted = await self._submitted(app_id, before.package_id, wish, cause_of(request), expected=expected)
        return await self.again.answering.answer(request, accepted)

    async def _release_before(self, app_id: UUID) -> UUID:
        """▸ rollback_waits: an end that is not heard here yet may change which one that is, so never a guess."""

        async def at_rest(connection: AsyncConnection) -> bool | None:
            return True if not await Shelf(connection, app_id).open_deployments() else None

        await self.again.log.wait_for(at_rest, timeout_seconds=self.again.user_wait_seconds)
        async with self.again.log.reading() as connection:
            return await _before(Shelf(connection, app_id))

    async def _submitted(
        self, app_id: UUID, package_id: UUID, wish: Wish, cause: Cause, *, expected: UUID | None
    ) -> AcceptedReply:
        """`expected`: must still be the release before the current one."""
        stream = SUBMISSION.stream(wish.deployment_id)
        async with self.again.log.transaction(stream, cause=cause, locks=[app_lock(app_id)]) as tx:
            shelf = await open_shelf(tx, app_id)
            if expected is not None and await _before(shelf) != expected:
                raise Refused(ErrorCode.CONFLICT, retry_after_seconds=1)
            holder, row = await shelf.holder(package_id), await shelf.package(package_id)
            assert row is not None
            if holder.status is Status.DELETED:
                raise Refused(ErrorCode.BYTES_GONE)
            check_stored(holder)
            return await self.again.submitted(tx, shelf, row, wish)


async def _before(shelf: Shelf) -> UUID:
    if users := await shelf.open_deployments():
        raise still_open_of(users)
    match await shelf.releases(2):
        case [_current, before]:
            return before
        case _:
            raise Refused(ErrorCode.NO_RELEASE)
