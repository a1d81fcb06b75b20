"""The fields of an upload's form, read strictly; every fault is kept, so that one answer can name them all."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pac.contracts.packages import Problem

TEXTS = frozenset({"version", "release_notes", "force_overwrite", "environment"})
SIGNATURE = "signature"
FILE = "file"
KNOWN = TEXTS | {SIGNATURE, FILE}
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
ENVIRONMENT_NAMES_MAX = 500
TRUE, FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})
NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Form:
    """`environment` may hold secrets: it is never shown, logged or compared."""

    version: str | None = None
    release_notes: str | None = None
    force_overwrite: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    signature: bytes | None = field(default=None, repr=False)
    faults: tuple[Problem, ...] = ()


def unknown_part(name: str | None) -> Problem:
    if not name:
        return Problem(code="field_unnamed", message="A part of the form has no name")
    known = ", ".join(sorted(KNOWN))
    return Problem(
        code="field_unknown", message=f"Unknown field {name[:100]}", entry=name[:100], hint=f"Fields are: {known}."
    )


def repeated_part(name: str) -> Problem:
    return Problem(code="field_repeated", message=f"Field {name} is given twice", entry=name)


def long_part(name: str, limit_bytes: int) -> Problem:
    return Problem(code="field_too_long", message=f"Field {name} is longer than {limit_bytes} bytes", entry=name)


def no_text(name: str) -> Problem:
    return Problem(code="field_not_text", message=f"Field {name} holds a null byte", entry=name)


def missing_file() -> Problem:
    hint = "Send the package as the form's field `file`."
    return Problem(code="file_missing", message="Field file is missing", entry=FILE, hint=hint)


def read_form(parts: Mapping[str, bytes], faults: tuple[Problem, ...] = ()) -> Form:
    """The form of these parts, without the file; `faults`: what was found while they came in."""
    found = list(faults)
    texts: dict[str, str] = {}
    for name in TEXTS & parts.keys():
        try:
            text = parts[name].decode()
        except UnicodeDecodeError:
            found.append(Problem(code="field_not_utf8", message=f"Field {name} is not UTF-8 text", entry=name))
            continue
        if "\x00" in text:
            found.append(no_text(name))
            continue
        texts[name] = text
    force = texts.get("force_overwrite", "").strip().lower()
    if force not in TRUE | FALSE:
        message = "Field force_overwrite must be true or false"
        found.append(Problem(code="field_invalid", message=message, entry="force_overwrite"))
    environment, environment_faults = read_environment(texts.get("environment", ""))
    found.extend(environment_faults)
    return Form(
        version=texts.get("version", "").strip() or None,
        release_notes=texts.get("release_notes") or None,
        force_overwrite=force in TRUE,
        environment=environment,
        signature=parts.get(SIGNATURE),
        faults=tuple(found),
    )


def read_environment(text: str) -> tuple[Mapping[str, str], tuple[Problem, ...]]:
    """A JSON object of strings; the faults quote names at most, never a value."""
    if not text.strip():
        return NO_ENVIRONMENT, ()
    try:
        document = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError):
        return NO_ENVIRONMENT, (_environment_fault("must be a JSON object of names and text values"),)
    if not isinstance(document, _Pairs):
        return NO_ENVIRONMENT, (_environment_fault("must be a JSON object of names and text values"),)
    faults = tuple(_environment_faults(document))
    if faults:
        return NO_ENVIRONMENT, faults
    return {name: str(value) for name, value in document.pairs}, ()


@dataclass(frozen=True)
class _Pairs:
    pairs: tuple[tuple[str, object], ...]


def _pairs(pairs: list[tuple[str, object]]) -> _Pairs:
    return _Pairs(tuple(pairs))


def _environment_faults(document: _Pairs) -> Iterator[Problem]:
    names = [name for name, _ in document.pairs]
    if len(names) > ENVIRONMENT_NAMES_MAX:
        yield _environment_fault(f"holds more than {ENVIRONMENT_NAMES_MAX} names")
        return
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield _environment_fault(f"gives {name[:100]} twice")
    for name, value in document.pairs:
        if not ENVIRONMENT_NAME.fullmatch(name):
            yield _environment_fault(f"has a name that cannot be a variable: {name[:100]}")
        elif not isinstance(value, str):
            yield _environment_fault(f"gives {name} a value that is not text")
        elif "\x00" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
            yield _environment_fault(f"gives {name} a value that no process can hold")


def _environment_fault(what: str) -> Problem:
    return Problem(code="environment_invalid", message=f"Field environment {what}", entry="environment")
