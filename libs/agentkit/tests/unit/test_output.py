"""What an agent prints stays bounded and without the values it was given."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pac.agentkit.runtime.output import RING_BYTES, Output, Redactor

VALUES = st.dictionaries(
    st.from_regex(r"[A-Z]{3,8}", fullmatch=True), st.from_regex(r"[a-z0-9]{12,30}", fullmatch=True)
)


def test_known_values_become_their_names() -> None:
    redactor = Redactor.of({"TOKEN": "abcdef-123", "KEY": "line one\nline two", "PORT": "8080"})
    assert redactor.clean("a abcdef-123 b 8080") == "a [TOKEN] b 8080"
    assert redactor.clean("line two") == "[KEY]"


@given(VALUES, st.text(max_size=50))
def test_no_known_value_is_ever_left(values: dict[str, str], around: str) -> None:
    redactor = Redactor.of(values)
    text = redactor.clean(around + around.join(values.values()) + around)
    assert not [value for value in values.values() if value in text]


def test_the_ring_forgets_the_oldest(tmp_path: Path) -> None:
    output = Output(tmp_path / "a.log", 4096)
    for number in range(3000):
        output.add("stdout", b"%06d " % number + b"x" * 60)
    lines, truncated = output.tail(RING_BYTES)
    assert truncated
    assert lines[-1].text.startswith("002999")
    assert sum(len(line.text) + 1 for line in lines) <= RING_BYTES
    few, truncated = output.tail(200)
    assert (len(few), truncated) == (2, True)


def test_the_file_stays_within_its_limit(tmp_path: Path) -> None:
    output = Output(tmp_path / "a.log", 8192)
    for number in range(500):
        output.keep([output.add("stdout", b"%06d " % number + b"x" * 60)])
    kept = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert kept <= 8192 + 400
    assert "000499" in (tmp_path / "a.log").read_text()


def test_the_last_error_is_the_last_line_that_says_something(tmp_path: Path) -> None:
    output = Output(tmp_path / "a.log", 4096)
    for stream, text in (("stderr", b"ValueError: no\n"), ("stderr", b"  \n"), ("stdout", b"bye\n")):
        output.add(stream, text)
    assert output.last_error() == "ValueError: no"


def test_what_is_public_stays_and_the_last_name_of_a_value_counts() -> None:
    redactor = Redactor.of({"USER": "someone", "A": "hidden"}, {"B": "hidden"}, public="/home/someone/agents/1/app")
    assert redactor.clean("/home/someone: hidden") == "/home/someone: [B]"
