"""How long a key is believed, and what an outage of Postgres changes about that."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Scope
from pac.eventlog import LogUnavailable
from pac.gateway.auth import AdminKey, ApiKeys, Authentication
from pac.gateway.held import Held
from pac.gateway.keys import Pepper, new_key
from pac.gateway.queries import FoundKey
from pac.gateway.uses import LastUses
from pac.gateway.who import OPERATOR, Membership, Who, require, require_operator

PEPPER = Pepper(b"pepper")
KEY = new_key().text
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOUND = FoundKey(UUID(int=1), UUID(int=2), frozenset({Scope.READ}), None)


@dataclass
class World:
    """Postgres, as far as keys go, and two clocks."""

    keys: dict[bytes, FoundKey] = field(default_factory=lambda: {PEPPER.hash(KEY): FOUND})
    away: bool = False
    hangs: bool = False
    asked: int = 0
    seconds: float = 1000.0
    written: list[dict[UUID, datetime]] = field(default_factory=list)

    async def find_key(self, digest: bytes) -> FoundKey | None:
        self.asked += 1
        if self.away:
            raise LogUnavailable("away")
        if self.hangs:
            await asyncio.Event().wait()
        return self.keys.get(digest)

    async def write_uses(self, last: dict[UUID, datetime]) -> None:
        if self.away:
            raise LogUnavailable("away")
        self.written.append(last)

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
def world() -> World:
    return World()


def keys_of(world: World, **changes: Any) -> ApiKeys:
    return ApiKeys(world, PEPPER, Held(clock=world.clock, **changes), LastUses(world), now=world.now)


def asks(method: str = "GET", authorization: str | None = f"Bearer {KEY}", **headers: str) -> web.Request:
    sent = {**headers, **({"Authorization": authorization} if authorization else {})}
    return make_mocked_request(method, "/", headers=sent)


@dataclass(frozen=True)
class OddBytes:
    """A request whose header holds bytes that are no UTF-8, as aiohttp's parser gives it."""

    method: str = "GET"
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer \udcff"})


async def code_of(keys: ApiKeys, request: web.Request) -> ErrorCode:
    with pytest.raises(Refused) as refusal:
        await Authentication((keys,)).who(request)
    return refusal.value.code


async def test_a_live_key_is_its_account_with_its_scopes(world: World) -> None:
    who = await keys_of(world).who(asks())
    assert who == Who(f"key-{FOUND.id}", (Membership(FOUND.account_id, FOUND.scopes),))


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(world: World, scheme: str) -> None:
    assert await keys_of(world).who(asks(authorization=f"{scheme} {KEY}")) is not None


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY}x",
        "Bearer pac_é",
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_asking(world: World, authorization: str | None) -> None:
    assert await code_of(keys_of(world), asks(authorization=authorization)) is ErrorCode.UNAUTHENTICATED
    assert world.asked == 0


async def test_odd_bytes_are_refused_like_any_other_guess(world: World) -> None:
    assert await code_of(keys_of(world), cast("web.Request", OddBytes())) is ErrorCode.UNAUTHENTICATED


async def test_a_cookie_is_nothing_that_an_api_key_could_be_in(world: World) -> None:
    request = asks(authorization=None, Cookie="sb-x-auth-token=y")
    assert await code_of(keys_of(world), request) is ErrorCode.UNAUTHENTICATED


async def test_an_unknown_key_is_refused(world: World) -> None:
    keys = keys_of(world)
    assert await code_of(keys, asks(authorization=f"Bearer {new_key().text}")) is ErrorCode.UNAUTHENTICATED
    assert len(keys.held) == 0  # or guesses would push real keys out


async def test_a_key_is_read_once_in_its_time_to_live(world: World) -> None:
    keys = keys_of(world, ttl_seconds=4.0)
    for world.seconds in (1000.0, 1003.9):
        await keys.who(asks())
    assert world.asked == 1
    world.seconds = 1004.0
    await keys.who(asks())
    assert world.asked == 2


async def test_a_revoked_key_is_refused_when_its_time_to_live_is_over(world: World) -> None:
    keys = keys_of(world)
    await keys.who(asks())
    world.keys.clear()
    world.seconds += 4.0
    assert await code_of(keys, asks()) is ErrorCode.UNAUTHENTICATED
    world.away = True  # and an outage after that does not bring it back
    assert await code_of(keys, asks()) is ErrorCode.UNAVAILABLE


async def test_a_key_revoked_here_is_forgotten_at_once(world: World) -> None:
    keys = keys_of(world)
    await keys.who(asks())
    world.keys.clear()
    keys.forget(FOUND.id)
    assert await code_of(keys, asks()) is ErrorCode.UNAUTHENTICATED


async def test_a_held_key_still_ends_at_its_time(world: World) -> None:
    world.keys[PEPPER.hash(KEY)] = replace(FOUND, expires_at=NOON + timedelta(seconds=2))
    keys = keys_of(world)
    await keys.who(asks())
    world.seconds += 2
    assert await code_of(keys, asks()) is ErrorCode.UNAUTHENTICATED
    assert world.asked == 1


async def test_reads_go_on_through_an_outage_for_a_bounded_time(world: World) -> None:
    keys = keys_of(world, outage_seconds=300.0)
    await keys.who(asks())
    world.away = True
    world.seconds += 299.9
    assert await keys.who(asks()) is not None
    world.seconds += 0.1
    assert await code_of(keys, asks()) is ErrorCode.UNAVAILABLE


async def test_a_postgres_that_hangs_is_away_as_well(world: World) -> None:
    keys = keys_of(world, lookup_timeout_seconds=0.01)
    await keys.who(asks())
    world.hangs = True
    world.seconds += 4.0
    assert await keys.who(asks()) is not None
    assert await code_of(keys, asks("POST")) is ErrorCode.UNAVAILABLE


async def test_writes_do_not_go_on_through_an_outage(world: World) -> None:
    keys = keys_of(world)
    await keys.who(asks())
    world.away = True
    world.seconds += 4.0
    assert await code_of(keys, asks("POST")) is ErrorCode.UNAVAILABLE


async def test_the_longest_unused_key_leaves_a_full_cache(world: World) -> None:
    texts = [new_key().text for _ in range(3)]
    world.keys = {PEPPER.hash(text): replace(FOUND, id=UUID(int=n)) for n, text in enumerate(texts)}
    keys = keys_of(world, size=2)
    for text in (texts[0], texts[1], texts[0], texts[2], texts[0]):
        await keys.who(asks(authorization=f"Bearer {text}"))
    assert len(keys.held) == 2
    assert world.asked == 3  # the first was never read twice
    await keys.who(asks(authorization=f"Bearer {texts[1]}"))
    assert world.asked == 4


async def test_uses_of_a_key_are_written_together_and_again_after_an_outage(world: World) -> None:
    keys = keys_of(world)
    for world.seconds in (1000.0, 1001.0):
        await keys.who(asks())
    world.away = True
    with pytest.raises(LogUnavailable):
        await keys.uses.write()
    world.away = False
    await keys.uses.write()
    await keys.uses.write()  # nothing new
    assert world.written == [{FOUND.id: NOON + timedelta(seconds=1)}]


async def test_a_refused_key_was_not_used(world: World) -> None:
    world.keys[PEPPER.hash(KEY)] = replace(FOUND, expires_at=NOON)
    keys = keys_of(world)
    assert await code_of(keys, asks()) is ErrorCode.UNAUTHENTICATED
    await keys.uses.write()
    assert world.written == []


async def test_patience_waits_for_postgres(world: World) -> None:
    world.away = True
    keys = keys_of(world)

    @dataclass(frozen=True)
    class BackLater:
        async def who(self, request: web.Request) -> Who | None:
            try:
                return await keys.who(request)
            finally:
                world.away = world.asked < 2

    assert await Authentication((BackLater(),), retry_seconds=0.01).who(asks(), patience_seconds=5) is not None
    assert world.asked == 3


async def test_the_admin_key_is_the_operator_and_others_are_left_to_the_next_method() -> None:
    admin = AdminKey(SecretStr("secret-of-the-operator"))
    assert await admin.who(asks(authorization="Bearer secret-of-the-operator")) == OPERATOR
    assert await admin.who(asks(authorization="Bearer other")) is None
    assert await admin.who(asks(authorization=None)) is None
    assert await admin.who(cast("web.Request", OddBytes())) is None
    assert "secret" not in repr(admin)


def test_scopes() -> None:
    reader = Membership(UUID(int=1), frozenset({Scope.READ}))
    deployer = Membership(UUID(int=1), frozenset({Scope.DEPLOY}))
    require([reader], Scope.READ)
    require([deployer], Scope.READ)  # it follows what it started
    require_operator(OPERATOR)
    for accounts, scope in (([reader], Scope.DEPLOY), ([deployer], Scope.SECRETS), ([], Scope.READ)):
        with pytest.raises(Refused) as refusal:
            require(accounts, scope)
        assert refusal.value.code is ErrorCode.FORBIDDEN
        assert refusal.value.fields == {"scope": scope.value}
    with pytest.raises(Refused) as refusal:
        require_operator(Who("key-1", (deployer,)))
    assert refusal.value.fields == {"scope": "operator"}
