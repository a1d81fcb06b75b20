"""What a package declares that it needs: requirements.txt, else its manifest's dependencies. Never a credential."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pac.agentkit.apkg.model import Dependency, Limits, Manifest, Problem

REQUIREMENTS = "requirements.txt"
COMMENT = re.compile(r"(?:^|\s)#.*$")
OPTION_OF_A_LINE = re.compile(r"\s--(?:hash|config-settings|global-option).*$")
CREDENTIALS = re.compile(r"(?<=://)[^\s/@]*@")
QUERY = re.compile(r"[?#]\S*$")
PINNED = re.compile(r"={2,3}\s*([^*,\s]+)")


@dataclass(frozen=True)
class Declared:
    dependencies: tuple[Dependency, ...] = ()
    warnings: tuple[Problem, ...] = ()


def declared(requirements: bytes | None, manifest: Manifest | None, limits: Limits) -> Declared:
    """By name, in the order they are given. Lines that cannot be read are warned of by their numbers."""
    if requirements is None:
        lines, where = (
            dict(enumerate(manifest.dependencies, 1)) if manifest else {},
            manifest.source if manifest else "",
        )
    else:
        lines, where = _lines(requirements.decode("utf-8-sig", "replace")), REQUIREMENTS
    found: list[Dependency] = []
    warnings: list[Problem] = []
    for number, line in lines.items():
        if CREDENTIALS.search(line):
            text = f"{where}: requirement {number} carries credentials in its address"
            warnings.append(Problem("secret_like_value", text, where, "Give them to the installer's environment."))
        if line.startswith("-"):
            continue
        if len(found) == limits.dependencies:
            break
        try:
            found.append(_dependency(line))
        except InvalidRequirement:
            text = f"{where}: requirement {number} is none: a name, versions, or name @ address"
            warnings.append(Problem("requirement_not_read", text, where, "Files and folders are not installed."))
    return Declared(tuple(found), tuple(warnings))


def without_credentials(text: str) -> str:
    """An address as it may be shown: neither who asks for it nor what signs it."""
    return QUERY.sub("", CREDENTIALS.sub("", text)) if "://" in text else text


def _lines(text: str) -> dict[int, str]:
    """What is asked for, by line number; a backslash goes on with the next line."""
    return {number: line for number, line in _joined(text) if line}


def _joined(text: str) -> Iterator[tuple[int, str]]:
    begun = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        yield number, COMMENT.sub("", begun + line).strip()
        begun = ""
    if begun:
        yield number, COMMENT.sub("", begun).strip()


def _dependency(line: str) -> Dependency:
    if not line.isprintable():
        raise InvalidRequirement("it holds a character that is no text")
    requirement = Requirement(OPTION_OF_A_LINE.sub("", line))
    specifier = str(requirement.specifier)
    pinned = PINNED.fullmatch(specifier)
    return Dependency(
        name=canonicalize_name(requirement.name),
        specifier=specifier,
        version=pinned[1] if pinned else None,
        extras=tuple(sorted(requirement.extras)),
        marker=str(requirement.marker) if requirement.marker else None,
        url=without_credentials(requirement.url) if requirement.url else None,
    )
