"""The quick look at a package file: structure, names, manifest, .env. Inflates those few entries and nothing else."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pac.agentkit.apkg.archive import Archive, read_archive, read_entry
from pac.agentkit.apkg.hygiene import ENV, hygiene_warnings
from pac.agentkit.apkg.manifest import NAME, FoundManifest, find_manifest
from pac.agentkit.apkg.model import MIB, Entry, Inspection, Limits, Problem
from pac.agentkit.apkg.names import clashes, name_problems, shown
from pac.agentkit.environment import parse_dotenv

DEFAULT_LIMITS = Limits()
ENV_MISSING = "Missing required .env file at project root"
ENV_HINT = "Create a `.env` beside agent.yaml, with placeholders or real values, and build the package again."


@dataclass(frozen=True)
class FoundEnv:
    names: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def inspect(path: Path, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """All faults the file shows without being inflated. OSError when the file cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return inspect_open(descriptor, limits)
    finally:
        os.close(descriptor)


def inspect_open(descriptor: int, limits: Limits) -> Inspection:
    """As `inspect`, on an open file; its position is not used."""
    size_bytes = os.fstat(descriptor).st_size
    archive = read_archive(descriptor, limits)
    if not archive.readable or (archive.problems and not archive.entries):
        return Inspection(size_bytes, None, None, None, (), (), archive.problems, ())
    by_name = {entry.name: entry for entry in archive.entries}

    def read(name: str) -> bytes | None:
        return read_entry(descriptor, by_name[name], max(limits.json_bytes, limits.env_bytes))

    found = find_manifest(frozenset(by_name), read, limits)
    env = _read_env(read(ENV) if ENV in by_name else None, present=ENV in by_name)
    problems = (*_archive_problems(archive, limits), *found.problems, *env.problems)
    return Inspection(
        size_bytes=size_bytes,
        manifest=found.manifest,
        name=_usable_name(found),
        version=found.manifest.version if found.manifest else None,
        entries=archive.entries,
        env_names=env.names,
        problems=limited(problems, limits),
        warnings=limited((*found.warnings, *env.warnings), limits),
    )


def check_version(inspection: Inspection, given: str | None) -> Problem | None:
    """The version a form names must be the package's own; None when it is, or when either says nothing."""
    if given is None or inspection.version is None or given == inspection.version:
        return None
    text = f"Version {shown(given)} was requested, but the package says {shown(inspection.version)}"
    hint = "Set metadata.version in agent.yaml and build the package again, or request the package's version."
    return Problem("version_mismatch", text, inspection.manifest.source if inspection.manifest else None, hint)


def limited(problems: tuple[Problem, ...], limits: Limits) -> tuple[Problem, ...]:
    """An archive made to be wrong everywhere must not make an answer of megabytes."""
    if len(problems) <= limits.problems:
        return problems
    rest = len(problems) - limits.problems
    return (*problems[: limits.problems], Problem("more_problems", f"… and {rest} more problems"))


def _usable_name(found: FoundManifest) -> str | None:
    name = found.manifest.name if found.manifest else None
    return name if name and NAME.fullmatch(name) else None


def _archive_problems(archive: Archive, limits: Limits) -> Iterator[Problem]:
    yield from archive.problems
    for entry in archive.entries:
        yield from name_problems(entry.name, limits)
        yield from _declared_size_problems(entry, limits)
    yield from clashes(entry.name for entry in archive.entries)
    if (total := sum(entry.size_bytes for entry in archive.entries)) > limits.unpacked_bytes:
        yield too_large(total, limits)


def too_large(total_bytes: int, limits: Limits) -> Problem:
    text = f"The package unpacks to {total_bytes // MIB} MiB, the limit is {limits.unpacked_bytes // MIB} MiB"
    return Problem("unpacked_too_large", text)


def ratio_problem(entry: Entry, size_bytes: int, limits: Limits) -> Problem | None:
    if size_bytes < limits.ratio_counts_from_bytes or size_bytes <= limits.ratio * max(1, entry.packed_bytes):
        return None
    text = f"{shown(entry.name)} unpacks to more than {limits.ratio} times its packed size"
    return Problem("ratio", text, shown(entry.name))


def _declared_size_problems(entry: Entry, limits: Limits) -> Iterator[Problem]:
    if problem := ratio_problem(entry, entry.size_bytes, limits):
        yield problem


def _read_env(data: bytes | None, *, present: bool) -> FoundEnv:
    if not present:
        return FoundEnv((), (Problem("env_missing", ENV_MISSING, ENV, ENV_HINT),))
    if data is None:
        return FoundEnv((), (Problem("env_unreadable", ".env is damaged or too large to be read", ENV, ENV_HINT),))
    values = parse_dotenv(data)
    if any("\0" in text for pair in values.items() for text in pair):
        text = f"{ENV} holds a NUL character, which no environment can"
        return FoundEnv((), (Problem("env_unusable", text, ENV, "Write .env as plain UTF-8 text."),))
    warnings = list(hygiene_warnings(values))
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.append(Problem("env_not_utf8", ".env is not UTF-8: some characters are replaced", ENV))
    return FoundEnv(tuple(sorted(values)), (), tuple(warnings))
