"""Finds and reads a package's manifest: manifest.json, else .pixell/package.json, else agent.yaml."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pac.agentkit.apkg.documents import BadDocument, parse_json, parse_yaml
from pac.agentkit.apkg.model import Limits, Manifest, Problem
from pac.agentkit.apkg.names import shown

SOURCES = ("manifest.json", ".pixell/package.json", "agent.yaml")
SURFACES = ("rest", "a2a", "ui")
NAME = re.compile(r"[a-z][a-z0-9-]*")
VERSION = re.compile(r"[^\x00-\x1f\x7f/\\]{1,128}")
SEMANTIC_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
ENTRYPOINT = re.compile(r"[^\s:/\\.]+(?:\.[^\s:/\\.]+)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
NAME_CHARACTERS = 100
TEXT, LIST, MAPPING = "text", "a list of texts", "a mapping of names to values"
FIELDS = {
    **dict.fromkeys(("name", "version", "entrypoint", "runtime", "display_name", "description", "author"), TEXT),
    **dict.fromkeys(("license", "ui_spec_version"), TEXT),
    **dict.fromkeys(("capabilities", "dependencies", "required_ui_capabilities"), LIST),
    **dict.fromkeys(("metadata", "environment", "mcp", *SURFACES), MAPPING),
}
METADATA_FIELDS = {"version": TEXT, "homepage": TEXT, "repository": TEXT, "tags": LIST}
REBUILD = "Correct agent.yaml and build the package again."

ReadBytes = Callable[[str], bytes | None]


@dataclass(frozen=True)
class FoundManifest:
    manifest: Manifest | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def find_manifest(names: frozenset[str], read: ReadBytes, limits: Limits) -> FoundManifest:
    """The manifest by precedence. Others in the package must agree with it: runtimes read agent.yaml."""
    present = [source for source in SOURCES if source in names]
    if not present:
        hint = "A package needs manifest.json, .pixell/package.json or agent.yaml. `pixell build` makes the last two."
        return FoundManifest(None, (Problem("manifest_missing", "Missing required manifest.json", hint=hint),))
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for source in present:
        try:
            document = _document(source, read(source), limits)
        except BadDocument as fault:
            problems.append(Problem("manifest_invalid", f"{source} cannot be read: {fault}", source, REBUILD))
            continue
        faults = list(_type_faults(source, document))
        problems.extend(faults)
        if not faults:
            manifests.append(_manifest(source, document))
    if not manifests or manifests[0].source != present[0]:
        return FoundManifest(None, tuple(problems))
    chosen = manifests[0]
    problems.extend(_disagreements(chosen, manifests[1:]))
    problems.extend(manifest_problems(chosen))
    return FoundManifest(chosen, tuple(problems), tuple(_warnings(chosen, names)))


def _document(source: str, data: bytes | None, limits: Limits) -> Mapping[str, object]:
    limit = limits.yaml_bytes if source.endswith(".yaml") else limits.json_bytes
    if data is None or len(data) > limit:
        raise BadDocument(f"it is damaged or larger than {limit} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadDocument("it is not UTF-8") from None
    document = parse_yaml(text) if source.endswith(".yaml") else parse_json(text)
    if isinstance(document, dict) and isinstance(document.get("manifest"), dict) and "name" not in document:
        document = document["manifest"]
    if not isinstance(document, dict):
        raise BadDocument("it is not a mapping of fields to values")
    return document


def _type_faults(source: str, document: Mapping[str, object]) -> Iterator[Problem]:
    """Fields that are not of the kind they should be; null is as good as left out. Values are not told."""
    metadata, environment = document.get("metadata"), document.get("environment")
    wrong = list(_wrong(document, FIELDS))
    if isinstance(metadata, dict):
        wrong.extend((f"metadata.{name}", kind) for name, kind in _wrong(metadata, METADATA_FIELDS))
    if isinstance(environment, dict):
        names = [str(name) for name, value in environment.items() if isinstance(value, list | dict)]
        wrong.extend((f"environment.{shown(name)}", TEXT) for name in names)
    for name, kind in wrong:
        yield Problem("manifest_field", f"{source} gives {name} as something else than {kind}", source, REBUILD)


def _wrong(document: Mapping[str, object], kinds: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, kind) for name, kind in kinds.items() if not _is(kind, document.get(name)))


def _is(kind: str, value: object) -> bool:
    if value is None:
        return True
    if kind == MAPPING:
        return isinstance(value, dict)
    if kind == LIST:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return _text(value) is not None


def _manifest(source: str, document: Mapping[str, object]) -> Manifest:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    top_version = _text(document.get("version"))
    own_version = _text(metadata.get("version"))
    environment = document.get("environment")
    return Manifest(
        source=source,
        name=_text(document.get("name")),
        version=own_version if own_version is not None else top_version,
        schema_version=top_version if own_version is not None else None,
        entrypoint=_text(document.get("entrypoint")),
        runtime=_text(document.get("runtime")),
        display_name=_text(document.get("display_name")),
        description=_text(document.get("description")),
        author=_text(document.get("author")),
        license=_text(document.get("license")),
        homepage=_text(metadata.get("homepage")),
        repository=_text(metadata.get("repository")),
        capabilities=_texts(document.get("capabilities")),
        dependencies=_texts(document.get("dependencies")),
        tags=_texts(metadata.get("tags")),
        surfaces=tuple(key for key in SURFACES if document.get(key)),
        environment={str(k): "" if v is None else str(v) for k, v in environment.items()}
        if isinstance(environment, dict)
        else {},
    )


def _text(value: object) -> str | None:
    """YAML turns 1.0 into a number; the text is what was meant."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else ()


def manifest_problems(manifest: Manifest) -> Iterator[Problem]:
    """Faults of the manifest's own fields."""
    source = manifest.source
    if not manifest.name:
        yield Problem("name_missing", f"{source} gives no name", source, REBUILD)
    elif not NAME.fullmatch(manifest.name) or len(manifest.name) > NAME_CHARACTERS:
        text = f"The name {shown(manifest.name)} is not allowed: lowercase letters, digits and dashes, a letter first"
        yield Problem("name_invalid", text, source, REBUILD)
    if manifest.version is None:
        yield Problem("version_missing", f"{source} gives no metadata.version", source, REBUILD)
    elif not _is_version(manifest.version):
        yield Problem("version_invalid", f"The version {shown(manifest.version)} is not allowed", source, REBUILD)
    if manifest.entrypoint is None:
        if not manifest.surfaces:
            hint = "Add `entrypoint: src.main:handler` to agent.yaml and build the package again."
            yield Problem("entrypoint_missing", f"{source} gives no entrypoint", source, hint)
    elif not ENTRYPOINT.fullmatch(manifest.entrypoint):
        text = f"The entrypoint {shown(manifest.entrypoint)} is not of the form module:function"
        yield Problem("entrypoint_invalid", text, source, REBUILD)


def _is_version(text: str) -> bool:
    """Good enough to be part of a path and of an address, whatever numbering its author likes."""
    return bool(VERSION.fullmatch(text)) and text == text.strip() and ".." not in text


def _disagreements(chosen: Manifest, others: list[Manifest]) -> Iterator[Problem]:
    for other in others:
        for field in ("name", "version", "entrypoint"):
            if getattr(other, field) != getattr(chosen, field):
                text = f"{chosen.source} and {other.source} disagree about the {field}"
                yield Problem("manifests_disagree", text, other.source, REBUILD)


def _warnings(manifest: Manifest, names: frozenset[str]) -> Iterator[Problem]:
    if manifest.version and _is_version(manifest.version) and not SEMANTIC_VERSION.fullmatch(manifest.version):
        text = f"The version {shown(manifest.version)} is not semantic (like 1.2.0)"
        yield Problem("version_not_semantic", text, manifest.source)
    if manifest.entrypoint and ENTRYPOINT.fullmatch(manifest.entrypoint):
        path = manifest.entrypoint.partition(":")[0].replace(".", "/")
        if f"{path}.py" not in names and f"{path}/__init__.py" not in names:
            text = f"The entrypoint's module {path}.py is not in the package"
            hint = "Only src, core and app are packed: keep the module there, or have requirements.txt bring it."
            yield Problem("entrypoint_not_packed", text, manifest.source, hint)
