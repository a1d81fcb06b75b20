"""What a check of a package says: frozen values that travel between processes and hold no secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a package may be; sizes in bytes, `ratio` is unpacked : packed."""

    entries: int = 10_000
    folders: int = 10_000  # that unpacking would make
    unpacked_bytes: int = 512 * MIB
    ratio: int = 200
    ratio_counts_from_bytes: int = MIB  # below it a file of blanks is no bomb
    directory_bytes: int = 4 * MIB
    name_bytes: int = 1024
    depth: int = 64
    extra_bytes: int = 1024  # of one entry's header; times and owners take a few dozen
    archive_depth: int = 3  # a package in which an archive holds another one is 3 deep
    archive_bytes: int = 128 * MIB  # of an archive inside a package
    json_bytes: int = 256 * 1024
    yaml_bytes: int = 64 * 1024
    env_bytes: int = 128 * 1024
    requirements_bytes: int = 64 * 1024
    dependencies: int = 1000
    problems: int = 200
    problems_per_code: int = 20

    @property
    def readable_bytes(self) -> int:
        """The largest entry that is read whole."""
        return max(self.json_bytes, self.yaml_bytes, self.env_bytes)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault (or warning): a stable code, one sentence, the entry it is about and how to mend it."""

    code: str
    message: str
    entry: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the archive declares it; `data_offset` is where its bytes begin in the file."""

    name: str
    size_bytes: int
    packed_bytes: int
    crc32: int
    deflated: bool
    data_offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the package says about itself. `version` is the package's, `schema_version` the manifest format's."""

    source: str
    name: str | None
    version: str | None
    schema_version: str | None
    entrypoint: str | None
    runtime: str | None
    display_name: str | None = None
    description: str | None = None
    author: str | None = None
    license: str | None = None
    homepage: str | None = None
    repository: str | None = None
    capabilities: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A library that the package asks for. `version` only where exactly one will do."""

    name: str
    specifier: str = ""
    version: str | None = None
    extras: tuple[str, ...] = ()
    marker: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """The quick look. `name` and `version` are None when the manifest does not give a usable one."""

    size_bytes: int
    manifest: Manifest | None
    name: str | None
    version: str | None
    entries: tuple[Entry, ...]
    env_names: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def accepted(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class PackagedFile:
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole look: every byte inflated and counted. `problems` holds the inspection's as well."""

    inspection: Inspection
    files: tuple[PackagedFile, ...]
    unpacked_bytes: int
    problems: tuple[Problem, ...]

    @property
    def accepted(self) -> bool:
        return not self.problems
