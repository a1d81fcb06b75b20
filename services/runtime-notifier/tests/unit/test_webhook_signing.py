"""Secrets are sealed to their endpoint, deliveries are signed so that the library of Standard Webhooks takes them."""

from base64 import b64decode
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pac.runtime_notifier.webhooks.notices import message_id
from pac.runtime_notifier.webhooks.seals import CannotUnseal, Seals, new_secret
from pac.runtime_notifier.webhooks.signing import signed_headers

HOOK, EVENT = UUID(int=1), UUID(int=2)
OLD_KEY, NEW_KEY = bytes(32), bytes(range(32))
BODY = '{"type":"deployment.completed","data":{"error":"ä"}}'


def test_a_secret_is_as_standard_webhooks_wants_it_and_no_two_are_the_same() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("whsec_")
        assert 24 <= len(b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_a_sealed_secret_opens_for_its_endpoint_and_number_alone() -> None:
    seals, secret = Seals.of(NEW_KEY), new_secret()
    sealed = seals.seal(HOOK, 1, secret)
    assert seals.opened(HOOK, 1, sealed) == secret
    assert secret.encode() not in sealed
    assert seals.seal(HOOK, 1, secret) != sealed
    for webhook_id, number in ((uuid4(), 1), (HOOK, 2)):
        with pytest.raises(CannotUnseal) as cannot:
            seals.opened(webhook_id, number, sealed)
        assert secret not in str(cannot.value)


def test_every_flipped_byte_is_noticed() -> None:
    seals = Seals.of(NEW_KEY)
    sealed = seals.seal(HOOK, 1, new_secret())
    for place in range(len(sealed)):
        damaged = bytes([*sealed[:place], sealed[place] ^ 1, *sealed[place + 1 :]])
        with pytest.raises(CannotUnseal):
            seals.opened(HOOK, 1, damaged)


def test_an_older_key_still_opens_and_does_not_seal() -> None:
    before = Seals.of(OLD_KEY).seal(HOOK, 1, "whsec_a")
    both = Seals.of(NEW_KEY, OLD_KEY)
    assert both.opened(HOOK, 1, before) == "whsec_a"
    assert Seals.of(NEW_KEY).opened(HOOK, 1, both.seal(HOOK, 1, "whsec_b")) == "whsec_b"
    with pytest.raises(CannotUnseal):
        Seals.of(NEW_KEY).opened(HOOK, 1, before)
    assert NEW_KEY.hex() not in repr(both)


def test_a_delivery_verifies_with_each_secret_in_force_and_with_no_other() -> None:
    secrets = [new_secret(), new_secret()]
    headers = signed_headers(secrets, message_id(HOOK, EVENT), datetime.now(UTC), BODY)
    for secret in secrets:
        assert Webhook(secret).verify(BODY, headers)["type"] == "deployment.completed"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets[0]).verify(BODY + " ", headers)


def test_an_id_is_of_one_notice_and_one_endpoint_for_ever() -> None:
    assert message_id(HOOK, EVENT) == message_id(UUID(int=1), UUID(int=2)) == "msg_fc2a5a19267c526c8abbb488c2fda4a7"
    assert len({message_id(HOOK, EVENT), message_id(EVENT, HOOK), message_id(HOOK, HOOK)}) == 3
