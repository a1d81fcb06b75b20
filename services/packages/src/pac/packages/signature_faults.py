"""What is wrong with a signing key, or with a signature: the faults of openpgp.py in words for people."""

from collections.abc import Mapping
from typing import Final

from pac.contracts.packages import Problem

OF_A_KEY: Final[Mapping[str, Problem]] = {
    "no_key": Problem(
        code="signing_key_unreadable",
        message="Not an armored OpenPGP public key",
        hint="Send all that `gpg --armor --export FINGERPRINT` prints.",
    ),
    "several_keys": Problem(
        code="signing_key_several", message="More than one key", hint="Send each key as a text of its own."
    ),
    "repeated": Problem(code="signing_key_repeated", message="Given twice", hint="Send each key once."),
    "private_key": Problem(
        code="signing_key_private",
        message="A private key; it was not kept",
        hint="Send what `gpg --armor --export FINGERPRINT` prints, and think of this key as known to others.",
    ),
    "weak_key": Problem(
        code="signing_key_weak",
        message="Its cryptography is no longer accepted",
        hint="Make a new key: `gpg --quick-gen-key NAME ed25519 sign`.",
    ),
    "cannot_sign": Problem(
        code="signing_key_cannot_sign",
        message="No part of it may sign now",
        hint="Add a subkey: `gpg --quick-add-key FINGERPRINT ed25519 sign`.",
    ),
    "key_expired": Problem(
        code="signing_key_expired",
        message="Has expired",
        hint="Extend it (`gpg --quick-set-expire FINGERPRINT 1y`) and send it again, or leave it out.",
    ),
    "key_revoked": Problem(
        code="signing_key_revoked", message="Was revoked", hint="Leave it out: what is not sent may sign no more."
    ),
}


def signing_key_fault(fault: str, entry: str) -> Problem:
    return OF_A_KEY[fault].model_copy(update={"entry": entry})


SIGN: Final = "`gpg --detach-sign agent.apkg`, and send agent.apkg.sig as the form's field `signature`."
REGISTER: Final = "Register the key's public part: PUT /api/agent-apps/{app_id}/signing-keys."
OF_A_SIGNATURE: Final[Mapping[str, Problem]] = {
    "missing": Problem(code="signature_required", message="This app takes signed packages only", hint=SIGN),
    "unreadable": Problem(
        code="signature_unreadable",
        message="The signature is not a detached OpenPGP signature over bytes",
        hint=f"Make one with {SIGN}",
    ),
    "no_keys": Problem(
        code="signature_no_keys", message="No key is registered that could verify the signature", hint=REGISTER
    ),
    "unknown_key": Problem(
        code="signature_by_unknown_key", message="The signature is by a key that is not registered", hint=REGISTER
    ),
    "weak_key": Problem(
        code="signature_key_weak",
        message="The signature is by a key whose cryptography is no longer accepted",
        hint="Register a new key, and sign with it.",
    ),
    "key_expired": Problem(
        code="signature_key_expired",
        message="The signature is by a key that has expired",
        hint="Extend the key (`gpg --quick-set-expire FINGERPRINT 1y`) and register it again.",
    ),
    "key_revoked": Problem(
        code="signature_key_revoked",
        message="The signature is by a key that was revoked",
        hint="Sign with another key that is registered.",
    ),
    "expired": Problem(code="signature_expired", message="The signature has expired", hint=f"Sign again: {SIGN}"),
    "wrong": Problem(
        code="signature_wrong",
        message="The signature is not of these bytes",
        hint="Sign the very file that you send, after its last change.",
    ),
    "not_verified": Problem(
        code="signature_required",
        message="This app takes signed packages only, and none of its keys has signed this one",
        hint="Upload the package again, with a signature by a key that is registered now.",
    ),
}


def signature_fault(fault: str, key_id: str | None = None) -> Problem:
    """`key_id`: of the key that the signature names."""
    found = OF_A_SIGNATURE[fault].model_copy(update={"entry": "signature"})
    return found if key_id is None else found.model_copy(update={"message": f"{found.message}: {key_id}"})
