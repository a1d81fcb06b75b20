"""The provider `aws` against a server of that API, and against servers that do not behave."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from pac.agentkit.build import write_package
from pac.agentkit.providers import ProviderFailed, SecretsProvider, provider_from
from pac.cli.local.ports import free_port
from pac.testkit.eventually import eventually

REGION = "eu-central-1"
OURS = {"AWS_ACCESS_KEY_ID": "AKIAOURS", "AWS_SECRET_ACCESS_KEY": "hidden-key-of-ours"}
STATEMENT = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
ALLOWED = {"Version": "2012-10-17", "Statement": [STATEMENT]}
TELLS = "import os\n\ndef handler():\n    return dict(os.environ)\n"


@dataclass(frozen=True)
class Aws:
    """A server of the API, and what a process finds in its environment to talk to it."""

    url: str

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            **OURS,
            **more,
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service, region_name=REGION, endpoint_url=self.url, aws_access_key_id="x", aws_secret_access_key="x"
        )

    def put(self, name: str, text: str | bytes) -> str:
        kind = {"SecretString": text} if isinstance(text, str) else {"SecretBinary": text}
        arn: str = self.client("secretsmanager").create_secret(Name=name, **kind)["ARN"]
        return arn


@asynccontextmanager
async def moto(folder: Path, **environ: str) -> AsyncIterator[Aws]:
    """A process of its own. It authorizes nobody until INITIAL_NO_AUTH_ACTION_COUNT calls were made."""
    port = free_port()
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - quick, and the test waits for it anyway
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/bin", **environ},
        )
    try:
        await eventually(lambda: _answers(port), seconds=30)
        yield Aws(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


async def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True
    return False


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of this process, which the library reads for itself, without what may be set here."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def provider(
    clean: pytest.MonkeyPatch, server: Aws, secrets: str, *, region: str = REGION, seconds: float = 20, **more: str
) -> SecretsProvider:
    for name, value in server.environ(**more).items():
        clean.setenv(name, value)
    environ = {"PIXELL_SECRETS_PROVIDER": "AWS", "PIXELL_AWS_SECRETS": secrets, "PIXELL_AWS_REGION": region}
    return provider_from(environ, {}, seconds)


async def failure(asked: SecretsProvider) -> str:
    with pytest.raises(ProviderFailed) as caught:
        await asked.fetch()
    told = str(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hidden" not in shown + repr(asked), "an error of the library may quote an answer"
    assert re.fullmatch(r"The secrets provider aws gave nothing: [^\n]+\. [A-Z][^\n]+\.", told)
    return told


async def test_secrets_are_merged_in_their_order(aws: Aws, clean: pytest.MonkeyPatch) -> None:
    aws.put("order/app", json.dumps({"OPENAI_API_KEY": "hidden-1", "DB_PORT": 5432, "DEBUG": False}))
    arn = aws.put("order/shared", json.dumps({"OPENAI_API_KEY": "hidden-2"}))
    asked = provider(clean, aws, f" order/app ,{arn},")
    assert await asked.fetch() == {"OPENAI_API_KEY": "hidden-2", "DB_PORT": "5432", "DEBUG": "false"}
    assert asked.name == "aws"
    assert "hidden" not in repr(asked)


async def test_a_change_is_seen_at_the_next_start(aws: Aws, clean: pytest.MonkeyPatch) -> None:
    aws.put("changes", '{"A": "1"}')
    asked = provider(clean, aws, "changes")
    assert await asked.fetch() == {"A": "1"}
    aws.client("secretsmanager").put_secret_value(SecretId="changes", SecretString='{"A": "2"}')
    assert await asked.fetch() == {"A": "2"}


async def test_a_secret_that_does_not_exist_is_named(aws: Aws, clean: pytest.MonkeyPatch) -> None:
    aws.put("exists", '{"A": "1"}')
    told = await failure(provider(clean, aws, "exists,my/none"))
    assert "the secret my/none does not exist there. Correct PIXELL_AWS_SECRETS and PIXELL_AWS_REGION" in told


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken", '{"A": "hidden', "is not JSON"),
        ("list", '["hidden"]', "is not a JSON object"),
        ("plain", "hidden", "is not JSON"),
        ("nested", '{"A": {"B": "hidden"}}', "gives A a value that is neither text nor a number"),
        ("binary", b'{"A": "hidden"}', "holds binary data"),
    ],
)
async def test_a_secret_of_another_form_is_named(
    name: str, content: str | bytes, said: str, aws: Aws, clean: pytest.MonkeyPatch
) -> None:
    aws.put(name, content)
    told = await failure(provider(clean, aws, name))
    assert f"the secret {name} {said}. Store a JSON object of names and texts in it." in told


async def test_secrets_too_large_for_a_process_are_refused(aws: Aws, clean: pytest.MonkeyPatch) -> None:
    names = [f"large-{number}" for number in range(5)]
    for name in names:
        aws.put(name, json.dumps({name: "hidden" * 10_000}))
    assert "its secrets are larger than 256 KiB" in await failure(provider(clean, aws, ",".join(names)))
    assert len(await provider(clean, aws, ",".join(names[:4])).fetch()) == 4


async def test_access_is_denied_without_a_policy_and_given_with_one(tmp_path: Path, clean: pytest.MonkeyPatch) -> None:
    async with moto(tmp_path, INITIAL_NO_AUTH_ACTION_COUNT="4") as guarded:
        guarded.put("app", '{"A": "hidden"}')
        users = guarded.client("iam")
        users.create_user(UserName="agent")
        key = users.create_access_key(UserName="agent")["AccessKey"]
        credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        users.put_user_policy(UserName="agent", PolicyName="reads", PolicyDocument=json.dumps(ALLOWED))
        stranger = await failure(provider(clean, guarded, "app"))
        assert "access to the secret app is denied (" in stranger
        assert "See `aws sts get-caller-identity`" in stranger
        assert await provider(clean, guarded, "app", **credentials).fetch() == {"A": "hidden"}
        wrong = await failure(provider(clean, guarded, "app", **{**credentials, "AWS_SECRET_ACCESS_KEY": "hidden"}))
        assert "access to the secret app is denied (" in wrong


async def test_no_credentials_and_no_region_are_told(aws: Aws, clean: pytest.MonkeyPatch) -> None:
    asked = provider(clean, aws, "x", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert "no usable AWS credentials were found (NoCredentialsError)" in await failure(asked)
    assert "no AWS region is set. Set PIXELL_AWS_REGION." in await failure(provider(clean, aws, "x", region=""))
    unknown = provider(clean, aws, "x", AWS_PROFILE="nobody")
    assert "there is no AWS profile of the name that AWS_PROFILE gives" in await failure(unknown)


async def test_the_region_of_the_usual_settings_counts_where_ours_is_not_set(
    aws: Aws, clean: pytest.MonkeyPatch
) -> None:
    aws.put("regional", '{"A": "1"}')
    assert await provider(clean, aws, "regional", region="", AWS_DEFAULT_REGION=REGION).fetch() == {"A": "1"}


async def test_a_server_that_is_away_is_told_in_time(clean: pytest.MonkeyPatch) -> None:
    away = Aws(f"http://127.0.0.1:{free_port()}")
    async with asyncio.timeout(15):
        told = await failure(provider(clean, away, "app"))
    assert "Secrets Manager does not answer (EndpointConnectionError). Try again" in told


@asynccontextmanager
async def answering(*pieces: bytes, pause_seconds: float = 0) -> AsyncIterator[Aws]:
    """A server that says the same to everybody, piece by piece, and then nothing more."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
            await reader.read()  # until the client goes
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Aws(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()


async def test_a_server_that_never_answers_is_given_up(clean: pytest.MonkeyPatch) -> None:
    async with answering() as silent:
        told = await failure(provider(clean, silent, "app", seconds=0.5))
    assert "no answer within 0.5 s. Try again" in told


async def test_a_server_that_drips_is_given_up(clean: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    async with answering(head, *[b'{"SecretString": "hidden'] * 100, pause_seconds=0.05) as dripping:
        told = await failure(provider(clean, dripping, "app", seconds=0.5))
    assert "no answer within 0.5 s. Try again" in told


def http(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("200 OK", "<html>hidden</html>"), "the secret app holds no text"),
        (http("200 OK", '{"SecretString": 5}'), "the secret app holds no text"),
        (http("503 Service Unavailable", "<html>hidden</html>"), "the secret app cannot be had (status 503)"),
        (
            http("400 Bad Request", '{"__type": "InvalidRequestException", "message": "hidden"}'),
            "the secret app cannot be had (InvalidRequestException)",
        ),
        (
            http("400 Bad Request", '{"__type": "ExpiredTokenException", "message": "hidden"}'),
            "access to the secret app is denied (ExpiredTokenException)",
        ),
        (http("400 Bad Request", '{"__type": "hidden <b>", "message": ""}'), "cannot be had (status 400)"),
        (b"hidden\r\n\r\n", "Secrets Manager does not answer ("),
    ],
)
async def test_no_answer_of_a_server_is_quoted(answer: bytes, said: str, clean: pytest.MonkeyPatch) -> None:
    async with answering(answer) as odd:
        assert said in await failure(provider(clean, odd, "app"))


async def test_an_agent_is_started_with_its_secrets_or_not_at_all(
    aws: Aws, start_runtime: Any, packages: Any, make_folder: Any
) -> None:
    aws.put("runtime/app", '{"TOKEN": "hidden-token"}')
    chosen = {"PIXELL_SECRETS_PROVIDER": "aws", "PIXELL_AWS_SECRETS": "runtime/app", "PIXELL_AWS_REGION": REGION}
    runtime = await start_runtime({**aws.environ(), **chosen})
    folder = make_folder(main=TELLS, env="TOKEN=placeholder\n")
    package = packages.put("/p.apkg", write_package(folder, folder.with_suffix(".apkg")).read_bytes())
    await runtime.deploy("d-1", package)
    assert (await runtime.settled("d-1"))["healthy"], await runtime.health("d-1")
    seen = (await runtime.invoke("d-1"))["response"]
    assert seen["TOKEN"] == "hidden-token"
    assert not [name for name in seen if name.startswith(("AWS_", "PIXELL_"))], "who we are there is not for agents"
    aws.client("secretsmanager").delete_secret(SecretId="runtime/app", ForceDeleteWithoutRecovery=True)
    await runtime.deploy("d-2", package)
    failed = await runtime.settled("d-2")
    assert failed["message"] == (
        "The agent is not started: The secrets provider aws gave nothing: the secret runtime/app does not exist there. "
        "Correct PIXELL_AWS_SECRETS and PIXELL_AWS_REGION, or create the secret."
    )
    assert (await runtime.health("d-1"))["healthy"], "the one before goes on"
    assert "hidden" not in runtime.log.read_text()
