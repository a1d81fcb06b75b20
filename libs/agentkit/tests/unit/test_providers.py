"""Providers give names and values, or say plainly why they cannot."""

import pytest

from pac.agentkit.providers import ProviderFailed, provider_from


def test_none_is_asked_for() -> None:
    assert provider_from({"PATH": "/bin"}).fetch() == {}


@pytest.mark.parametrize("chosen", [{"PIXELL_SECRETS_PROVIDER": "static"}, {}])
def test_static_reads_its_json(chosen: dict[str, str]) -> None:
    text = '{"OPENAI_API_KEY": "runtime", "PORT": 5, "DEBUG": true, "RATE": 0.5}'
    provider = provider_from({**chosen, "PIXELL_SECRETS_JSON": text})
    assert provider.name == "static"
    assert provider.fetch() == {"OPENAI_API_KEY": "runtime", "PORT": "5", "DEBUG": "true", "RATE": "0.5"}
    assert "runtime" not in repr(provider)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{hidden", "PIXELL_SECRETS_JSON is not JSON"),
        ('["hidden"]', "PIXELL_SECRETS_JSON is not a JSON object"),
        ('{"A": ["hidden"]}', "PIXELL_SECRETS_JSON: the value of A is neither text nor a number"),
        ("", "PIXELL_SECRETS_PROVIDER is static, but PIXELL_SECRETS_JSON is not set"),
    ],
)
def test_static_that_is_wrong_says_so_and_shows_nothing(text: str, said: str) -> None:
    provider = provider_from({"PIXELL_SECRETS_PROVIDER": "static", "PIXELL_SECRETS_JSON": text})
    with pytest.raises(ProviderFailed) as caught:
        provider.fetch()
    assert str(caught.value) == said


def test_env_hands_on_what_the_operator_named() -> None:
    environ = {"PIXELL_SECRETS_PROVIDER": "env", "APP_KEY": "1", "GATEWAY_KEY_PEPPER": "2"}
    assert provider_from(environ, ("APP_*",)).fetch() == {"APP_KEY": "1"}


@pytest.mark.parametrize(
    ("name", "said"), [("aws", "aws is not supported yet"), ("vault", "Unknown secrets provider 'vault'")]
)
def test_others_are_named_in_the_error(name: str, said: str) -> None:
    with pytest.raises(ProviderFailed, match=said):
        provider_from({"PIXELL_SECRETS_PROVIDER": name}).fetch()
