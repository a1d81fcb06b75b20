"""The one rule of precedence, in all its cases."""

import itertools

import pytest

from pac.agentkit.environment import BadEnvironment, Layer, Layers, base_environment, explain, merge, parse_dotenv

ORDER = (Layer.REQUEST, Layer.PROVIDER, Layer.DOTENV, Layer.BASE)
TABLE = [
    (present, next((layer for layer, there in zip(ORDER, present, strict=True) if there), None))
    for present in itertools.product([True, False], repeat=4)
]


def layers_with(present: tuple[bool, ...]) -> Layers:
    request, provider, dotenv, base = (
        {"KEY": layer.value} if there else {} for layer, there in zip(ORDER, present, strict=True)
    )
    return Layers(request, provider, dotenv, base)


@pytest.mark.parametrize(("present", "winner"), TABLE)
def test_request_beats_provider_beats_dotenv_beats_base(present: tuple[bool, ...], winner: Layer | None) -> None:
    layers = layers_with(present)
    assert merge(layers) == ({"KEY": winner.value} if winner else {})
    found = explain(layers)
    assert [(one.key, one.wins) for one in found] == ([("KEY", winner)] if winner else [])
    for one in found:
        assert (one.wins, *one.loses) == tuple(layer for layer, there in zip(ORDER, present, strict=True) if there)


def test_the_table_has_all_sixteen_cases() -> None:
    assert len({present for present, _ in TABLE}) == 16


def test_an_empty_value_wins_too() -> None:
    assert merge(Layers({"A": ""}, {"A": "p"}, {}, {})) == {"A": ""}


def test_keys_of_all_layers_meet() -> None:
    assert merge(Layers({"A": "1"}, {"B": "2"}, {"C": "3"}, {"D": "4"})) == {"A": "1", "B": "2", "C": "3", "D": "4"}


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_a_name_no_process_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadEnvironment):
        merge(Layers({name: "x"}, {}, {}, {}))


def test_a_value_with_nul_is_refused_by_name() -> None:
    with pytest.raises(BadEnvironment) as caught:
        merge(Layers({}, {"TOKEN": "se\0cret"}, {}, {}))
    assert str(caught.value) == "The value of TOKEN holds a NUL character"


def test_layers_show_no_values() -> None:
    assert "hidden" not in repr(Layers({"A": "hidden"}, {}, {}, {}))


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
