"""What a wrong setting says, and what it never shows."""

import base64
from pathlib import Path

import pytest

from pac.gateway.app import build_service
from pac.gateway.jwks import PublishedKeys
from pac.gateway.settings import Settings
from pac.servicekit.settings import InvalidSettings, read_settings

RIGHT = {
    "GATEWAY_DATABASE_URL": "postgresql://gateway:secret-of-the-database@127.0.0.1:1/gateway",
    "GATEWAY_ADMIN_KEY": "secret-of-the-operator",
    "GATEWAY_KEY_PEPPER": "secret-of-the-pepper",
    "GATEWAY_IDENTITY_KEY": base64.b64encode(bytes(32)).decode(),
    "GATEWAY_IDENTITY_PUBLIC_KEY": base64.b64encode(bytes(32)).decode(),
    "GATEWAY_PUBLIC_URL": "http://localhost:4000",
    "GATEWAY_PACKAGES_URL": "http://127.0.0.1:1",
    "GATEWAY_DEPLOYMENTS_URL": "http://127.0.0.1:1",
    "GATEWAY_BILLING_URL": "http://127.0.0.1:1",
    "GATEWAY_RUNTIME_NOTIFIER_URL": "http://127.0.0.1:1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_the_public_port_is_the_one_the_client_calls() -> None:
    settings = read_settings(Settings)
    assert settings.port == 4000
    assert settings.second_port is None
    assert "secret-of" not in repr(settings)


async def test_a_second_port_is_a_setting(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GATEWAY_SECOND_PORT", "3000")
    service = build_service(read_settings(Settings))
    assert service.also_listen == [("127.0.0.1", 3000)]
    await service.log.close()


async def test_a_name_of_the_issuer_is_enough_to_find_its_keys(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GATEWAY_SUPABASE_ISSUER", "https://x.supabase.co/auth/v1/")
    service = build_service(read_settings(Settings))
    (keys,) = [resource for resource in service.resources if isinstance(resource, PublishedKeys)]
    assert keys.url == "https://x.supabase.co/auth/v1/.well-known/jwks.json"
    await service.log.close()


async def test_settings_of_sessions_may_be_files_or_empty(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret-of-supabase\n")
    environment.setenv("GATEWAY_SUPABASE_ISSUER", "")
    environment.setenv("GATEWAY_SUPABASE_JWKS_URL", "")
    environment.setenv("GATEWAY_SUPABASE_JWT_SECRET_FILE", str(tmp_path / "secret"))
    settings = read_settings(Settings)
    assert settings.supabase_jwt_secret is not None
    assert "secret-of-supabase" not in repr(settings)
    service = build_service(settings)
    assert not [resource for resource in service.resources if isinstance(resource, PublishedKeys)]
    await service.log.close()


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("ISSUER", "x.supabase.co", "must look like https://host/path"),
        (
            "ISSUER",
            "https://x.supabase.co/auth/v1/.well-known/jwks.json",
            "must be the issuer, such as https://<ref>.supabase.co/auth/v1, not its set of keys",
        ),
        ("JWKS_URL", "https://user:secret@x.supabase.co/jwks", "must look like https://host/path"),
        ("JWKS_URL", "https://y.supabase.co/jwks", "belongs to another project than GATEWAY_SUPABASE_ISSUER"),
        (
            "JWT_SECRET",
            "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.c2VjcmV0",
            "is a token (the key `anon` or `service_role`?), not the secret that signs them",
        ),
        (
            "JWT_SECRET",
            "-----BEGIN PUBLIC KEY-----",
            "is a key of another kind: public keys are read from GATEWAY_SUPABASE_JWKS_URL",
        ),
        ("JWT_SECRET", "short", "must have at least 16 characters"),
    ],
)
def test_settings_of_sessions_that_cannot_be_meant_are_refused(
    environment: pytest.MonkeyPatch, name: str, value: str, fault: str
) -> None:
    environment.setenv("GATEWAY_SUPABASE_ISSUER", "https://x.supabase.co/auth/v1")
    environment.setenv(f"GATEWAY_SUPABASE_{name}", value)
    with pytest.raises(InvalidSettings) as invalid:
        read_settings(Settings)
    assert invalid.value.faults == [f"GATEWAY_SUPABASE_{name}: {fault}"]


def test_origins_that_are_trusted_with_sessions_need_sessions(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GATEWAY_TRUSTED_ORIGINS", "https://app.example, https://other.example")
    with pytest.raises(InvalidSettings, match="no setting of sessions"):
        read_settings(Settings)
    environment.setenv("GATEWAY_SUPABASE_ISSUER", "https://x.supabase.co/auth/v1")
    assert read_settings(Settings).trusted_origins == "https://app.example,https://other.example"
    environment.setenv("GATEWAY_TRUSTED_ORIGINS", "app.example")
    with pytest.raises(InvalidSettings, match="must be origins"):
        read_settings(Settings)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("GATEWAY_ADMIN_KEY", "short", "GATEWAY_ADMIN_KEY: must have at least 16 characters"),
        ("GATEWAY_KEY_PEPPER", "short", "GATEWAY_KEY_PEPPER: must have at least 16 characters"),
        ("GATEWAY_IDENTITY_KEY", "short", "GATEWAY_IDENTITY_KEY: must be base64"),
        ("GATEWAY_PACKAGES_URL", None, "GATEWAY_PACKAGES_URL is not set"),
        ("GATEWAY_PACKAGES_URL", "localhost:1", "GATEWAY_PACKAGES_URL: must look like http://host:port"),
        ("GATEWAY_PACKAGES_URL", "http://h:1/path", "GATEWAY_PACKAGES_URL: must look like http://host:port"),
        ("GATEWAY_KEY_TTL_SECONDS", "6", "GATEWAY_KEY_TTL_SECONDS: Input should be less than or equal to 5"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(
    environment: pytest.MonkeyPatch, name: str, value: str | None, fault: str
) -> None:
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)
    with pytest.raises(InvalidSettings) as invalid:
        read_settings(Settings)
    assert invalid.value.faults == [fault]


def test_secrets_may_be_files(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("another-secret-of-the-operator\n")
    environment.delenv("GATEWAY_ADMIN_KEY")
    environment.setenv("GATEWAY_ADMIN_KEY_FILE", str(tmp_path / "key"))
    assert read_settings(Settings).admin_key.get_secret_value() == "another-secret-of-the-operator"
