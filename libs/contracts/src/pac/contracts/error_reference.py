"""Writes the page of all errors: `python -m pac.contracts.error_reference [--check] FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from pac.contracts.error_bodies import COMMON, FIELDS, OF_A_PROBLEM, problem_type
from pac.contracts.errors import ERRORS, ErrorCode

HEAD = """\
# Errors

Generated from `libs/contracts/src/pac/contracts/errors.py` by `make generate`; not to be edited.

Every error has a JSON body with these members:

{common}

Further members depend on the code. The sentence is the reason phrase of the status line, too, since clients such as
`pixell` show nothing else of a 403, 404, 413, 422, 429 or 5xx. `Retry-After` stands with every 503 and 429, and with a
409 that passes by itself. No answer names an internal address or shows a stack trace.

```json
{{
  "error": "Insufficient credits", "code": "insufficient_credits", "request_id": "0d5c…",
  "hint": "Ask the operator for a grant of credits.", "required": 10, "available": 5
}}
```

With `Accept: application/problem+json` the same members come as RFC 9457, with its own five before them:

{problem}

```json
{{
  "type": "{type}", "title": "Insufficient credits", "status": 402,
  "detail": "Insufficient credits", "instance": "/api/agent-apps/…/packages/deploy",
  "error": "Insufficient credits", "code": "insufficient_credits", …
}}
```

## Codes

`error` may be a sentence that says more than the one below; `code` never changes.

| code | status | sentence | hint | members (`?`: sometimes) |
|---|---|---|---|---|
{codes}

## Members that depend on the code

| member | what it is |
|---|---|
{fields}
"""


def page() -> str:
    return HEAD.format(
        common="\n".join(f"- `{name}`: {schema['description']}" for name, schema in COMMON.items()),
        problem="\n".join(f"- `{name}`{said(schema)}" for name, schema in OF_A_PROBLEM.items()),
        type=problem_type(ErrorCode.INSUFFICIENT_CREDITS),
        codes="\n".join(code_lines()),
        fields="\n".join(f"| `{name}` | {schema['description']} |" for name, schema in FIELDS.items()),
    )


def said(schema: dict[str, str]) -> str:
    return f": {schema['description']}" if "description" in schema else ""


def code_lines() -> Iterator[str]:
    for code, kind in ERRORS.items():
        fields = ", ".join([*(f"`{name}`" for name in kind.always), *(f"`{name}`?" for name in kind.sometimes)])
        yield f"| `{code}` | {kind.status} | {kind.sentence} | {kind.hint or ''} | {fields} |"


def main(arguments: list[str]) -> int:
    path = Path(next(argument for argument in arguments if not argument.startswith("--")))
    if "--check" not in arguments:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page())
    elif not path.exists() or path.read_text() != page():
        sys.stderr.write(f"{path} is not what the code says: run `make generate` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
