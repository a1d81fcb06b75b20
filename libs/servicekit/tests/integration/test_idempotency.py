"""A POST with an Idempotency-Key, sent again: over real sockets, on a real Postgres."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from sqlalchemy import text

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, StaleLease
from pac.eventlog.claims import Answered, Claim, Claims
from pac.servicekit.http import Route, body_bytes, build_http, reply
from pac.servicekit.idempotency import ClaimSweep, Idempotency, Safe, attempt_of
from pac.servicekit.identity import IdentityVerifier
from pac.servicekit.listener import Listener
from pac.servicekit.metrics import Metrics
from pac.testkit.service import SIGNER, caller

SECRET = "pac_shown-once-and-never-again"
Json = dict[str, Any]


@dataclass(frozen=True)
class Got:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_replayed(self) -> bool:
        return self.headers.get("Idempotent-Replayed") == "true"


@dataclass
class Things:
    """What a service does: `effects` are counted in the database, in the transaction that says so."""

    log: EventLog
    fails: int = 0
    status: int = 500
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    dies_after_effect: bool = False

    async def make(self, request: web.Request) -> web.Response:
        attempt = attempt_of(request)
        if (known := attempt.outcome) is not None:
            return reply({"number": known["number"], "resumed": True}, status=201)
        body = await body_bytes(request)
        await self.pause.wait()
        if self.fails:
            self.fails -= 1
            raise Refused(ErrorCode.THROTTLED if self.status == 429 else ErrorCode.UNAVAILABLE)
        async with self.log.engine.begin() as connection:
            number = await connection.scalar(text("INSERT INTO state.things DEFAULT VALUES RETURNING number"))
            await attempt.bind(connection, {"number": number})
        if self.dies_after_effect:
            self.dies_after_effect = False
            raise OSError("the connection is gone, nobody knows of the commit")
        return reply({"number": number, "length": len(body), "key": SECRET}, status=201)

    async def upload(self, request: web.Request) -> web.Response:
        """Reads its body itself."""
        body = await body_bytes(request)
        await attempt_of(request).read({"body": body}, {"file": "00"})
        return await self.make(request)

    async def refuse(self, request: web.Request) -> web.Response:  # noqa: ARG002 - whatever is asked
        raise Refused(ErrorCode.CONFLICT, details=["no"])


@dataclass(frozen=True)
class Client:
    url: str
    http: ClientSession
    things: Things
    claims: Claims

    async def post(
        self, who: Caller, key: str | None, body: Json | bytes, *, path: str = "/things", query: str = ""
    ) -> Got:
        headers = {"X-Request-Id": "request-1"} | ({"Idempotency-Key": key} if key is not None else {})
        headers["PAC-Identity"] = SIGNER.sign(
            who, audience=ServiceName.BILLING, method="POST", path=path + query, request_id="request-1"
        )
        sent: Json = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(self.url + path + query, headers=headers, **sent) as answer:
            return Got(answer.status, await answer.read(), answer.headers.copy())

    async def count(self) -> int:
        async with self.things.log.reading() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM state.things")) or 0)

    async def kept(self) -> str:
        async with self.things.log.reading() as connection:
            return str((await connection.execute(text("SELECT * FROM state.claims"))).all())


@asynccontextmanager
async def serving(log: EventLog, **changes: Any) -> AsyncIterator[Client]:
    things = Things(log)
    things.pause.set()
    claims = Claims(log, lease_seconds=0.5)
    kept = replace(Idempotency(claims, Safe(b"secret"), wait_seconds=3.0), **changes)
    routes = (
        Route("POST", "/things", things.make),
        Route("POST", "/others", things.make),
        Route("POST", "/uploads", things.upload, lazy_body=True),
        Route("POST", "/refusals", things.refuse),
    )
    app = build_http(
        routes,
        verifier=IdentityVerifier.from_base64(ServiceName.BILLING, SIGNER.public_key_base64),
        metrics=Metrics(),
        stopping=asyncio.Event(),
        idempotency=kept,
    )
    listener = Listener(app, drain_seconds=0.2)
    await listener.setup()
    try:
        port = await listener.listen("127.0.0.1", 0)
        async with ClientSession() as http:
            yield Client(f"http://127.0.0.1:{port}", http, things, claims)
    finally:
        await listener.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def log(event_log: EventLog) -> EventLog:
    async with event_log.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE state.things (number bigint GENERATED ALWAYS AS IDENTITY)"))
    return event_log


@pytest_asyncio.fixture(loop_scope="session")
async def client(log: EventLog) -> AsyncIterator[Client]:
    async with serving(log) as started:
        yield started


async def test_the_first_answer_again_byte_for_byte(client: Client) -> None:
    who = caller()
    first = await client.post(who, "a", {"name": "x", "count": 1})
    again = await client.post(who, "a", {"count": 1, "name": "x"})
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert (first.is_replayed, again.is_replayed, again.headers["Content-Type"]) == (False, True, "application/json")
    assert await client.count() == 1


async def test_without_a_key_everything_is_done_anew(client: Client) -> None:
    who = caller()
    bodies = [(await client.post(who, None, {})).body for _ in range(2)]
    assert (len(set(bodies)), await client.count()) == (2, 2)


async def test_twenty_at_once_have_one_effect_and_one_answer(client: Client) -> None:
    who = caller()
    for path in ("/things", "/uploads"):
        was = await client.count()
        answers = await asyncio.gather(*(client.post(who, "k", {"name": "x"}, path=path) for _ in range(20)))
        assert len({answer.body for answer in answers}) == 1
        assert Counter(answer.is_replayed for answer in answers) == {True: 19, False: 1}
        assert await client.count() == was + 1


async def test_another_body_is_refused_and_another_query_too(client: Client) -> None:
    who = caller()
    await client.post(who, "a", {"name": "x"})
    for body, query in (({"name": "y"}, ""), ({"name": "x", "more": 1}, ""), (b"[1]", ""), ({"name": "x"}, "?dry=1")):
        refused = await client.post(who, "a", body, query=query)
        assert (refused.status, b"idempotency_mismatch" in refused.body) == (422, True)
    uploaded = await client.post(who, "a", {"name": "x"}, path="/uploads")
    assert (await client.post(who, "a", {"name": "y"}, path="/uploads")).status == 422
    assert (uploaded.status, await client.count()) == (201, 2)


async def test_a_key_belongs_to_an_account_and_a_path(client: Client) -> None:
    who, other = caller(), caller()
    same_account = caller(who.account_id)
    first = await client.post(who, "a", {})
    assert (await client.post(same_account, "a", {})).body == first.body
    assert not (await client.post(other, "a", {})).is_replayed
    assert not (await client.post(who, "a", {}, path="/others")).is_replayed
    assert await client.count() == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_what_may_be_better_next_time_is_not_kept(client: Client, status: int) -> None:
    who = caller()
    client.things.fails, client.things.status = 1, status
    assert (await client.post(who, "a", {})).status == status
    again = await client.post(who, "a", {})
    assert (again.status, again.is_replayed, await client.count()) == (201, False, 1)


async def test_a_refusal_is_kept(client: Client) -> None:
    who = caller()
    first, again = [await client.post(who, "a", {}, path="/refusals") for _ in range(2)]
    assert (first.status, again.body, again.is_replayed) == (409, first.body, True)


async def test_a_key_has_1_to_255_characters(client: Client) -> None:
    assert (await client.post(caller(), "k" * 255, {})).status == 201
    for key in ("k" * 256, ""):
        assert (await client.post(caller(), key, {})).status == 400


async def test_nothing_that_was_sent_or_shown_can_be_read_in_the_table(client: Client) -> None:
    await client.post(caller(), "the-key-itself", {"name": "a-secret-name"})
    kept = await client.kept()
    assert "bytes" in kept or "b'" in kept or "memory" in kept
    assert not any(word in kept for word in (SECRET, "the-key-itself", "a-secret-name"))


async def test_whoever_waits_too_long_is_told_so(log: EventLog) -> None:
    async with serving(log, wait_seconds=0.2) as client:
        who = caller()
        client.things.pause.clear()
        first = asyncio.create_task(client.post(who, "a", {}))
        await asyncio.sleep(1.0)  # longer than a lease: it is renewed
        waits = await client.post(who, "a", {})
        assert (waits.status, waits.headers["Retry-After"]) == (409, "1")
        client.things.pause.set()
        assert (await first).status == 201
        assert (await client.post(who, "a", {})).is_replayed
        assert await client.count() == 1


# ---- a first attempt that does not come to its end ------------------------------------------------------------------


async def test_an_attempt_that_was_killed_leaves_the_key_free(client: Client) -> None:
    """A process that is gone renews no lease."""
    who = caller()
    claim_id = await claimed_like(client, who, "a")
    began = asyncio.get_running_loop().time()
    answer = await client.post(who, "a", {})
    assert (answer.status, answer.is_replayed, await client.count()) == (201, False, 1)
    assert asyncio.get_running_loop().time() - began > 0.2, "as long as the lease was good, it waited"
    assert isinstance(await client.claims.claim(claim_id), Answered)


async def claimed_like(client: Client, who: Caller, key: str) -> bytes:
    """Somebody is at work on this, and then no more."""
    before = await client.post(who, key, {})
    assert before.status == 201
    async with client.things.log.engine.begin() as connection:
        await connection.execute(text("DELETE FROM state.things"))
        found = await connection.execute(
            text(
                "UPDATE state.claims SET answer = NULL, outcome = NULL, fingerprint = NULL, token = gen_random_uuid(),"
                " leased_until = clock_timestamp() + interval '0.4 seconds' RETURNING id"
            )
        )
        return bytes(found.scalar_one())


async def test_between_effect_and_answer_it_is_gone_on_from_the_effect(client: Client) -> None:
    who = caller()
    client.things.dies_after_effect = True
    assert (await client.post(who, "a", {})).status == 503
    answer = await client.post(who, "a", {})
    assert (answer.status, b'"resumed":true' in answer.body, await client.count()) == (201, True, 1)
    assert (await client.post(who, "a", {})).body == answer.body
    client.things.dies_after_effect = True
    assert (await client.post(who, "b", {"name": "x"})).status == 503
    assert (await client.post(who, "b", {"name": "y"})).status == 422, "also then another body is another request"


async def test_whoever_lost_the_claim_commits_nothing(log: EventLog) -> None:
    claims = Claims(log, lease_seconds=0.05)
    lost = await claims.claim(b"c" * 32)
    assert isinstance(lost, Claim)
    assert await claims.claim(b"c" * 32) is None
    await asyncio.sleep(0.1)
    assert isinstance(await claims.claim(b"c" * 32), Claim)

    async def commit() -> None:
        async with log.engine.begin() as connection:
            await connection.execute(text("INSERT INTO state.things DEFAULT VALUES"))
            await claims.bind(connection, lost, {"number": 1})

    with pytest.raises(StaleLease):
        await commit()
    with pytest.raises(StaleLease):
        await claims.mark(lost, b"f" * 32)
    async with log.reading() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM state.things")) == 0


async def test_after_its_time_a_key_begins_anew_and_is_swept(client: Client) -> None:
    who = caller()
    await client.post(who, "a", {"name": "x"})
    async with client.things.log.engine.begin() as connection:
        await connection.execute(text("UPDATE state.claims SET claimed_at = claimed_at - interval '25 hours'"))
    anew = await client.post(who, "a", {"name": "y"})
    assert (anew.status, anew.is_replayed, await client.count()) == (201, False, 2)
    assert await client.claims.sweep() == 0
    async with client.things.log.engine.begin() as connection:
        await connection.execute(text("UPDATE state.claims SET claimed_at = claimed_at - interval '25 hours'"))
    sweeping = asyncio.create_task(ClaimSweep(client.claims).run())
    async with asyncio.timeout(5):
        while await client.kept() != "[]":  # noqa: ASYNC110 - the sweep says nothing
            await asyncio.sleep(0.01)
    sweeping.cancel()
