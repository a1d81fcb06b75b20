"""The erasable tables of schema `state`; each is written in the transaction of the event that says so."""

from sqlalchemy import ARRAY, Boolean, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, Uuid

_METADATA = MetaData(schema="state")

accounts = Table(
    "accounts",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("suspended_at", DateTime(timezone=True)),
)

members = Table(
    "members",
    _METADATA,
    Column("account_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("role", Text),
    Column("created_at", DateTime(timezone=True)),
)

agent_apps = Table(
    "agent_apps",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("name", Text),
    Column("signature_policy", Text),
    Column("runtime", Text),
    Column("deploy_policy", Text),
    Column("created_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    Column("current_release", Integer),  # 0: none yet
    Column("current_deployment_id", Uuid),
    Column("current_package_id", Uuid),
    Column("current_version", Text),
    Column("pinned", Boolean),
    Column("stopped_release", Integer),  # nothing up to it shall run
)

api_keys = Table(
    "api_keys",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("name", Text),
    Column("hash", LargeBinary),
    Column("last4", Text),
    Column("scopes", ARRAY(Text)),
    Column("created_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)
