"""The tables of packages: all in schema `state`, changed in their event's transaction under the lock `app-<id>`."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

STATE = MetaData(schema="state")

apps = Table(
    "apps",
    STATE,
    Column("app_id", Uuid, primary_key=True),
    Column("no", BigInteger),
    Column("deleted", Boolean),
    Column("current_release", Integer),
    Column("current_package_id", Uuid),
    Column("current_deployment_id", Uuid),
)
packages = Table(
    "packages",
    STATE,
    Column("package_id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("app_id", Uuid),
    Column("version", Text),
    Column("sha256", Text),
    Column("size_bytes", BigInteger),
    Column("object_key", Text),  # the content address: where the bytes are once `done` holds upload_to_s3
    Column("staging_key", Text),  # where they are until then
    Column("status", Text),
    Column("kept", Boolean),  # a plain upload, or a deployment of it completed once
    Column("done", ARRAY(Text)),
    Column("created_at", DateTime(timezone=True)),
    Column("signature", Text),
    Column("manifest", JSONB(none_as_null=True)),
    Column("metadata", JSONB(none_as_null=True)),
    Column("warnings", JSONB),
    Column("problems", JSONB(none_as_null=True)),
    Column("superseded_by", Uuid),
    Column("withdrawn_at", DateTime(timezone=True)),
)
versions = Table(
    "versions",
    STATE,
    Column("app_id", Uuid, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("package_id", Uuid),
    Column("beside_id", Uuid),
)
submissions = Table(
    "submissions",
    STATE,
    Column("deployment_id", Uuid, primary_key=True),
    Column("package_id", Uuid),
    Column("account_id", Uuid),
    Column("app_id", Uuid),
    Column("version", Text),
    Column("no", BigInteger),
    Column("source", Text),
    Column("open", Boolean),
    Column("decision", Text),
    Column("required", BigInteger),
    Column("available", BigInteger),
    Column("done", ARRAY(Text)),
    Column("jobs", ARRAY(Text)),
    Column("sealed_key", Text),
    Column("queued_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("release", Integer),  # of one that became current
)
release_notes = Table(
    "release_notes",
    STATE,
    Column("package_id", Uuid, primary_key=True),
    Column("account_id", Uuid),
    Column("notes", Text),
)
leftovers = Table(
    "leftovers",
    STATE,
    Column("key", Text, primary_key=True),
    Column("noted_at", DateTime(timezone=True)),
)
