"""Secrets of AWS Secrets Manager, each a JSON object of names and texts.

Who we are there, and where "there" is, is found as all AWS tools find it: variables, profiles, the machine's role.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from pac.agentkit.providers.model import LAYER_BYTES, ProviderFailed, Unusable, named_texts

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 5, 2
DENIED_STATUS = frozenset({401, 403})
# Secrets Manager answers 400 to these. Parts of codes: `AccessDeniedException`, `ExpiredTokenException`, …
DENIED = ("AccessDenied", "UnrecognizedClient", "InvalidClientTokenId", "Signature", "Token", "Decryption")
WHO_HINT = "See `aws sts get-caller-identity`: it must name somebody who may secretsmanager:GetSecretValue."
WHERE_HINT = "Correct PIXELL_AWS_SECRETS and PIXELL_AWS_REGION, or create the secret."
AWAY_HINT = "Try again; if it stays away, check the network and PIXELL_AWS_REGION."
FORM_HINT = "Store a JSON object of names and texts in it."


@dataclass(frozen=True)
class AwsProvider:
    """`region` None: the one of the usual settings. `timeout_seconds` is for all secrets together."""

    secrets: tuple[str, ...]
    region: str | None
    timeout_seconds: float
    name: str = "aws"

    async def fetch(self) -> Mapping[str, str]:
        """The secrets in their order: a later one wins over an earlier one."""
        values: dict[str, str] = {}
        size = 0
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        try:
            async with asyncio.timeout(self.timeout_seconds):
                with self._told("its settings"):
                    client = aioboto3.Session(region_name=self.region).client("secretsmanager", config=config)
                    async with client as manager:
                        for secret in self.secrets:
                            document = await self._document(manager, secret)
                            size += len(document)
                            if size > LAYER_BYTES:
                                raise self._failed(f"its secrets are larger than {LAYER_BYTES // 1024} KiB", FORM_HINT)
                            values.update(self._read(secret, document))
        except TimeoutError:
            raise self._failed(f"no answer within {self.timeout_seconds:g} s", AWAY_HINT) from None
        return values

    async def _document(self, manager: Any, secret: str) -> str:
        with self._told(f"the secret {secret}"):
            answer = await manager.get_secret_value(SecretId=secret)
        document = answer.get("SecretString")
        if not isinstance(document, str):
            kind = "holds binary data" if "SecretBinary" in answer else "holds no text"
            raise self._failed(f"the secret {secret} {kind}", FORM_HINT)
        return document

    def _read(self, secret: str, document: str) -> dict[str, str]:
        try:
            return named_texts(document)
        except Unusable as fault:
            raise self._failed(f"the secret {secret} {fault}", FORM_HINT) from None

    def _failed(self, why: str, then: str) -> ProviderFailed:
        return ProviderFailed(self.name, why, then)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """The library's errors as ours. Its texts are left out: some quote what a server has answered."""
        try:
            yield
        except ClientError as error:
            raise self._refused(what, error) from None
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise self._failed(f"no usable AWS credentials were found ({_kind(error)})", WHO_HINT) from None
        except NoRegionError:
            raise self._failed("no AWS region is set", "Set PIXELL_AWS_REGION.") from None
        except ProfileNotFound:
            raise self._failed("there is no AWS profile of the name that AWS_PROFILE gives", WHO_HINT) from None
        except (NoConnection, HTTPClientError) as error:
            raise self._failed(f"Secrets Manager does not answer ({_kind(error)})", AWAY_HINT) from None
        except (BotoCoreError, ResponseParserError) as error:
            raise self._failed(f"{what} cannot be read ({_kind(error)})", WHERE_HINT) from None

    def _refused(self, what: str, error: ClientError) -> ProviderFailed:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(error.response.get("Error", {}).get("Code", ""))
        said = code if code.isidentifier() else f"status {status}"
        if code == "ResourceNotFoundException":
            return self._failed(f"{what} does not exist there", WHERE_HINT)
        if status in DENIED_STATUS or any(part in code for part in DENIED):
            return self._failed(f"access to {what} is denied ({said})", WHO_HINT)
        return self._failed(f"{what} cannot be had ({said})", AWAY_HINT)


def _kind(error: Exception) -> str:
    return type(error).__name__
