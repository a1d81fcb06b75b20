"""The one rule of precedence, in all its cases."""

import pytest

from pac.agentkit.environment import (
    BadEnvironment,
    Explanation,
    Layer,
    Layers,
    base_environment,
    explain,
    merge,
    parse_dotenv,
    unread_lines,
)
from pac.testkit.precedence import CASES, EXPECTED, all_layers


def test_the_strongest_layer_that_gives_a_variable_wins() -> None:
    assert merge(all_layers()) == EXPECTED
    assert len(EXPECTED) == 15


def test_who_wins_and_who_loses_is_told_per_key() -> None:
    told = {one.key: (one.wins, *one.loses) for one in explain(all_layers())}
    assert told == {case.key: case.given_by for case in CASES if case.given_by}
    assert list(told) == sorted(told)


def test_no_value_is_told() -> None:
    assert explain(Layers({"A": "hidden"}, {"A": "hidden"})) == (
        Explanation("A", wins=Layer.REQUEST, loses=(Layer.PROVIDER,)),
    )


def test_an_empty_value_wins_too() -> None:
    assert merge(Layers({"A": ""}, {"A": "p"})) == {"A": ""}


def test_keys_of_all_layers_meet() -> None:
    assert merge(Layers({"A": "1"}, {"B": "2"}, {"C": "3"}, {"D": "4"})) == {"A": "1", "B": "2", "C": "3", "D": "4"}


@pytest.mark.parametrize("name", ["", "A=B", "A\0B", "A\ud800"])
def test_a_name_no_variable_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        merge(Layers(provider={name: "hidden"}))
    assert str(caught.value) == "The layer provider holds a name that no variable can have"


@pytest.mark.parametrize("value", ["se\0cret", "se\ud800cret"])
def test_a_value_no_variable_can_hold_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadEnvironment) as caught:
        merge(Layers(provider={"TOKEN": value}, base={"TOKEN": "x"}))
    assert str(caught.value) == "The value of TOKEN (layer provider) holds a character that no variable can hold"


def test_a_value_that_loses_is_not_looked_at() -> None:
    assert merge(Layers(request={"TOKEN": "x"}, dotenv={"TOKEN": "\0"})) == {"TOKEN": "x"}


def test_layers_show_no_values() -> None:
    assert "hidden" not in repr(Layers({"A": "hidden"}))


def test_dotenv_is_read_without_interpolation() -> None:
    data = b'\xef\xbb\xbf# note\nA=1\nexport B="two words"\nC=${A}\nD=\nE\nF=\'x # y\'\nG=1 # note\nH="a\\nb"\n'
    assert parse_dotenv(data) == {
        "A": "1",
        "B": "two words",
        "C": "${A}",
        "D": "",
        "F": "x # y",
        "G": "1",
        "H": "a\nb",
    }


def test_dotenv_survives_bytes_that_are_not_utf8() -> None:
    assert parse_dotenv(b"A=\xff\nB=2\n") == {"A": "\ufffd", "B": "2"}


def test_lines_that_give_nothing_are_named_by_their_number() -> None:
    data = b"\xef\xbb\xbf# note\nA=1\n\n\nFORGOTTEN\nB='open\nC=\r\n\r\n = x\nexport D=4\n"
    assert parse_dotenv(data) == {"A": "1", "C": "", "D": "4"}
    assert unread_lines(data) == (5, 6, 9)
    assert unread_lines(b"A=1\n\n# note\n") == ()


def test_base_is_an_allowlist() -> None:
    environ = {"PATH": "/bin", "HOME": "/h", "LANG": "C", "TZ": "UTC", "TMPDIR": "/t", "GATEWAY_KEY_PEPPER": "no"}
    environ |= {"MODEL_A": "1", "MODEL_B": "2", "MODELS": "3", "EXACT": "4", "EXACTLY": "5"}
    assert base_environment(environ, ("MODEL_*", "EXACT")) == {
        "PATH": "/bin",
        "HOME": "/h",
        "LANG": "C",
        "TZ": "UTC",
        "TMPDIR": "/t",
        "MODEL_A": "1",
        "MODEL_B": "2",
        "EXACT": "4",
    }
