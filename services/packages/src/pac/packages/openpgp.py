"""OpenPGP, as a worker process sees it: what a public key says, and whether a detached signature fits a file.

The library's own words are for its developers: only a code of ours leaves this module. A key that has expired or was
revoked signs nothing here, whatever time its signature names: that time is the word of whoever holds the key.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pysequoia import Cert, Sig, verify
from pysequoia.packet import Packet, PacketPile, SignatureType, Tag

ARMOR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
PRIVATE_ARMOR = "-----BEGIN PGP PRIVATE KEY BLOCK-----"
SIGNATURES_MAX = 8
PRIVATE = (Tag.SecretKey, Tag.SecretSubkey)
OF_A_PRIMARY_KEY = (
    SignatureType.DirectKey,
    SignatureType.GenericCertification,
    SignatureType.PersonaCertification,
    SignatureType.CasualCertification,
    SignatureType.PositiveCertification,
)


class Fault(StrEnum):
    """Why a key is not taken, or a signature not good."""

    NO_KEY = "no_key"
    SEVERAL_KEYS = "several_keys"
    PRIVATE_KEY = "private_key"
    WEAK_KEY = "weak_key"
    CANNOT_SIGN = "cannot_sign"
    KEY_EXPIRED = "key_expired"
    KEY_REVOKED = "key_revoked"
    UNREADABLE = "unreadable"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE_EXPIRED = "expired"
    WRONG = "wrong"


class NotGood(ValueError):  # noqa: N818 - what it is
    def __init__(self, fault: Fault, key_id: str | None = None) -> None:
        super().__init__(fault.value)
        self.fault, self.key_id = fault, key_id


@dataclass(frozen=True)
class Component:
    """The primary key or a subkey, as its own signatures describe it. Times are aware UTC."""

    fingerprint: str
    created_at: datetime
    expires_at: datetime | None
    may_sign: bool
    is_revoked: bool

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class PublicKey:
    """`certificate`: the key in binary, without anything private."""

    fingerprint: str
    user_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    signing: tuple[Component, ...]
    certificate: bytes


@dataclass(frozen=True)
class Signer:
    """`fingerprint` is that of the registered key, `by` that of the key or subkey of it which has signed."""

    fingerprint: str
    by: str
    at: datetime | None


def read_key(text: str, now: datetime) -> PublicKey:
    """The one armored public key in `text`. NotGood for anything else, and for a key that can sign nothing now."""
    if PRIVATE_ARMOR in text:
        raise NotGood(Fault.PRIVATE_KEY)
    if ARMOR not in text:
        raise NotGood(Fault.NO_KEY)
    try:
        if any(packet.tag in PRIVATE for packet in PacketPile.from_bytes(text.encode())):
            raise NotGood(Fault.PRIVATE_KEY)
        certs = Cert.split_bytes(text.encode())
    except RuntimeError:
        raise NotGood(Fault.NO_KEY) from None
    if len(certs) != 1:
        raise NotGood(Fault.SEVERAL_KEYS if certs else Fault.NO_KEY)
    [cert] = certs
    expires_at = _alive(cert, now)
    components = list(components_of(cert))
    able = tuple(each for each in components if each.may_sign and not each.is_revoked and not each.has_expired(now))
    if not able:
        raise NotGood(Fault.CANNOT_SIGN)
    user_ids = tuple(str(user_id) for user_id in cert.user_ids)
    return PublicKey(cert.fingerprint, user_ids, components[0].created_at, expires_at, able, bytes(cert))


def verified(path: Path, signature: bytes, certificates: Sequence[bytes], now: datetime) -> Signer:
    """Who of these has signed the file's bytes; `signature` is binary or armored, one or a few. NotGood if nobody.

    The file is mapped, or read piece by piece where that is more than may be mapped. OSError if it is not there.
    """
    path.stat()  # the library calls a file that is not there a signature that does not fit
    signatures = _signatures_in(signature)
    certs = [Cert.from_bytes(certificate) for certificate in certificates]
    faults: list[NotGood] = []
    for one in signatures:
        try:
            return _verified(path, one, certs, now)
        except NotGood as fault:
            faults.append(fault)
    raise next((fault for fault in faults if fault.fault is not Fault.UNKNOWN_KEY), faults[0])


def _signatures_in(signature: bytes) -> list[Sig]:
    """Over bytes, every one: a signature over text would also fit other bytes."""
    try:
        packets = list(PacketPile.from_bytes(signature))
        if not 0 < len(packets) <= SIGNATURES_MAX or any(packet.tag != Tag.Signature for packet in packets):
            raise NotGood(Fault.UNREADABLE)
        found = [Sig.from_bytes(bytes(packet)) for packet in packets]
    except RuntimeError:
        raise NotGood(Fault.UNREADABLE) from None
    if any(one.signature_type != SignatureType.Binary for one in found):
        raise NotGood(Fault.UNREADABLE)
    return found


def _verified(path: Path, signature: Sig, certs: Sequence[Cert], now: datetime) -> Signer:
    issuer = signature.issuer_fingerprint or signature.issuer_key_id
    for cert in certs:
        component = next((one for one in components_of(cert) if issuer and one.fingerprint.endswith(issuer)), None)
        if component is None:
            continue
        _alive(cert, now)
        if component.is_revoked:
            raise NotGood(Fault.KEY_REVOKED, issuer)
        if component.has_expired(now):
            raise NotGood(Fault.KEY_EXPIRED, issuer)
        if signature.expiration is not None and signature.expiration <= now:
            raise NotGood(Fault.SIGNATURE_EXPIRED, issuer)
        try:
            found = verify(file=path, store=lambda _ids, cert=cert: [cert], signature=signature)
        except RuntimeError:
            raise NotGood(Fault.WRONG, issuer) from None
        by = found.valid_sigs[0].signing_key
        return Signer(cert.fingerprint, by, signature.created)
    raise NotGood(Fault.UNKNOWN_KEY, issuer)


def _alive(cert: Cert, now: datetime) -> datetime | None:
    """When the key will expire. NotGood if it has, if it was revoked, or if its cryptography is no longer trusted."""
    if cert.is_revoked:
        raise NotGood(Fault.KEY_REVOKED, cert.fingerprint)
    try:
        expires_at = cert.expiration
    except RuntimeError:
        raise NotGood(Fault.WEAK_KEY, cert.fingerprint) from None
    if expires_at is not None and expires_at <= now:
        raise NotGood(Fault.KEY_EXPIRED, cert.fingerprint)
    return expires_at


def components_of(cert: Cert) -> Iterator[Component]:
    """The primary key first. Of several signatures about one key the newest counts."""
    own, signatures = None, list[Packet]()
    primary = cert.fingerprint
    for packet in PacketPile.from_bytes(bytes(cert)):
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey):
            if own is not None:
                yield _component(own, signatures, primary)
            own, signatures = packet, []
        elif packet.tag == Tag.Signature and _is_by(packet, primary):
            signatures.append(packet)
    assert own is not None  # there is no certificate without a primary key
    yield _component(own, signatures, primary)


def _is_by(signature: Packet, fingerprint: str) -> bool:
    """The primary key describes itself and its subkeys; what others say of it is none of this."""
    issuer = signature.issuer_fingerprint or signature.issuer_key_id
    return issuer is not None and fingerprint.endswith(issuer)


def _component(key: Packet, signatures: Sequence[Packet], primary: str) -> Component:
    fingerprint, created_at = key.fingerprint, key.key_created
    assert fingerprint is not None
    assert created_at is not None
    kinds = OF_A_PRIMARY_KEY if fingerprint == primary else (SignatureType.SubkeyBinding,)
    binding = max(
        (one for one in signatures if one.signature_type in kinds and one.signature_created is not None),
        key=lambda one: one.signature_created or created_at,
        default=None,
    )
    flags = binding.key_flags if binding is not None else None
    lasts = binding.key_validity_period if binding is not None else None
    return Component(
        fingerprint,
        created_at,
        created_at + lasts if lasts is not None else None,
        may_sign=flags.signing if flags is not None else binding is not None and fingerprint == primary,
        is_revoked=any(one.signature_type == SignatureType.SubkeyRevocation for one in signatures),
    )


# ---- as a worker answers ---------------------------------------------------------------------------------------------


def answer_keys(request: dict[str, Any]) -> dict[str, Any]:
    """`{texts}` → `{keys: [{fault} or what the key says]}`, in the same order."""
    now = datetime.now(UTC)
    return {"keys": [_told(text, now) for text in request["texts"]]}


def _told(text: str, now: datetime) -> dict[str, Any]:
    try:
        key = read_key(text, now)
    except NotGood as fault:
        return {"fault": fault.fault.value}
    return {
        "fingerprint": key.fingerprint,
        "user_ids": list(key.user_ids),
        "created_at": _iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "signing": [
            {"fingerprint": one.fingerprint, "created_at": _iso(one.created_at), "expires_at": _iso(one.expires_at)}
            for one in key.signing
        ],
        "certificate": base64.b64encode(key.certificate).decode(),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def answer_signature(request: dict[str, Any]) -> dict[str, Any]:
    """`{path, signature, certificates}`, both in base64 → `{fault, key_id}` or `{signed_by, by, at}`."""
    certificates = [base64.b64decode(one) for one in request["certificates"]]
    signature = base64.b64decode(request["signature"])
    try:
        signer = verified(Path(request["path"]), signature, certificates, datetime.now(UTC))
    except NotGood as fault:
        return {"fault": fault.fault.value, "key_id": fault.key_id}
    return {"signed_by": signer.fingerprint, "by": signer.by, "at": _iso(signer.at)}
