"""What an agent is made of, as far as its package declares it: CycloneDX 1.6, JSON (https://cyclonedx.org/docs/1.6/json).

Only what is declared is known: which versions an installer would choose, and what those need, is not. It says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pac.agentkit.apkg.model import Dependency

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
FORM = "1.6"


@dataclass(frozen=True)
class Subject:
    """The package that the bill is of. `license` is what its manifest says, in whatever words."""

    name: str
    version: str
    sha256: str
    at: str
    description: str | None = None
    license: str | None = None
    author: str | None = None


def bill_of_materials(subject: Subject, dependencies: Sequence[Dependency]) -> dict[str, Any]:
    """The same package has the same bill: its serial number comes from the package's digest."""
    root = f"{subject.name}@{subject.version}"
    components = [_component(number, dependency) for number, dependency in enumerate(dependencies, 1)]
    refs = [component["bom-ref"] for component in components]
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": FORM,
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'sha256:{subject.sha256}')}",
        "version": 1,
        "metadata": {"timestamp": subject.at, "component": _application(root, subject)},
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": refs}, *({"ref": ref} for ref in refs)],
        "compositions": [{"aggregate": "incomplete", "dependencies": [root]}],
    }


def _application(ref: str, subject: Subject) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "application", "bom-ref": ref, "name": subject.name, "version": subject.version}
    if subject.description:
        told["description"] = subject.description
    if subject.author:
        told["authors"] = [{"name": subject.author}]
    if subject.license:
        told["licenses"] = [{"license": {"name": subject.license}}]
    return told | {"hashes": [{"alg": "SHA-256", "content": subject.sha256}]}


def _component(number: int, dependency: Dependency) -> dict[str, Any]:
    version = f"@{dependency.version}" if dependency.version else ""
    asked = {"specifier": dependency.specifier, "marker": dependency.marker, "extras": ",".join(dependency.extras)}
    properties = [{"name": f"pac:requirement:{name}", "value": value} for name, value in asked.items() if value]
    told: dict[str, Any] = {"type": "library", "bom-ref": f"{number}:{dependency.name}", "name": dependency.name}
    if dependency.version:
        told["version"] = dependency.version
    if dependency.url:
        told["externalReferences"] = [{"type": "distribution", "url": dependency.url}]
    else:
        told["purl"] = f"pkg:pypi/{dependency.name}{version}"
    return told | ({"properties": properties} if properties else {})
