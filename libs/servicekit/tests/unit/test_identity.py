import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given, strategies
from joserfc import jws
from joserfc.jwk import OctKey

from pac.contracts.identity import AppClaim, Caller, Scope
from pac.contracts.topics import ServiceName
from pac.servicekit.identity import IdentitySigner, IdentityVerifier, NotIdentified, _private_key

NOW = 1_800_000_000.0
SIGNER = IdentitySigner(bytes(range(32)), clock=lambda: NOW)
CALLER = Caller(
    actor="key-7",
    account_id=UUID(int=7),
    scopes=frozenset({Scope.READ, Scope.DEPLOY}),
    app=AppClaim(id=UUID(int=8), signature_policy="required"),
)
REQUEST = {"method": "POST", "path": "/api/deployments/7", "request_id": "request-1"}


def verifier(
    audience: ServiceName = ServiceName.DEPLOYMENTS, *, keys: str = SIGNER.public_key_base64, at: float = NOW
) -> IdentityVerifier:
    return IdentityVerifier.from_base64(audience, keys, clock=lambda: at)


TOKEN = SIGNER.sign(CALLER, audience=ServiceName.DEPLOYMENTS, **REQUEST)


def part(index: int) -> dict[str, Any]:
    text = TOKEN.split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed_with(claims: dict[str, Any], signer: IdentitySigner = SIGNER, **header: Any) -> str:
    protected = {**part(0), **header}
    return jws.serialize_compact(protected, json.dumps(claims), _private_key(signer.seed), algorithms=["Ed25519"])


def test_what_was_signed_is_what_is_read_with_the_requests_id() -> None:
    assert verifier().verify(TOKEN, **REQUEST) == CALLER.model_copy(update={"request_id": "request-1"})


def test_another_spelling_of_the_path_is_the_same_request() -> None:
    token = SIGNER.sign(
        CALLER, audience=ServiceName.DEPLOYMENTS, method="get", path="/api/a%62c?x=%41", request_id="request-1"
    )
    verifier().verify(token, method="GET", path="/api/abc?x=A", request_id="request-1")


@pytest.mark.parametrize("path", ["/api/abc", "/api/abc?force=true", "/api/abc?force=false&force=true"])
def test_a_query_is_part_of_the_request(path: str) -> None:
    token = SIGNER.sign(
        CALLER, audience=ServiceName.DEPLOYMENTS, method="DELETE", path="/api/abc?force=false", request_id="request-1"
    )
    with pytest.raises(NotIdentified, match="htu"):
        verifier().verify(token, method="DELETE", path=path, request_id="request-1")


def test_the_key_is_made_once_and_not_at_every_request() -> None:
    signer = IdentitySigner(bytes(range(32)))
    assert signer.public_key is signer.public_key


@pytest.mark.parametrize(
    "other",
    [{"method": "GET"}, {"path": "/api/deployments/8"}, {"path": "/api/deployments/7/cancel"}, {"request_id": "r-2"}],
)
def test_a_token_is_for_one_request(other: dict[str, str]) -> None:
    with pytest.raises(NotIdentified):
        verifier().verify(TOKEN, **{**REQUEST, **other})


def test_a_token_is_for_one_service() -> None:
    with pytest.raises(NotIdentified, match="aud"):
        verifier(ServiceName.BILLING).verify(TOKEN, **REQUEST)


@pytest.mark.parametrize("at", [NOW - 6, NOW + 36, NOW + 3600])
def test_a_token_is_of_one_moment(at: float) -> None:
    with pytest.raises(NotIdentified, match="moment"):
        verifier(at=at).verify(TOKEN, **REQUEST)


@pytest.mark.parametrize("at", [NOW - 4, NOW + 30, NOW + 34])
def test_clocks_may_differ_a_little(at: float) -> None:
    verifier(at=at).verify(TOKEN, **REQUEST)


def test_while_keys_are_changed_both_are_good_and_a_third_is_not() -> None:
    new, foreign = (IdentitySigner(bytes([n]) * 32, clock=lambda: NOW) for n in (1, 2))
    both = verifier(keys=f"{SIGNER.public_key_base64}, {new.public_key_base64}")
    for signer in (SIGNER, new):
        both.verify(signer.sign(CALLER, audience=ServiceName.DEPLOYMENTS, **REQUEST), **REQUEST)
    with pytest.raises(NotIdentified, match="not known"):
        both.verify(foreign.sign(CALLER, audience=ServiceName.DEPLOYMENTS, **REQUEST), **REQUEST)


def test_a_foreign_key_under_our_key_id_is_refused() -> None:
    foreign = IdentitySigner(bytes([2]) * 32, clock=lambda: NOW)
    with pytest.raises(NotIdentified, match="broken"):
        verifier().verify(signed_with(part(1), foreign), **REQUEST)


def test_the_public_key_cannot_be_used_as_a_shared_secret() -> None:
    header = {**part(0), "alg": "HS256"}
    forged = jws.serialize_compact(
        header, json.dumps(part(1)), OctKey.import_key(SIGNER.public_key), algorithms=["HS256"]
    )
    with pytest.raises(NotIdentified):
        verifier().verify(forged, **REQUEST)


def without_signature(header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{TOKEN.split('.')[1]}."


@pytest.mark.parametrize("algorithm", ["none", "None", "Ed25519", "EdDSA", "HS256", ""])
def test_no_signature_is_no_identity(algorithm: str) -> None:
    with pytest.raises(NotIdentified):
        verifier().verify(without_signature({**part(0), "alg": algorithm}), **REQUEST)


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda claims: claims.pop("exp"),
    lambda claims: claims.pop("iat"),
    lambda claims: claims.pop("aud"),
    lambda claims: claims.pop("rid"),
    lambda claims: claims.pop("caller"),
    lambda claims: claims.update(exp=claims["exp"] + 3600),
    lambda claims: claims.update(exp="soon"),
    lambda claims: claims.update(iss="somebody"),
    lambda claims: claims.update(aud=[claims["aud"]]),
    lambda claims: claims.update(caller="operator"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_even_signed_by_us_odd_claims_are_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    claims = part(1)
    change(claims)
    with pytest.raises(NotIdentified):
        verifier().verify(signed_with(claims), **REQUEST)


def test_a_header_with_more_in_it_is_refused() -> None:
    with pytest.raises(NotIdentified):
        verifier().verify(signed_with(part(1), jku="https://evil.example/keys"), **REQUEST)


@given(place=strategies.integers(0, len(TOKEN) - 1), character=strategies.sampled_from("ABCabc019-_.=! \n"))
def test_a_token_with_any_character_changed_is_refused(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    assume(changed != TOKEN)
    try:
        caller = verifier().verify(changed, **REQUEST)
    except NotIdentified:
        return
    # The last character of a base64url text has unused bits: then the bytes are the same ones.
    assert place == len(TOKEN) - 1
    assert caller.actor == CALLER.actor


@given(strategies.text(max_size=300))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(NotIdentified):
        verifier().verify(text, **REQUEST)


def test_the_seed_is_not_shown() -> None:
    assert repr(SIGNER.seed) not in repr(SIGNER)
