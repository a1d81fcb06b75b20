"""What the runtime's settings accept, and that they keep their secret."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pac.agentkit.runtime.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_RUNTIME_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("LOCAL_RUNTIME_SECRET", "a-secret")


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RUNTIME_PACKAGE_ORIGINS", "http://127.0.0.1:9000, https://s3.example.com")
    monkeypatch.setenv("LOCAL_RUNTIME_BASE_ENVIRONMENT", "MODEL_*,DEBUG")
    settings = Settings()
    assert settings.package_origins == ("http://127.0.0.1:9000", "https://s3.example.com")
    assert settings.base_environment == ("MODEL_*", "DEBUG")


def test_the_secret_may_be_a_file_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "a-secret" not in repr(Settings())
    (tmp_path / "secret").write_text("from-file\n")
    monkeypatch.setenv("LOCAL_RUNTIME_SECRET_FILE", str(tmp_path / "secret"))
    assert Settings().bearer() == "from-file"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOCAL_RUNTIME_SECRET", ""),
        ("LOCAL_RUNTIME_PACKAGE_ORIGINS", "ftp://host"),
        ("LOCAL_RUNTIME_PACKAGE_ORIGINS", "http://host/path"),
        ("LOCAL_RUNTIME_PORT", "70000"),
        ("LOCAL_RUNTIME_SECRET_FILE", "/nowhere/secret"),
    ],
)
def test_what_cannot_work_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()
