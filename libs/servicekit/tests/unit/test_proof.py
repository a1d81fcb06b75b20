"""A proof is sound as it was given out, and in no other form: whatever is changed in it is found, and named."""

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pac.contracts.topics import ServiceName
from pac.servicekit.proof.chains import RECORDED, PinnedKeys
from pac.servicekit.proof.form import ALGORITHM, key_id, written
from pac.servicekit.proof.signing import ProofSigner
from pac.servicekit.proof.verdict import verdict_on
from pac.testkit.proofs import CREDITS, DEPLOYMENT, ENDS, SIGNERS, Book, content_of, recorded

PACKAGES, HUB, BILLING, NOTIFIER = range(4)
SMALL = content_of("rejected", ServiceName.PACKAGES, ServiceName.RUNTIME_NOTIFIER)
WHOLE = content_of("succeeded")
SETTLED = {
    "succeeded": "captured",
    "failed": "released",
    "cancelled": "released",
    "rejected": "refused",
    "open": "held",
}
Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("end", [*ENDS, "open"])
def test_a_proof_of_every_end_is_sound(end: str) -> None:
    verdict = verdict_on(content_of(end))
    assert (verdict.faults, verdict.outcome, verdict.credits) == ([], end, SETTLED[end])
    assert verdict_on(written(recorded(end, credits_=0).proof())).sound or end == "rejected"


def test_a_newline_at_its_end_is_no_part_of_it() -> None:
    assert verdict_on(WHOLE + b"\n").sound
    assert not verdict_on(WHOLE + b"\n\n").sound
    assert not verdict_on(WHOLE + b" ").sound


def test_every_byte_that_is_changed_is_found() -> None:
    """Each byte once, each time in another bit."""
    for at in range(len(SMALL)):
        broken = bytearray(SMALL)
        broken[at] ^= 1 << (at % 8)
        verdict = verdict_on(bytes(broken))
        assert not verdict.sound, f"byte {at} was changed unseen"
        assert str(verdict.faults[0])


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_change_of_any_byte_is_found(at: int, mask: int) -> None:
    broken = bytearray(WHOLE)
    broken[at] ^= mask
    assert not verdict_on(bytes(broken)).sound


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(SMALL) - 1), st.integers(1, 200))
def test_what_is_cut_out_is_missed(at: int, length: int) -> None:
    assert not verdict_on(SMALL[:at] + SMALL[at + length :]).sound


def changed(change: Change, end: str = "succeeded") -> list[tuple[str | None, int | None, str | None]]:
    proof = recorded(end).proof()
    change(proof)
    return [(fault.stream, fault.version, fault.field) for fault in verdict_on(written(proof)).faults]


def test_the_entry_and_its_first_changed_field_are_named() -> None:
    hold, hub = f"hold-{DEPLOYMENT}", f"deployment-{DEPLOYMENT}"

    def data(proof: dict[str, Any]) -> None:
        proof["parts"][BILLING]["events"][1]["data"]["amount"] = CREDITS - 1

    assert changed(data) == [(hold, 2, "data.amount")]

    def text(proof: dict[str, Any]) -> None:
        event = proof["parts"][BILLING]["events"][0]
        event["canonical"] = event["canonical"].replace(f'"amount":{CREDITS}', '"amount":9')

    assert changed(text) == [(hold, 1, "canonical.data.amount")]

    def digest(proof: dict[str, Any]) -> None:
        proof["parts"][HUB]["events"][1]["hash"] = "0" * 64

    assert changed(digest) == [(hub, 2, "hash")]

    def left_out(proof: dict[str, Any]) -> None:
        del proof["parts"][HUB]["events"][1]

    assert changed(left_out) == [(hub, 2, "version")]

    def cut_short(proof: dict[str, Any]) -> None:
        proof["parts"][HUB]["events"].pop()

    assert changed(cut_short)[0] == (hub, 2, "statement.version")

    def balance(proof: dict[str, Any]) -> None:
        proof["parts"][BILLING]["statement"]["ledger"][0]["balance"] += 1

    assert changed(balance) == [(hold, None, "signature")]

    def unknown_field(proof: dict[str, Any]) -> None:
        proof["parts"][HUB]["events"][2]["note"] = "mine"

    assert changed(unknown_field) == [(hub, 3, "note")]


# ---- what is signed, but is no story in which credits moved once ----------------------------------------------------


def resigned(book: Book, change: Change) -> list[str]:
    """As if the service itself had said it."""
    part = book.part(ServiceName.BILLING)
    change(part)
    proof = book.proof()
    signed = SIGNERS[ServiceName.BILLING].signed(part["statement"])
    proof["parts"][BILLING] = {**signed, "events": part["events"]}
    return [str(fault) for fault in verdict_on(written(proof)).faults]


def test_legs_that_do_not_sum_to_zero() -> None:
    def change(part: dict[str, Any]) -> None:
        part["statement"]["ledger"][0]["legs"]["reserved"] += 1

    assert "the legs do not sum to zero" in resigned(recorded("succeeded"), change)[0]


def test_an_entry_that_no_event_says_and_one_that_is_missing() -> None:
    def twice(part: dict[str, Any]) -> None:
        part["statement"]["ledger"].append(part["statement"]["ledger"][-1])

    assert resigned(recorded("succeeded"), twice) == [f"hold-{DEPLOYMENT}, ledger.capture: no event says so"]

    def gone(part: dict[str, Any]) -> None:
        part["statement"]["ledger"].pop()

    assert resigned(recorded("succeeded"), gone) == [f"hold-{DEPLOYMENT}, ledger.capture: is not in the ledger"]


def joined(hold: str, hub: str) -> list[str]:
    """The hold of one end beside the hub's story of another."""
    proof, other = recorded(hold).proof(), recorded(hub).proof()
    proof["parts"][HUB], proof["parts"][PACKAGES] = other["parts"][HUB], other["parts"][PACKAGES]
    return [str(fault) for fault in verdict_on(written(proof)).faults]


@pytest.mark.parametrize("hold", ["succeeded", "failed", "rejected", "open"])
@pytest.mark.parametrize("hub", ENDS)
def test_completed_is_captured_and_every_other_end_is_not(hold: str, hub: str) -> None:
    faults = joined(hold, hub)
    agree = {("succeeded", "succeeded"), ("failed", "failed"), ("failed", "cancelled"), ("rejected", "rejected")}
    agree |= {("rejected", "failed"), ("rejected", "cancelled")}
    assert any("it ended as" in fault for fault in faults) is ((hold, hub) not in agree)
    assert any("causation_id: no event of the deployment" in fault for fault in faults)


def test_parts_of_two_accounts_are_no_proof() -> None:
    proof = recorded("succeeded").proof()
    statement = proof["parts"][HUB]["statement"] | {"account_id": str(DEPLOYMENT)}
    events = proof["parts"][HUB]["events"]
    proof["parts"][HUB] = {**SIGNERS[ServiceName.DEPLOYMENTS].signed(statement), "events": events}
    assert str(verdict_on(written(proof)).faults[0]) == "parts: the parts are not of one account"


def test_a_hold_ends_once() -> None:
    proof = recorded("succeeded").proof()
    events = proof["parts"][BILLING]["events"]
    proof["parts"][BILLING]["events"] = [*events, {**events[1], "version": 3}]
    assert not verdict_on(written(proof)).sound


def test_what_is_chained_and_signed_but_says_nonsense_is_refused_not_stumbled_over() -> None:
    book = recorded("open")
    event = book.events[ServiceName.BILLING][0]
    event["data"]["amount"] = "five"
    recorded_text = {"stream": f"hold-{DEPLOYMENT}"} | {name: event[name] for name in RECORDED}
    event["canonical"] = written(recorded_text).decode()
    event["hash"] = hashlib.sha256(bytes(32) + written(recorded_text)).hexdigest()
    proof = book.proof(ServiceName.BILLING)
    statement = recorded("open").part(ServiceName.BILLING)["statement"] | {"hash": event["hash"]}
    part = {**SIGNERS[ServiceName.BILLING].signed(statement), "events": [event]}
    proof["parts"].insert(BILLING, part)
    assert not verdict_on(written(proof | {"missing": []})).sound


# ---- keys -----------------------------------------------------------------------------------------------------------


def pinned(**changes: bytes) -> PinnedKeys:
    keys = [
        {"service": service.value, "id": key_id(key), "algorithm": ALGORITHM, "public_key": key.hex(), "retired": False}
        for service, signer in SIGNERS.items()
        for key in [changes.get(service.name, signer.public_key)]
    ]
    return PinnedKeys.read(orjson.dumps({"keys": keys, "missing": []}))


def test_only_pinned_keys_count() -> None:
    assert verdict_on(WHOLE, pinned()).pinned
    [fault] = verdict_on(WHOLE, pinned(BILLING=ProofSigner(b"x" * 32).public_key)).faults
    assert (fault.stream, fault.field) == (f"hold-{DEPLOYMENT}", "key.id")
    with pytest.raises(ValueError, match="not the one of that id"):
        PinnedKeys.read(b'{"keys":[{"service":"billing","id":"00","public_key":"' + b"0" * 64 + b'"}]}')
    with pytest.raises(ValueError, match="keys of a PAC"):
        PinnedKeys.read(b"[]")


def test_a_part_may_be_left_out_but_not_billings_and_not_in_silence() -> None:
    without = recorded("succeeded")
    assert verdict_on(written(without.proof(ServiceName.DEPLOYMENTS))).outcome is None
    silent = without.proof(ServiceName.DEPLOYMENTS) | {"missing": []}
    assert [fault.field for fault in verdict_on(written(silent)).faults] == ["missing"]
    assert not verdict_on(written(without.proof(ServiceName.BILLING))).sound
