"""Facts published by packages.

On `submission-<deployment>` what concerns a deployment, on `package-<id>` the rest of a package, on `signers-<app>` who
may sign.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event, Line, SealedEnvironment, Sha256, Shared, Source, Step


class Problem(Shared):
    """One fault of a package. `message` is what people read; never a value out of the package's `.env`."""

    code: str
    message: Line
    entry: Line | None = None
    hint: Line | None = None


class PackageUploaded(Event):
    type: Literal["PackageUploaded"] = "PackageUploaded"
    package_id: UUID
    agent_app_id: UUID
    package_version: str
    sha256: Sha256
    size_bytes: int
    object_key: str
    signed_by: str | None = None  # fingerprint of the app's key that its signature was verified with
    signing_key: str | None = None  # of the key or subkey of it that has signed


class PackageSuperseded(Event):
    type: Literal["PackageSuperseded"] = "PackageSuperseded"
    package_id: UUID
    agent_app_id: UUID
    by_package_id: UUID


class PackageDeleted(Event):
    type: Literal["PackageDeleted"] = "PackageDeleted"
    package_id: UUID
    agent_app_id: UUID


class SigningKeysChanged(Event):
    """From now on these keys and no others sign the app's packages; each is named by its OpenPGP fingerprint."""

    type: Literal["SigningKeysChanged"] = "SigningKeysChanged"
    agent_app_id: UUID
    fingerprints: tuple[str, ...]


class PackageSubmitted(Event):
    """A deploy was accepted: its bytes are durable and its version is claimed."""

    type: Literal["PackageSubmitted"] = "PackageSubmitted"
    deployment_id: UUID
    package_id: UUID
    agent_app_id: UUID
    package_version: str
    sha256: Sha256
    size_bytes: int
    object_key: str
    source: Source
    billable: bool = True
    no: int  # counted per app under the app's lock: the order of submissions
    done: tuple[Step, ...] = ()  # steps that this package has behind it already
    environment: SealedEnvironment | None = None
    force_overwrite: bool = False
    retry_of: UUID | None = None
    signed_by: str | None = None  # as of PackageUploaded
    signing_key: str | None = None


class PackageValidated(Event):
    type: Literal["PackageValidated"] = "PackageValidated"
    deployment_id: UUID
    package_id: UUID
    step: Literal[Step.VALIDATE_PACKAGE] = Step.VALIDATE_PACKAGE
    attempt: int


class PackageRejected(Event):
    """The package is bad, for this and every later attempt."""

    type: Literal["PackageRejected"] = "PackageRejected"
    deployment_id: UUID
    package_id: UUID
    step: Literal[Step.VALIDATE_PACKAGE] = Step.VALIDATE_PACKAGE
    attempt: int
    problems: tuple[Problem, ...]


class PackageStored(Event):
    type: Literal["PackageStored"] = "PackageStored"
    deployment_id: UUID
    package_id: UUID
    step: Literal[Step.UPLOAD_TO_S3] = Step.UPLOAD_TO_S3
    attempt: int
    object_key: str


class PackageDescribed(Event):
    type: Literal["PackageDescribed"] = "PackageDescribed"
    deployment_id: UUID
    package_id: UUID
    step: Literal[Step.GENERATE_METADATA] = Step.GENERATE_METADATA
    attempt: int


class PackageWithdrawn(Event):
    """The submission is closed; `freed`: its version may be claimed again."""

    type: Literal["PackageWithdrawn"] = "PackageWithdrawn"
    deployment_id: UUID
    package_id: UUID
    freed: bool


SubmissionEvent = Annotated[
    PackageSubmitted | PackageValidated | PackageRejected | PackageStored | PackageDescribed | PackageWithdrawn,
    Field(discriminator="type"),
]
PackageEvent = Annotated[
    PackageUploaded
    | PackageSuperseded
    | PackageDeleted
    | SigningKeysChanged
    | PackageSubmitted
    | PackageValidated
    | PackageRejected
    | PackageStored
    | PackageDescribed
    | PackageWithdrawn,
    Field(discriminator="type"),
]
