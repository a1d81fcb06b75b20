import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from pac.servicekit.settings import InvalidSettings, Key32, ServiceSettings, load_settings, read_settings

URL = "postgresql://billing:hush-hush@127.0.0.1:5432/billing"
KEY = base64.b64encode(bytes(32)).decode()


class BillingSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="BILLING_", frozen=True)
    signup_credits: int = Field(default=0, ge=0)
    sealing_key: Key32 | None = None


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("BILLING_DATABASE_URL", URL)
    return monkeypatch


def faults() -> list[str]:
    with pytest.raises(InvalidSettings) as invalid:
        read_settings(BillingSettings)
    return invalid.value.faults


def test_a_field_is_read_from_the_prefixed_variable_and_shared_ones_without(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_SIGNUP_CREDITS", "1000")
    environment.setenv("BILLING_PORT", "4003")
    environment.setenv("KAFKA_SERVERS", "one:9092,two:9092")
    environment.setenv("PAC_LOG_LEVEL", "debug")
    found = read_settings(BillingSettings)
    assert (found.signup_credits, found.port, found.kafka_servers, found.log_level) == (
        1000,
        4003,
        "one:9092,two:9092",
        "debug",
    )


def test_every_fault_is_told_at_once_by_the_name_of_its_variable(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BILLING_DATABASE_URL")
    environment.setenv("BILLING_SIGNUP_CREDITS", "-1")
    environment.setenv("PAC_LOG_FORMAT", "xml")
    environment.setenv("GATEWAY_IDENTITY_PUBLIC_KEY", "short")
    told = faults()
    assert "BILLING_DATABASE_URL is not set" in told
    assert {line.split(":")[0].split(" ")[0] for line in told} == {
        "BILLING_DATABASE_URL",
        "BILLING_SIGNUP_CREDITS",
        "PAC_LOG_FORMAT",
        "GATEWAY_IDENTITY_PUBLIC_KEY",
    }


def test_an_unknown_variable_with_the_own_prefix_names_the_nearest_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BILLING_SIGNUP_CREDIT", "5")
    assert faults() == ["BILLING_SIGNUP_CREDIT is not a setting; did you mean BILLING_SIGNUP_CREDITS?"]


def test_variables_of_other_services_and_of_kubernetes_are_none_of_our_business(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("PACKAGES_NONSENSE", "1")
    environment.setenv("BILLING_SERVICE_HOST", "10.0.0.1")
    environment.setenv("BILLING_PORT_4003_TCP_ADDR", "10.0.0.1")
    assert read_settings(BillingSettings).signup_credits == 0


def test_a_secret_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n", encoding="utf-8")
    (tmp_path / "key").write_text(KEY, encoding="utf-8")
    environment.delenv("BILLING_DATABASE_URL")
    environment.setenv("BILLING_DATABASE_URL_FILE", str(tmp_path / "url"))
    environment.setenv("BILLING_SEALING_KEY_FILE", str(tmp_path / "key"))
    found = read_settings(BillingSettings)
    assert found.database_url.get_secret_value() == URL
    assert found.sealing_key is not None
    assert found.sealing_key.get_secret_value() == KEY


def test_a_secret_in_both_places_or_in_no_readable_file_is_a_fault(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("BILLING_DATABASE_URL_FILE", str(tmp_path / "url"))
    environment.setenv("BILLING_SEALING_KEY_FILE", str(tmp_path / "nowhere"))
    assert faults() == [
        "BILLING_DATABASE_URL and BILLING_DATABASE_URL_FILE are both set: keep one",
        "BILLING_SEALING_KEY_FILE: cannot read the file it names: No such file or directory",
    ]


def test_what_is_no_secret_has_no_file_variant(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credits").write_text("7", encoding="utf-8")
    environment.setenv("BILLING_SIGNUP_CREDITS_FILE", str(tmp_path / "credits"))
    told = "".join(faults())
    assert "BILLING_SIGNUP_CREDITS_FILE" in told


def test_the_process_ends_with_code_2_and_the_faults_on_stderr(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("BILLING_PORT", "tcp://10.0.0.1:4003")
    with pytest.raises(SystemExit) as ended:
        load_settings(BillingSettings)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("BILLING_PORT: ")
    assert "10.0.0.1" not in told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    value=strategies.text(strategies.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60),
    name=strategies.sampled_from(
        ["BILLING_DATABASE_URL", "BILLING_SEALING_KEY", "BILLING_PORT", "GATEWAY_IDENTITY_PUBLIC_KEY"]
    ),
)
def test_no_fault_ever_shows_a_value(environment: pytest.MonkeyPatch, value: str, name: str) -> None:
    with environment.context() as changed:
        changed.setenv(name, "x" + value)
        try:
            shown = repr(read_settings(BillingSettings))
        except InvalidSettings as invalid:
            shown = str(invalid)
        assert value not in shown
