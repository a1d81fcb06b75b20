"""`pac credits grant`: an amount below zero is an amount, and no option."""

import pytest
from typer.testing import CliRunner

from pac.cli.application import build


def test_a_correction_is_an_amount_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAC_GATEWAY_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("PAC_ADMIN_KEY", raising=False)
    said = CliRunner().invoke(build(), ["credits", "grant", "-5", "--account", "a", "--key", "once"])
    assert (said.exit_code, "PAC_ADMIN_KEY is not set" in said.stderr) == (1, True), said.output
    assert CliRunner().invoke(build(), ["credits", "grant", "--nothing"]).exit_code == 2
