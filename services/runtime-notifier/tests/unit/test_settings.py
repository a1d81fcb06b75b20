"""The runtimes that an operator names."""

import base64
import json
from pathlib import Path

import pytest

from pac.runtime_notifier.settings import Settings
from pac.servicekit.settings import InvalidSettings, read_settings

KEY = base64.b64encode(bytes(32)).decode()
EUROPE = {"url": "https://runtime.example", "secret": "secret-of-europe", "accepts_environment": True}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "DATABASE_URL": "postgresql://notifier:secret@127.0.0.1:1/runtime_notifier",
        "RUNTIME_URL": "http://127.0.0.1:9",
        "SEALING_KEY": KEY,
        "KEY_ENCRYPTION_KEY": KEY,
    }.items():
        monkeypatch.setenv(f"RUNTIME_NOTIFIER_{name}", value)
    return monkeypatch


def test_without_a_word_there_is_the_default_alone(environment: pytest.MonkeyPatch) -> None:
    del environment
    assert set(read_settings(Settings).every_runtime.by_name) == {"default"}


@pytest.mark.parametrize("from_file", [False, True])
def test_more_are_added_by_name(environment: pytest.MonkeyPatch, tmp_path: Path, *, from_file: bool) -> None:
    text = json.dumps({"europe": EUROPE})
    if from_file:
        (tmp_path / "runtimes").write_text(text)
        environment.setenv("RUNTIME_NOTIFIER_RUNTIMES_FILE", str(tmp_path / "runtimes"))
    else:
        environment.setenv("RUNTIME_NOTIFIER_RUNTIMES", text)
    settings = read_settings(Settings)
    runtimes = settings.every_runtime
    assert set(runtimes.by_name) == {"default", "europe"}
    assert (runtimes["europe"].accepts_environment, runtimes["default"].accepts_environment) == (True, False)
    assert runtimes.secrets == ["secret-of-europe"]
    assert "secret-of-europe" not in repr(settings) + repr(runtimes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret-of-europe", "must be a JSON object"),
        ("[]", "must be"),
        (json.dumps({"Europe": EUROPE}), "Europe"),
        (json.dumps({"default": EUROPE}), "default: that one is set by RUNTIME_NOTIFIER_RUNTIME_URL"),
        (json.dumps({"europe": {"secret": "secret-of-europe"}}), "europe.url: Field required"),
        (json.dumps({"europe": EUROPE | {"url": "secret-of-europe"}}), "europe.url"),
        (json.dumps({"europe": EUROPE | {"secret-of": 1}}), "europe.secret-of"),
    ],
)
def test_a_fault_is_told_by_its_place_and_never_by_a_value(
    environment: pytest.MonkeyPatch, text: str, said: str
) -> None:
    environment.setenv("RUNTIME_NOTIFIER_RUNTIMES", text)
    with pytest.raises(InvalidSettings) as invalid:
        read_settings(Settings)
    assert "RUNTIME_NOTIFIER_RUNTIMES: " in str(invalid.value)
    assert said in str(invalid.value)
    assert "secret-of-europe" not in str(invalid.value)
