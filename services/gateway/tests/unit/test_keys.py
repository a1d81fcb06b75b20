"""A key is told from a typo offline, and never shows itself by accident."""

import re

from hypothesis import given
from hypothesis import strategies as st

from pac.gateway.keys import ALPHABET, KEY_PATTERN, NewKey, Pepper, is_well_formed, new_key

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
KEY = new_key().text


def test_a_new_key_has_the_announced_shape() -> None:
    key = new_key()
    assert re.fullmatch(KEY_PATTERN, key.text)
    assert len(key.text) == 42
    assert is_well_formed(key.text)
    assert key.last4 == key.text[-4:]


def test_the_format_is_fixed_for_scanners_in_other_languages() -> None:
    # crc32 of thirty-two zeros is 0xA0F292D0; base62 = digits, upper, lower; most significant first, padded with 0.
    assert is_well_formed("pac_" + "0" * 32 + _base62(0xA0F292D0))


def _base62(number: int) -> str:
    digits = ""
    while number:
        digits = ALPHABET[number % 62] + digits
        number //= 62
    return digits.rjust(6, "0")


@given(position=st.integers(0, len(KEY) - 1), other=PRINTABLE)
def test_any_single_changed_character_is_refused(position: int, other: str) -> None:
    changed = KEY[:position] + other + KEY[position + 1 :]
    assert is_well_formed(changed) is (changed == KEY)


def test_every_single_change_within_the_alphabet_is_refused() -> None:
    for position in range(4, len(KEY)):
        for other in set(ALPHABET) - {KEY[position]}:
            assert not is_well_formed(KEY[:position] + other + KEY[position + 1 :])


@given(st.text())
def test_arbitrary_text_is_refused_without_an_error(text: str) -> None:
    assert not is_well_formed(text)


def test_keys_differ() -> None:
    assert len({new_key().text for _ in range(1000)}) == 1000


def test_the_hash_needs_the_pepper() -> None:
    assert Pepper(b"one").hash(KEY) != Pepper(b"two").hash(KEY)
    assert Pepper(b"one").hash(KEY) == Pepper(b"one").hash(KEY)
    assert len(Pepper(b"one").hash(KEY)) == 32


def test_neither_key_nor_pepper_shows_in_a_repr() -> None:
    assert "sesame" not in repr(NewKey("sesame")) + repr(Pepper(b"sesame"))
