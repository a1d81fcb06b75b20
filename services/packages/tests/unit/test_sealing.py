import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pac.servicekit.sealing import CannotOpen, environment_context, key_id, open_sealed, public_key_of, seal, sealed_for

PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32))).private_bytes_raw()
PUBLIC = public_key_of(PRIVATE)
CONTEXT = environment_context("0d9d5c5e-0000-4000-8000-000000000001")


@given(st.binary(max_size=300), st.text(max_size=50))
@settings(max_examples=30, deadline=None)
def test_what_was_sealed_opens_with_the_key_in_its_context(plaintext: bytes, context: str) -> None:
    assert open_sealed(PRIVATE, seal(PUBLIC, plaintext, context), context) == plaintext


def test_the_same_plaintext_never_seals_to_the_same_bytes_and_does_not_show() -> None:
    one, other = seal(PUBLIC, b"hunter2-hunter2", CONTEXT), seal(PUBLIC, b"hunter2-hunter2", CONTEXT)
    assert one != other
    assert b"hunter2" not in one


def test_another_context_does_not_open() -> None:
    sealed = seal(PUBLIC, b"{}", CONTEXT)
    with pytest.raises(CannotOpen, match="another context"):
        open_sealed(PRIVATE, sealed, environment_context("another"))


def test_another_key_does_not_open_and_both_ids_are_named() -> None:
    other = bytes(reversed(range(32)))
    sealed = seal(PUBLIC, b"{}", CONTEXT)
    assert sealed_for(sealed) == key_id(PUBLIC)
    with pytest.raises(CannotOpen) as fault:
        open_sealed(other, sealed, CONTEXT)
    assert key_id(PUBLIC) in str(fault.value)
    assert key_id(public_key_of(other)) in str(fault.value)


@pytest.mark.parametrize("at", [0, 5, 9, 20, -1])
def test_a_flipped_byte_does_not_open(at: int) -> None:
    sealed = bytearray(seal(PUBLIC, b"{}", CONTEXT))
    sealed[at] ^= 1
    with pytest.raises(CannotOpen):
        open_sealed(PRIVATE, bytes(sealed), CONTEXT)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 40, 56])
def test_cut_off_bytes_do_not_open(length: int) -> None:
    with pytest.raises(CannotOpen):
        open_sealed(PRIVATE, seal(PUBLIC, b"{}", CONTEXT)[:length], CONTEXT)
