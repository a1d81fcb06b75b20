"""Providers give names and values, or say plainly why they cannot."""

import json
import traceback

import pytest

from pac.agentkit.providers import BrokenProvider, ProviderFailed, provider_from

SAYS = "The secrets provider"


async def failure(environ: dict[str, str]) -> str:
    with pytest.raises(ProviderFailed) as caught:
        await provider_from(environ, {}).fetch()
    assert "hidden" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("environ", [{"PATH": "/bin"}, {"PIXELL_SECRETS_PROVIDER": " None "}])
async def test_none_is_asked_for(environ: dict[str, str]) -> None:
    assert await provider_from(environ, {"A": "1"}).fetch() == {}


@pytest.mark.parametrize("chosen", [{"PIXELL_SECRETS_PROVIDER": "static"}, {}])
async def test_static_reads_its_json(chosen: dict[str, str]) -> None:
    text = '{"OPENAI_API_KEY": "runtime", "PORT": 5, "DEBUG": true, "RATE": 1.50, "NONE": NaN}'
    provider = provider_from({**chosen, "PIXELL_SECRETS_JSON": text}, {})
    assert provider.name == "static"
    assert await provider.fetch() == {
        "OPENAI_API_KEY": "runtime",
        "PORT": "5",
        "DEBUG": "true",
        "RATE": "1.50",
        "NONE": "NaN",
    }
    assert "runtime" not in repr(provider)


HINT = "Set PIXELL_SECRETS_JSON to a JSON object of names and texts."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{hidden", "PIXELL_SECRETS_JSON is not JSON"),
        ("[" * 100_000, "PIXELL_SECRETS_JSON is not JSON"),
        ('["hidden"]', "PIXELL_SECRETS_JSON is not a JSON object"),
        ('"hidden"', "PIXELL_SECRETS_JSON is not a JSON object"),
        ('{"A": ["hidden"]}', "PIXELL_SECRETS_JSON gives A a value that is neither text nor a number"),
        ('{"A": null}', "PIXELL_SECRETS_JSON gives A a value that is neither text nor a number"),
        (json.dumps({"A": "hidden" * 50_000}), "PIXELL_SECRETS_JSON is larger than 256 KiB"),
        ("", "PIXELL_SECRETS_JSON is not set"),
    ],
)
async def test_static_that_is_wrong_says_so_and_shows_nothing(text: str, said: str) -> None:
    told = await failure({"PIXELL_SECRETS_PROVIDER": "static", "PIXELL_SECRETS_JSON": text})
    assert told == f"{SAYS} static gave nothing: {said}. {HINT}"


async def test_env_hands_on_what_is_offered_and_shows_no_value() -> None:
    environ = {"PIXELL_SECRETS_PROVIDER": "env", "APP_KEY": "hidden", "GATEWAY_KEY_PEPPER": "2"}
    provider = provider_from(environ, {"APP_KEY": "hidden"})
    assert (provider.name, await provider.fetch()) == ("env", {"APP_KEY": "hidden"})
    assert "hidden" not in repr(provider)


async def test_aws_must_be_told_which_secrets() -> None:
    told = await failure({"PIXELL_SECRETS_PROVIDER": "aws", "PIXELL_AWS_SECRETS": " , "})
    assert told == (
        f"{SAYS} aws gave nothing: PIXELL_AWS_SECRETS is not set. "
        "Set PIXELL_AWS_SECRETS to names or ARNs of secrets, separated by commas."
    )


async def test_an_unknown_provider_is_named() -> None:
    provider = provider_from({"PIXELL_SECRETS_PROVIDER": "vault"}, {})
    assert isinstance(provider, BrokenProvider)
    told = await failure({"PIXELL_SECRETS_PROVIDER": "vault"})
    assert told.startswith(f"{SAYS} 'vault' gave nothing: there is no provider of this name. Set PIXELL_")
