"""`pac build`, `pac check`: the tools of an agent's developer. They need no PAC that runs, and no network."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, complain, expected, say, say_json, say_table

if TYPE_CHECKING:
    from pac.agentkit.apkg import Problem, Verification

REFUSED, WRONG_CALL = 1, 2
MIB = 1024 * 1024
UPLOAD_BYTES = 100 * MIB  # PACKAGES_MAX_SIZE_BYTES
Strict = Annotated[bool, typer.Option("--strict", help="Warnings end it with 1 as well.")]


@dataclass(frozen=True)
class Found:
    """What there is to say about a package, or about a folder that could not be made one (no verification then)."""

    problems: "Sequence[Problem]"
    verification: "Verification | None" = None

    @property
    def warnings(self) -> "Sequence[Problem]":
        if self.verification is None:
            return ()
        inspection = self.verification.inspection
        too_large = _too_large(inspection.size_bytes)
        return (*inspection.warnings, too_large) if too_large else inspection.warnings

    def code(self, *, strict: bool) -> int:
        return REFUSED if self.problems or (strict and self.warnings) else 0

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"accepted": not self.problems}
        if self.verification is not None:
            inspection = self.verification.inspection
            told |= {name: getattr(inspection, name) for name in ("name", "version", "size_bytes", "env_names")}
            told |= {"unpacked_bytes": self.verification.unpacked_bytes, "entries": len(inspection.entries)}
        return told | {"problems": _dumped(self.problems), "warnings": _dumped(self.warnings)}

    def show(self, what: str) -> None:
        rows = [(kind, one) for kind, all_ in (("fault", self.problems), ("warning", self.warnings)) for one in all_]
        if rows:
            table = [(kind, one.code, one.entry, one.message, one.hint) for kind, one in rows]
            say_table(("", "code", "entry", "what", "hint"), table)
        verdict = "would be refused" if self.problems else "would be accepted"
        say(f"{what} {verdict}: {_counted(len(self.problems), 'fault')}, {_counted(len(self.warnings), 'warning')}")


def check(
    path: Annotated[Path, typer.Argument(metavar="FILE_OR_DIR", help="An .apkg, or an agent's folder.")],
    *,
    version: Annotated[str | None, typer.Option("--version", help="The version that will be asked for.")] = None,
    strict: Strict = False,
    output: Output = Format.TABLE,
) -> None:
    """Say what PAC would say of a package: exit 0 sound, 1 refused, 2 a wrong call. Warnings refuse nothing."""
    if not path.exists():
        complain(Expected(f"{path} cannot be checked", "there is no such file or folder", "pac check FILE_OR_DIR"))
        raise typer.Exit(WRONG_CALL)
    found = _checked(path, version)
    if output is Format.JSON:
        say_json(found.as_json())
    else:
        found.show(str(path))
    raise typer.Exit(found.code(strict=strict))


@expected
def build(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The agent's folder: agent.yaml, src, .env.")],
    *,
    target: Annotated[
        Path | None, typer.Option("-o", "--output", help="File, or folder for it (NAME-VERSION.apkg here).")
    ] = None,
    strict: Strict = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it for programs.")] = False,
) -> None:
    """Pack an agent's folder and check the package. The same folder gives the same bytes. Exit 0 built, 1 refused."""
    if not folder.is_dir():
        complain(Expected(f"{folder} cannot be built", "it is not a folder", "pac build DIR"))
        raise typer.Exit(WRONG_CALL)
    found, path = _built(folder, target or Path.cwd())
    if as_json:
        say_json({"path": str(path) if path else None, **found.as_json()})
    else:
        found.show(str(path or folder))
        if path:
            say(f"  pac deploy {path}")
    raise typer.Exit(found.code(strict=strict))


def _too_large(size_bytes: int) -> "Problem | None":
    """Only a warning: another limit may be set where the package goes."""
    from pac.agentkit.apkg import Problem  # noqa: PLC0415 (slow to import)

    if size_bytes <= UPLOAD_BYTES:
        return None
    text = f"The package has {size_bytes // MIB} MiB, and an upload may have {UPLOAD_BYTES // MIB} by default"
    return Problem("package_too_large", text, hint="Let requirements.txt bring what is large.")


def _checked(path: Path, version: str | None) -> Found:
    from pac.agentkit.apkg import check_version, verify  # noqa: PLC0415 (slow to import)

    if path.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            found, _ = _built(path, Path(scratch))
    else:
        verification = verify(path)
        found = Found(verification.problems, verification)
    mismatch = check_version(found.verification.inspection, version) if found.verification else None
    return Found((*found.problems, mismatch), found.verification) if mismatch else found


def _built(folder: Path, target: Path) -> tuple[Found, Path | None]:
    """What was found, and where the package is if it was sound."""
    from pac.agentkit.build import BuildFailed, build_package  # noqa: PLC0415 (slow to import)

    try:
        built = build_package(folder, target)
    except BuildFailed as failed:
        return Found(failed.problems), None
    except OSError as fault:
        what = f"{folder} cannot be built"
        raise Expected(what, f"{fault.strerror}: {fault.filename}", f"pac build {folder} -o FILE") from None
    return Found(built.verification.problems, built.verification), built.path if built.verification.accepted else None


def _dumped(problems: "Sequence[Problem]") -> list[dict[str, str]]:
    return [{name: text for name, text in asdict(problem).items() if text is not None} for problem in problems]


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
