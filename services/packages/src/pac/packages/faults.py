"""What is wrong with a deploy, as the one answer that names all of it."""

from typing import Any

from pac.contracts.errors import ERRORS, ErrorCode, Refused
from pac.contracts.packages import Problem
from pac.packages.answering import status_url
from pac.packages.described import dumped
from pac.packages.submitting import Existing

VERSION_EXISTS = Problem(
    code="version_exists", message="Version already exists", hint=ERRORS[ErrorCode.VERSION_EXISTS].hint
)
FORM_CODES = ("field_", "file_missing", "environment_")


def only_for_deploy(name: str) -> Problem:
    return Problem(code="field_unknown", message=f"Field {name} belongs to a deployment", entry=name)


def faulty(
    problems: list[Problem], existing: Existing | None = None, public_url: str = "", sha256: str | None = None
) -> Refused:
    """The specification's body: `details` are sentences, `problems` the same for machines."""
    codes = {problem.code for problem in problems}
    if codes == {VERSION_EXISTS.code}:
        code = ErrorCode.VERSION_EXISTS
    elif all(name.startswith(FORM_CODES) for name in codes):
        code = ErrorCode.INVALID_REQUEST
    else:
        code = ErrorCode.INVALID_PACKAGE
    fields: dict[str, Any] = {
        "details": [problem.message for problem in problems],
        "problems": [dumped(problem) for problem in problems],
    }
    if existing is not None:
        fields["existing"] = _shown(existing, public_url, sha256)
    return Refused(code, **fields)


def _shown(existing: Existing, public_url: str, sha256: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "package_id": str(existing.package_id),
        "sha256": existing.sha256,
        "same_content": existing.sha256 == sha256,
    }
    if existing.deployment_id is not None:
        shown["deployment_id"] = str(existing.deployment_id)
        shown["status_url"] = status_url(public_url, existing.deployment_id)
    return shown
