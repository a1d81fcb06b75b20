"""The quick look at a package file: structure, names, manifest, .env. Inflates those few entries and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

from pac.agentkit.apkg.archive import read_archive, read_entry
from pac.agentkit.apkg.env import environment_warnings, find_env
from pac.agentkit.apkg.findings import Findings
from pac.agentkit.apkg.manifest import NAME, FoundManifest, ReadBytes, find_manifest
from pac.agentkit.apkg.model import MIB, Entry, Inspection, Limits, Problem
from pac.agentkit.apkg.names import clashes, is_within_bounds, name_problems, shown, too_many_folders
from pac.agentkit.apkg.requirements import REQUIREMENTS, declared

DEFAULT_LIMITS = Limits()


def inspect(path: Path, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """All faults the file shows without being inflated. OSError when the file cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return inspect_open(descriptor, Findings(limits))
    finally:
        os.close(descriptor)


def inspect_open(descriptor: int, findings: Findings) -> Inspection:
    """As `inspect`, on an open file, whose position is not used; adds to the findings."""
    limits = findings.limits
    size_bytes = os.fstat(descriptor).st_size
    entries = read_archive(descriptor, limits, findings)
    if entries is None or "too_many_entries" in findings.codes:
        return Inspection(size_bytes, None, None, None, (), (), (), findings.told(), ())
    by_name = {entry.name: entry for entry in entries}

    def read(name: str) -> bytes | None:
        return read_entry(descriptor, by_name[name], limits.readable_bytes)

    findings.extend(_entry_problems(entries, limits))
    names = frozenset(by_name)
    found, env = find_manifest(names, read, limits), find_env(names, read, limits)
    asked = declared(_requirements(names, read, limits), found.manifest, limits)
    warnings = Findings(limits)
    for part in (found, env):
        findings.extend(part.problems)
        warnings.extend(part.warnings)
    warnings.extend(asked.warnings)
    if found.manifest is not None:
        warnings.extend(environment_warnings(found.manifest.environment, found.manifest.source))
    return Inspection(
        size_bytes=size_bytes,
        manifest=found.manifest,
        name=_usable_name(found),
        version=found.manifest.version if found.manifest else None,
        entries=entries,
        env_names=env.names,
        dependencies=asked.dependencies,
        problems=findings.told(),
        warnings=warnings.told(),
    )


def check_version(inspection: Inspection, given: str | None) -> Problem | None:
    """The version a form names must be the package's own; None when it is, or when either says nothing."""
    if given is None or inspection.version is None or given == inspection.version:
        return None
    text = f"Version {shown(given)} was requested, but the package says {shown(inspection.version)}"
    hint = "Set metadata.version in agent.yaml and build the package again, or request the package's version."
    return Problem("version_mismatch", text, inspection.manifest.source if inspection.manifest else None, hint)


def _requirements(names: frozenset[str], read: ReadBytes, limits: Limits) -> bytes | None:
    """None where there are none; empty where they are damaged, which the whole look tells, or too long to be real."""
    if REQUIREMENTS not in names:
        return None
    data = read(REQUIREMENTS)
    return data if data is not None and len(data) <= limits.requirements_bytes else b""


def _usable_name(found: FoundManifest) -> str | None:
    name = found.manifest.name if found.manifest else None
    return name if name and NAME.fullmatch(name) else None


def _entry_problems(entries: tuple[Entry, ...], limits: Limits) -> Iterator[Problem]:
    for entry in entries:
        yield from name_problems(entry.name, limits)
        if problem := ratio_problem(entry, limits):
            yield problem
    names = [entry.name for entry in entries if is_within_bounds(entry.name, limits)]
    yield from clashes(names)
    if problem := too_many_folders(names, limits):
        yield problem
    if (total := sum(entry.size_bytes for entry in entries)) > limits.unpacked_bytes:
        yield too_large(total, limits)


def too_large(total_bytes: int, limits: Limits) -> Problem:
    text = f"The package unpacks to {total_bytes // MIB} MiB, the limit is {limits.unpacked_bytes // MIB} MiB"
    return Problem("unpacked_too_large", text)


def ratio_problem(entry: Entry, limits: Limits) -> Problem | None:
    """By the declared sizes: what unpacks to more than it declares is refused for that."""
    if entry.size_bytes < limits.ratio_counts_from_bytes or entry.size_bytes <= limits.ratio * entry.packed_bytes:
        return None
    text = f"{shown(entry.name)} unpacks to more than {limits.ratio} times its packed size"
    return Problem("ratio", text, shown(entry.name))
