import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.contracts.base import LINE_MAX_CHARACTERS
from pac.runtime_notifier.scrubbing import scrubbed

SIGNED = (
    "http://127.0.0.1:9000/bucket/packages/x.apkg?X-Amz-Algorithm=AWS4&X-Amz-Credential=AKIA%2F1&X-Amz-Signature=5e1f"
)


@pytest.mark.parametrize(
    "text",
    [
        f"Client error '404 Not Found' for url '{SIGNED}'",
        f"Client error for url {SIGNED}\nFor more information check: https://example.org/x?y=z",
        f'<Error><Resource>"{SIGNED}"</Resource></Error>',
        SIGNED.replace("X-Amz-Signature", "X-Amz-\nSignature"),
        SIGNED.partition("127.0.0.1:9000")[2],
        "retry with X-Amz-Signature=5e1f and X-Amz-Credential=AKIA%2F1",
        f"({SIGNED})",
    ],
)
def test_no_query_of_an_address_stays(text: str) -> None:
    line = scrubbed(text)
    assert "5e1f" not in line
    assert "AKIA" not in line
    assert "y=z" not in line
    assert "\n" not in line


def test_what_helps_stays() -> None:
    line = scrubbed(f"Failed to fetch package after 3 attempts: Client error '404 Not Found' for url '{SIGNED}'")
    assert line == (
        "Failed to fetch package after 3 attempts: Client error '404 Not Found' "
        "for url 'http://127.0.0.1:9000/bucket/packages/x.apkg'"
    )


def test_a_question_stays() -> None:
    assert scrubbed("SHA256 verification failed? Expected: a Got: b") == "SHA256 verification failed Expected: a Got: b"


def test_credentials_of_an_address_and_of_a_header_go() -> None:
    assert scrubbed("no http://me:pw12@host/x with Authorization: Bearer abc.def") == (
        "no http://host/x with Authorization: Bearer ***"
    )


def test_known_values_go_and_the_longer_first() -> None:
    assert scrubbed("key hunter22 and hunter2", ["hunter2", "hunter22"]) == "key *** and ***"


@given(st.text(), st.lists(st.text(min_size=4, max_size=12), max_size=4))
def test_any_text_becomes_one_bounded_line_without_the_values(text: str, values: list[str]) -> None:
    line = scrubbed(text + " " + " ".join(values), values)
    assert "\n" not in line
    assert len(line) <= LINE_MAX_CHARACTERS
