"""Which databases `pac migrate` finds: those that the services themselves would open."""

from pathlib import Path

import pytest

from pac.cli.local.errors import Expected
from pac.cli.local.migrations import urls_from


def test_a_database_is_named_by_a_variable_or_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://billing@127.0.0.1/billing\n", encoding="utf-8")
    environment = {
        "GATEWAY_DATABASE_URL": "postgresql://gateway@127.0.0.1/gateway",
        "BILLING_DATABASE_URL_FILE": str(file),
        "PACKAGES_DATABASE_URL": "",
    }
    assert urls_from(environment) == {
        "gateway": "postgresql://gateway@127.0.0.1/gateway",
        "billing": "postgresql://billing@127.0.0.1/billing",
    }


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Expected, match="BILLING_DATABASE_URL_FILE"):
        urls_from({"BILLING_DATABASE_URL_FILE": str(tmp_path / "gone")})
