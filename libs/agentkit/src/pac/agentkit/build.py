"""Packs an agent's folder into an .apkg as `pixell build` does, but the same folder always gives the same bytes."""

import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pac.agentkit.apkg.documents import BadDocument, parse_yaml
from pac.agentkit.apkg.env import ENV_HINT, ENV_MISSING
from pac.agentkit.apkg.hygiene import ENV

REQUIRED = ("src", "agent.yaml", ENV)
OPTIONAL = ("requirements.txt", "README.md", "LICENSE", "core", "app", "setup.py", "pak.yaml", "agents_config.json")
LEFT_OUT = frozenset({"__pycache__"})
PORTS = {"rest": 8080, "a2a": 50051, "ui": 3000}
LONG_AGO = (1980, 1, 1, 0, 0, 0)
LONG_AGO_TEXT = "1980-01-01T00:00:00Z"
DEFAULTS: Mapping[str, object] = {
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


class BuildFailed(ValueError):  # noqa: N818 - it says what happened, as a name
    """The folder cannot be packed; the text says what is missing."""


def write_package(folder: Path, target: Path) -> Path:
    """Packs `folder` into `target` (a file, or a folder that gets NAME-VERSION.apkg) and returns the file's path.

    The file appears whole or not at all. BuildFailed when something required is missing.
    """
    manifest = _read_manifest(folder)
    contents = dict(_contents(folder, manifest))
    metadata = manifest["metadata"]
    version = metadata.get("version") if isinstance(metadata, dict) else None
    path = target / f"{manifest['name']}-{version}.apkg" if target.is_dir() else target
    handle, temporary = tempfile.mkstemp(prefix=".building-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted({*_folders(contents), *contents}):
                archive.writestr(_entry(name), contents.get(name, b""), zipfile.ZIP_DEFLATED)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _read_manifest(folder: Path) -> dict[str, object]:
    missing = [name for name in REQUIRED if not (folder / name).exists()]
    if ENV in missing:
        raise BuildFailed(f"{ENV_MISSING}. {ENV_HINT}")
    if missing:
        raise BuildFailed(f"Missing in the agent's folder: {', '.join(missing)}")
    try:
        document = parse_yaml((folder / "agent.yaml").read_text(encoding="utf-8"))
    except BadDocument as fault:
        raise BuildFailed(f"agent.yaml cannot be read: {fault}") from None
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict) or not document.get("name"):
        raise BuildFailed("agent.yaml must give name and metadata.version")
    defaults = DEFAULTS["metadata"]
    assert isinstance(defaults, dict)
    return {**DEFAULTS, **document, "metadata": {**defaults, **document["metadata"]}}


def _contents(folder: Path, manifest: Mapping[str, object]) -> Iterator[tuple[str, bytes]]:
    packed = {name: data for item in _items(folder, manifest) for name, data in _files(folder / item, item)}
    packages = sorted({name.rpartition("/")[0] for name in packed if name.endswith(".py") and "/" in name})
    for package in packages:
        packed.setdefault(f"{package}/__init__.py", INIT)
    packed.setdefault("setup.py", _setup(manifest, packages))
    if "requirements.txt" not in packed and isinstance(wanted := manifest["dependencies"], list) and wanted:
        packed["requirements.txt"] = "".join(f"{line}\n" for line in wanted).encode()
    surfaces = [surface for surface in PORTS if manifest[surface]]
    for surface in surfaces:
        packed.update(_surface(folder, surface, manifest[surface]))
    deploy = {
        "expose": surfaces,
        "ports": {surface: PORTS[surface] for surface in surfaces},
        "multiplex": True,
        "environment": manifest["environment"],
    }
    packed["deploy.json"] = _json(deploy)
    packed[".pixell/package.json"] = _json(
        {"format_version": "1.0", "created_by": "pac", "created_at": LONG_AGO_TEXT, "manifest": manifest}
    )
    yield from packed.items()


def _items(folder: Path, manifest: Mapping[str, object]) -> list[str]:
    mcp = manifest["mcp"]
    config = mcp.get("config_file") if isinstance(mcp, dict) else None
    optional = [*OPTIONAL, config] if isinstance(config, str) else list(OPTIONAL)
    return [*REQUIRED, *(item for item in optional if (folder / item).exists())]


def _files(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        yield name, path.read_bytes()
        return
    for child in sorted(path.iterdir()):
        if child.name not in LEFT_OUT and child.suffix != ".pyc":
            yield from _files(child, f"{name}/{child.name}")


def _surface(folder: Path, surface: str, section: object) -> Iterator[tuple[str, bytes]]:
    """What a runtime serves beside the entrypoint is copied to dist/, as pixell does."""
    if not isinstance(section, dict):
        return
    if surface == "ui" and isinstance(section.get("path"), str) and (folder / section["path"]).is_dir():
        yield from _files(folder / section["path"], "dist/ui")
    for key in ("entry", "service"):
        if isinstance(where := section.get(key), str):
            module = folder / (where.partition(":")[0].replace(".", "/") + ".py")
            if module.is_file():
                yield f"dist/{surface}/{module.name}", module.read_bytes()


def _setup(manifest: Mapping[str, object], packages: list[str]) -> bytes:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    dotted = [package.replace("/", ".") for package in packages]
    lines = [
        "from setuptools import setup",
        "",
        f"setup(name={manifest['name']!r}, version={str(metadata['version'])!r}, packages={dotted!r})",
        "",
    ]
    return "\n".join(lines).encode()


def _folders(contents: Mapping[str, bytes]) -> Iterator[str]:
    for name in contents:
        parent = name.rpartition("/")[0]
        while parent:
            yield f"{parent}/"
            parent = parent.rpartition("/")[0]


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system = 3
    is_folder = name.endswith("/")
    mode = (stat.S_IFDIR | 0o755) if is_folder else (stat.S_IFREG | 0o644)
    entry.external_attr = mode << 16 | (0x10 if is_folder else 0)
    return entry


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, default=str).encode()
