"""The bodies of an app's stored secrets: the shapes of the real client, with fields added."""

import re
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema
from pydantic.alias_generators import to_camel

from pac.contracts.api import Reply, Request
from pac.contracts.base import Moment

SECRET_NAME: Final = "[A-Z0-9_]{1,128}"  # noqa: S105 - the real client's own rule, and a bound
VALUE_MAX_BYTES: Final = 65_536
SECRETS_MAX: Final = 200
ALL_VALUES_MAX_BYTES: Final = 262_144  # of one app: they go to a runtime in one request, beside the request's own
_NAME = re.compile(SECRET_NAME)


def _named(values: Any) -> Any:
    """Before anything else is said of them: what is no name may be a value in the wrong place, and is not repeated."""
    if isinstance(values, dict) and not all(isinstance(name, str) and _NAME.fullmatch(name) for name in values):
        raise ValueError("Names have 1 to 128 characters out of A-Z, 0-9 and _")
    return values


def _usable(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if "\0" in text:
        raise ValueError("A value cannot hold the character NUL")
    if len(text.encode()) > VALUE_MAX_BYTES:
        raise ValueError(f"A value has at most {VALUE_MAX_BYTES} bytes")
    return value


SecretValue = Annotated[
    SecretStr, AfterValidator(_usable), WithJsonSchema({"type": "string", "maxLength": VALUE_MAX_BYTES})
]
SecretValues = Annotated[
    dict[str, SecretValue],
    Field(max_length=SECRETS_MAX, json_schema_extra={"propertyNames": {"pattern": f"^{SECRET_NAME}$"}}),
    BeforeValidator(_named),
]


class SetSecrets(Request):
    """All secrets of the app: what is not named is deleted."""

    secrets: SecretValues


class PutSecret(Request):
    value: SecretValue


class RestoreSecrets(Request):
    """`key`: that secret alone; all of them if it is left out."""

    version: Annotated[int, Field(ge=0)]
    key: Annotated[str, Field(pattern=f"^{SECRET_NAME}$")] | None = None


class SecretView(Reply):
    """`version`: of the app's secrets, at which this one got its value. `set_by`: an opaque id."""

    key: str
    version: int
    set_by: str
    set_at: Moment


class SecretsReply(Reply):
    """`version` counts the changes of the app's secrets, from 0."""

    secrets: dict[str, str]
    version: int
    keys: tuple[SecretView, ...]


class _Saved(Reply):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)
    success: Literal[True] = True
    version: int


class SecretsSavedReply(_Saved):
    secret_count: int


class SecretSavedReply(_Saved):
    key: str


class SecretsDeletedReply(_Saved):
    """Of all of them."""


class SecretsVersionView(Reply):
    """`names`: of those that it changed."""

    version: int
    at: Moment
    by: str
    names: tuple[str, ...]


class SecretsVersionsReply(Reply):
    """The newest first; `oldest` is the first of those that can still be restored."""

    versions: tuple[SecretsVersionView, ...]
    oldest: int


class StoredLayersReply(Reply):
    """What runtime-notifier knows of an app's environment: names only. The gateway explains it with what others know.

    `environment_of`: the deployment whose request brought the values of `request`. Without a current release the ids
    are null.
    """

    is_given: bool
    deployment_id: UUID | None
    package_id: UUID | None
    environment_of: UUID | None
    request: tuple[str, ...]
    secrets_version: int
    stored: tuple[SecretView, ...]
