"""Who calls: what the gateway found out, signed, for the one service that a request is forwarded to."""

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

IDENTITY_HEADER = "PAC-Identity"
REQUEST_ID_HEADER = "X-Request-Id"


class Scope(StrEnum):
    DEPLOY = "deploy"
    READ = "read"
    SECRETS = "secrets"
    ADMIN = "admin"


class AppClaim(BaseModel):
    """The agent app of the path, as the gateway knows it at this moment."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: UUID
    signature_policy: Literal["off", "optional", "required"] = "optional"
    deploy_policy: Literal["manual", "on_secrets"] = "manual"


class Caller(BaseModel):
    """`actor` is opaque: `key-<id>`, `user-<id>`, `operator` or `anyone`. The last two have no account."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    actor: str
    account_id: UUID | None = None
    scopes: frozenset[Scope] = frozenset()
    app: AppClaim | None = None
    request_id: str = ""
    operator: bool = False
