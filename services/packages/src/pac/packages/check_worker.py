"""A process that checks package files and reads OpenPGP, one JSON request a line on stdin; ends with its stdin.

Imports little: it starts fast and holds nothing of the service. Each request gets its own processor time.
"""

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pac.agentkit.apkg import Inspection, check_version, inspect, verify
from pac.agentkit.apkg.requirements import without_credentials
from pac.packages import openpgp


def answer_for(request: dict[str, Any]) -> dict[str, Any]:
    match request["kind"]:
        case "keys":
            return openpgp.answer_keys(request)
        case "signature":
            return openpgp.answer_signature(request)
        case _:
            return checked(request)


def checked(request: dict[str, Any]) -> dict[str, Any]:
    path = Path(request["path"])
    files: list[dict[str, Any]] = []
    unpacked_bytes = 0
    if request["kind"] == "verify":
        verification = verify(path)
        inspection, problems = verification.inspection, list(verification.problems)
        files = [asdict(file) for file in verification.files] if verification.accepted else []
        unpacked_bytes = verification.unpacked_bytes
    else:
        inspection = inspect(path)
        problems = list(inspection.problems)
    if mismatch := check_version(inspection, request["version"]):
        problems.append(mismatch)
    return {
        "problems": [asdict(problem) for problem in problems],
        "warnings": [asdict(warning) for warning in inspection.warnings],
        "name": inspection.name,
        "version": inspection.version,
        "manifest": _manifest(inspection),
        "env_names": list(inspection.env_names),
        "dependencies": [asdict(dependency) for dependency in inspection.dependencies],
        "files": files,
        "unpacked_bytes": unpacked_bytes,
        "entries": len(inspection.entries),
    }


def _manifest(inspection: Inspection) -> dict[str, Any] | None:
    """Without the values of its environment and credentials in addresses: an author may have put a secret there."""
    manifest = inspection.manifest
    if manifest is None:
        return None
    fields = {name: getattr(manifest, name) for name in manifest.__dataclass_fields__ if name != "environment"}
    dependencies = [without_credentials(dependency) for dependency in manifest.dependencies]
    return fields | {"environment_names": sorted(manifest.environment), "dependencies": dependencies}


def allow_processor_seconds(seconds: int) -> None:
    """Counted from what this process has used already."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def main(processor_seconds: int, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        allow_processor_seconds(processor_seconds)
        try:
            answer = answer_for(json.loads(line))
        except MemoryError:
            answer = {"too_expensive": True}
        except OSError as fault:
            answer = {"os_error": fault.strerror or "cannot read the file"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
