"""What goes into a package: the files of an agent's folder, and those that the build makes, as `pixell build` does."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pac.agentkit.apkg.documents import BadDocument, parse_yaml
from pac.agentkit.apkg.env import ENV_HINT, ENV_MISSING
from pac.agentkit.apkg.hygiene import ENV
from pac.agentkit.apkg.manifest import find_manifest
from pac.agentkit.apkg.model import Limits, Manifest, Problem
from pac.agentkit.apkg.names import shown

AGENT_YAML, PAK_YAML, REQUIREMENTS = "agent.yaml", "pak.yaml", "requirements.txt"
REQUIRED = {
    "src": Problem("src_missing", "The agent's folder has no src", "src", "Put the agent's code into src/."),
    AGENT_YAML: Problem(
        "manifest_missing", "The agent's folder has no agent.yaml", AGENT_YAML, "`pixell init` makes one."
    ),
    ENV: Problem("env_missing", ENV_MISSING, ENV, ENV_HINT),
}
OPTIONAL = (REQUIREMENTS, "README.md", "LICENSE", "core", "app", "setup.py", PAK_YAML, "agents_config.json")
LEFT_OUT = frozenset({"__pycache__"})
PORTS = {"rest": 8080, "a2a": 50051, "ui": 3000}
LONG_AGO_TEXT = "1980-01-01T00:00:00Z"
DEFAULTS: Mapping[str, Any] = {
    "version": "1.0",
    "name": None,
    "display_name": None,
    "description": None,
    "author": None,
    "license": None,
    "entrypoint": None,
    "capabilities": [],
    "runtime": "python3.11",
    "environment": {},
    "dependencies": [],
    "mcp": None,
    "metadata": {"version": None, "homepage": None, "repository": None, "tags": []},
    "a2a": None,
    "rest": None,
    "ui": None,
    "ui_spec_version": None,
    "required_ui_capabilities": None,
}
INIT = b'"""Made by the build: a folder of modules is a package."""\n'

Content = bytes | Path


class BuildFailed(ValueError):  # noqa: N818 - it says what happened, as a name
    """The folder cannot be packed; `problems` are all the reasons."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Source:
    """What will be packed, by the name of its entry: bytes, or the file that has them."""

    name: str
    version: str
    contents: dict[str, Content]


def read_source(folder: Path, limits: Limits) -> Source:
    """Everything that will be packed. BuildFailed, with all that is missing or wrong; OSError as files raise it."""
    missing = [problem for name, problem in REQUIRED.items() if not (folder / name).exists()]
    if REQUIRED[AGENT_YAML] in missing:
        raise BuildFailed(*missing)
    data = (folder / AGENT_YAML).read_bytes()
    found = find_manifest(frozenset({AGENT_YAML}), lambda _: data, limits)
    manifest = found.manifest
    if missing or found.problems or manifest is None or manifest.name is None or manifest.version is None:
        raise BuildFailed(*missing, *found.problems)
    document = _document(data, manifest)
    files = _Files(folder.resolve())
    contents = _contents(files, document, manifest)
    if files.problems:
        raise BuildFailed(*files.problems)
    return Source(manifest.name, manifest.version, contents)


def _document(data: bytes, manifest: Manifest) -> dict[str, Any]:
    """The manifest with every field there is, so that readers of package.json miss none."""
    document = parse_yaml(data.decode("utf-8-sig"))
    assert isinstance(document, dict)
    given = {name: value for name, value in document.items() if value is not None}
    metadata = {**DEFAULTS["metadata"], **given.get("metadata", {})}
    return {**DEFAULTS, **given, "metadata": metadata, "environment": dict(manifest.environment)}


@dataclass
class _Files:
    """Reads the agent's folder, and nothing outside of it, wherever its links lead."""

    root: Path
    problems: list[Problem] = field(default_factory=list)

    def below(self, path: Path, name: str) -> Iterator[tuple[str, Content]]:
        """Every file at or below `path`, as entries at or below `name`."""
        if fault := self._fault(path, name):
            self.problems.append(Problem(*fault))
        elif path.is_file():
            yield name, path
        else:
            for child in sorted(path.iterdir()):
                if child.name not in LEFT_OUT and child.suffix != ".pyc":
                    yield from self.below(child, f"{name}/{child.name}")

    def _fault(self, path: Path, name: str) -> tuple[str, str, str, str] | None:
        real, told = path.resolve(), shown(name)
        if name.encode("utf-8", "ignore").decode() != name:
            return "name_not_utf8", f"{told} has a name that is not UTF-8", told, "Rename it."
        if not real.is_relative_to(self.root):
            hint = "Copy what it leads to into the folder."
            return "link_leaves", f"{told} leads out of the agent's folder", told, hint
        if path.is_symlink() and path.parent.resolve().is_relative_to(real):
            return "link_loops", f"{told} leads to a folder that it is in itself", told, "Remove the link."
        if not path.is_file() and not path.is_dir():
            return "special_file", f"{told} is neither a file nor a folder", told, "Remove it, or mend the link."
        return None


def _contents(files: _Files, document: Mapping[str, Any], manifest: Manifest) -> dict[str, Content]:
    root = files.root
    packed = {name: content for item in _items(root, document) for name, content in files.below(root / item, item)}
    pak = _pak(root)
    packages = sorted({name.rpartition("/")[0] for name in packed if name.endswith(".py") and "/" in name})
    for package in _without_init(packages, pak):
        packed.setdefault(f"{package}/__init__.py", INIT)
    if REQUIREMENTS not in packed and manifest.dependencies:
        packed[REQUIREMENTS] = "".join(f"{line}\n" for line in manifest.dependencies).encode()
    packed.setdefault("setup.py", _setup(manifest, packages, _installed(packed, pak)))
    for surface in manifest.surfaces:
        packed.update(_surface(files, surface, document[surface]))
    deploy = {
        "expose": list(manifest.surfaces),
        "ports": {surface: PORTS[surface] for surface in manifest.surfaces},
        "multiplex": True,
        "environment": document["environment"],
    }
    about = {"format_version": "1.0", "created_by": "pac", "created_at": LONG_AGO_TEXT, "manifest": document}
    return packed | {"deploy.json": _json(deploy), ".pixell/package.json": _json(about)}


def _items(root: Path, document: Mapping[str, Any]) -> list[str]:
    config = (document["mcp"] or {}).get("config_file")
    optional = [*OPTIONAL, config] if isinstance(config, str) else OPTIONAL
    return [*REQUIRED, *(item for item in optional if (root / item).exists())]


def _pak(root: Path) -> Mapping[str, Any]:
    """pak.yaml steers the build, if it is there and can be read."""
    try:
        read = parse_yaml((root / PAK_YAML).read_text("utf-8")) if (root / PAK_YAML).is_file() else {}
    except (BadDocument, UnicodeDecodeError) as fault:
        raise BuildFailed(Problem("manifest_invalid", f"{PAK_YAML} cannot be read: {fault}", PAK_YAML)) from None
    return read if isinstance(read, dict) else {}


def _without_init(packages: list[str], pak: Mapping[str, Any]) -> Iterator[str]:
    """The packages and what they are in, but for those that pak.yaml calls namespaces."""
    given = pak.get("namespace_packages")
    namespaces = tuple(f"{name}.".replace(".", "/") for name in given) if isinstance(given, list) else ()
    for package in packages:
        parts = package.split("/")
        for count in range(1, len(parts) + 1):
            if not f"{'/'.join(parts[:count])}/".startswith(namespaces):
                yield "/".join(parts[:count])


def _installed(packed: Mapping[str, Content], pak: Mapping[str, Any]) -> list[str]:
    """What setup.py asks for: the names of requirements.txt, if pak.yaml says so."""
    content = packed.get(REQUIREMENTS, b"") if pak.get("generate_install_requires") else b""
    text = (content if isinstance(content, bytes) else content.read_bytes()).decode("utf-8", "replace")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def _surface(files: _Files, surface: str, section: Mapping[str, Any]) -> Iterator[tuple[str, Content]]:
    """What a runtime serves beside the entrypoint is copied to dist/, as pixell does."""
    path = section.get("path")
    if surface == "ui" and isinstance(path, str) and (files.root / path).is_dir():
        yield from files.below(files.root / path, "dist/ui")
    for key in ("entry", "service"):
        if isinstance(where := section.get(key), str):
            module = files.root / (where.partition(":")[0].replace(".", "/") + ".py")
            if module.is_file():
                yield from files.below(module, f"dist/{surface}/{module.name}")


def _setup(manifest: Manifest, packages: list[str], installed: list[str]) -> bytes:
    dotted = [package.replace("/", ".") for package in packages]
    asked = f", install_requires={installed!r}" if installed else ""
    call = f"setup(name={manifest.name!r}, version={manifest.version!r}, packages={dotted!r}{asked})"
    return f"from setuptools import setup\n\n{call}\n".encode()


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, default=str).encode()
