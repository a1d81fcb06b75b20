"""The tables of packages: all in schema `state`, changed in their event's transaction under the lock `app-<id>`."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

STATE = MetaData(schema="state")

apps = Table(
    "apps",
    STATE,
    Column("app_id", Uuid, primary_key=True),
    Column("no", BigInteger),
    Column("deleted", Boolean),
    Column("deleted_at", DateTime(timezone=True)),
    Column("current_release", Integer),
    Column("current_package_id", Uuid),
    Column("current_deployment_id", Uuid),
    Column("stopped_release", Integer),  # nothing up to it runs
    Column("signature_policy", Text),  # as last heard; a request for the app brings the gateway's own word
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
    Column("signed_by", Text),  # fingerprint of the app's key that its signature was verified with
    Column("signing_key", Text),  # of the key or subkey of it that has signed
    Column("manifest", JSONB(none_as_null=True)),
    Column("metadata", JSONB(none_as_null=True)),
    Column("warnings", JSONB),
    Column("problems", JSONB(none_as_null=True)),
    Column("superseded_by", Uuid),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    Column("collected_at", DateTime(timezone=True)),  # its bytes are not kept for it any more
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
signing_keys = Table(
    "signing_keys",
    STATE,
    Column("app_id", Uuid, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    Column("account_id", Uuid),
    Column("certificate", LargeBinary),
    Column("user_ids", ARRAY(Text)),
    Column("created_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("signing", JSONB),
    Column("added_at", DateTime(timezone=True)),
)
promotions = Table(
    "promotions",
    STATE,
    Column("id", Uuid, primary_key=True),
    Column("key", Text),
    Column("noted_at", DateTime(timezone=True)),
)
collecting = Table(
    "collecting",
    STATE,
    Column("key", Text, primary_key=True),
    Column("holder", Uuid),
    Column("leased_until", DateTime(timezone=True)),
)
leftovers = Table(
    "leftovers",
    STATE,
    Column("key", Text, primary_key=True),
    Column("noted_at", DateTime(timezone=True)),
)
