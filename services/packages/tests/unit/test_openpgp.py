"""Keys and signatures as GnuPG writes them (tests/openpgp/record.py), and what must not pass for one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pysequoia import Cert, SignatureMode, Tsk, sign

from pac.packages.openpgp import Fault, NotGood, Signer, components_of, read_key, verified
from pac.packages.signature_faults import OF_A_KEY, OF_A_SIGNATURE

RECORDED = Path(__file__).parents[1] / "openpgp"
CONTENT = RECORDED / "content.bin"
NOW = datetime.now(UTC)


def text_of(name: str) -> str:
    return (RECORDED / name).read_text()


def certificate(name: str) -> bytes:
    return bytes(Cert.from_bytes(text_of(name).encode()))


def signer_of(signature: str, *keys: str) -> Signer:
    return verified(CONTENT, (RECORDED / signature).read_bytes(), [certificate(key) for key in keys], NOW)


def fault_of(signature: str, *keys: str) -> Fault:
    with pytest.raises(NotGood) as raised:
        signer_of(signature, *keys)
    return raised.value.fault


def key_fault_of(text: str, now: datetime = NOW) -> Fault:
    with pytest.raises(NotGood) as raised:
        read_key(text, now)
    return raised.value.fault


# ---- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signature", "key"),
    [("modern.sig", "modern.asc"), ("modern.sig.asc", "modern.asc"), ("classic.sig", "classic.asc")],
)
def test_what_gpg_has_signed_is_verified_binary_and_armored(signature: str, key: str) -> None:
    signer, known = signer_of(signature, "expired.asc", key), read_key(text_of(key), NOW)
    assert signer.fingerprint == known.fingerprint
    assert [signer.by] == [one.fingerprint for one in known.signing]
    assert signer.by != signer.fingerprint, "a subkey has signed, and the key that is registered answers for it"
    assert signer.at is not None
    assert signer.at < NOW


def test_one_good_signature_of_several_is_enough() -> None:
    for key in ("modern.asc", "classic.asc"):
        assert signer_of("both.sig", key).fingerprint == read_key(text_of(key), NOW).fingerprint
    assert fault_of("both.sig", "changed.asc") is Fault.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("signature", "keys", "fault"),
    [
        ("modern.sig", (), Fault.UNKNOWN_KEY),
        ("modern.sig", ("classic.asc", "changed.asc"), Fault.UNKNOWN_KEY),
        ("expired.sig", ("expired.asc",), Fault.KEY_EXPIRED),
        ("revoked.sig", ("revoked.asc",), Fault.KEY_REVOKED),
        ("changed.sig", ("changed.asc",), Fault.KEY_REVOKED),
        ("text.sig", ("modern.asc",), Fault.UNREADABLE),
        ("inline.asc", ("modern.asc",), Fault.UNREADABLE),
        ("modern.asc", ("modern.asc",), Fault.UNREADABLE),
        ("content.bin", ("modern.asc",), Fault.UNREADABLE),
    ],
)
def test_what_is_not_a_good_signature_is_told_apart(signature: str, keys: tuple[str, ...], fault: Fault) -> None:
    assert fault_of(signature, *keys) is fault


def test_a_revocation_counts_from_the_moment_that_it_is_known() -> None:
    before = certificate("revoked-before.asc")
    signer = verified(CONTENT, (RECORDED / "revoked.sig").read_bytes(), [before], NOW)
    assert signer.fingerprint == Cert.from_bytes(before).fingerprint


def test_other_bytes_do_not_fit(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    for content in (CONTENT.read_bytes() + b"x", CONTENT.read_bytes()[1:], b""):
        changed.write_bytes(content)
        with pytest.raises(NotGood) as raised:
            verified(changed, (RECORDED / "modern.sig").read_bytes(), [certificate("modern.asc")], NOW)
        assert raised.value.fault is Fault.WRONG


def test_a_file_that_is_not_there_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verified(tmp_path / "gone", (RECORDED / "modern.sig").read_bytes(), [certificate("modern.asc")], NOW)


@pytest.mark.parametrize("signature", [b"", b"\x00" * 100, b"\xff" * 65_536, b"-----BEGIN PGP SIGNATURE-----\n\n"])
def test_noise_is_unreadable(signature: bytes) -> None:
    with pytest.raises(NotGood) as raised:
        verified(CONTENT, signature, [], NOW)
    assert raised.value.fault is Fault.UNREADABLE


def test_a_key_signs_nothing_once_it_has_expired_whatever_time_its_signature_names() -> None:
    key = Tsk.generate("Somebody")
    public = key.extract_certificate().set_expiration(NOW + timedelta(days=1), key.certifier())
    signature = sign(key.signer(), CONTENT.read_bytes(), mode=SignatureMode.DETACHED)
    assert verified(CONTENT, signature, [bytes(public)], NOW).fingerprint == public.fingerprint
    with pytest.raises(NotGood) as raised:
        verified(CONTENT, signature, [bytes(public)], NOW + timedelta(days=2))
    assert raised.value.fault is Fault.KEY_EXPIRED


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_says_who_it_is_and_what_of_it_may_sign() -> None:
    key = read_key(text_of("modern.asc"), NOW)
    assert key.user_ids == ("modern <modern@example.org>",)
    assert (len(key.fingerprint), key.expires_at) == (40, None)
    assert [one.fingerprint == key.fingerprint for one in key.signing] == [False]
    assert key.certificate == certificate("modern.asc")


def test_a_subkey_that_was_revoked_is_not_among_those_that_may_sign() -> None:
    components = list(components_of(Cert.from_bytes(text_of("changed.asc").encode())))
    assert not components[0].may_sign, "the primary key only certifies"
    assert [one.may_sign for one in components[1:]] == [True, True]
    [live] = [one.fingerprint for one in components[1:] if not one.is_revoked]
    assert [one.fingerprint for one in read_key(text_of("changed.asc"), NOW).signing] == [live]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("expired.asc", Fault.KEY_EXPIRED),
        ("revoked.asc", Fault.KEY_REVOKED),
        ("modern.sig.asc", Fault.NO_KEY),
    ],
)
def test_a_key_that_can_verify_nothing_is_not_taken(name: str, fault: Fault) -> None:
    assert key_fault_of(text_of(name)) is fault


def test_what_is_not_one_public_key_is_not_taken() -> None:
    two = text_of("modern.asc") + text_of("classic.asc")
    broken = text_of("modern.asc")[:300]
    assert key_fault_of("hello") is Fault.NO_KEY
    assert key_fault_of(broken) is Fault.NO_KEY
    assert key_fault_of(two) is Fault.SEVERAL_KEYS
    private = Tsk.generate("Somebody")
    assert key_fault_of(str(private)) is Fault.PRIVATE_KEY
    renamed = str(private).replace("PRIVATE KEY", "PUBLIC KEY")
    assert key_fault_of(renamed) is Fault.PRIVATE_KEY


def test_every_fault_has_its_words() -> None:
    of_a_key = {"no_key", "several_keys", "private_key", "weak_key", "cannot_sign", "key_expired", "key_revoked"}
    of_a_signature = {"unreadable", "unknown_key", "weak_key", "key_expired", "key_revoked", "expired", "wrong"}
    assert of_a_key | of_a_signature == set(Fault)
    assert OF_A_KEY.keys() == {*of_a_key, "repeated"}
    assert OF_A_SIGNATURE.keys() == {*of_a_signature, "missing", "no_keys", "not_verified"}
