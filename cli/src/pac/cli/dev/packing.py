"""The folder as a package: packed and checked as for a deployment, and handed to the fleet from where it lies."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pac.agentkit.apkg import Manifest, Problem
from pac.agentkit.build import BuildFailed, build_package
from pac.agentkit.runtime.wire import DeployRequest


class Refused(Exception):  # noqa: N818 - it says what happened, as a name
    """The folder makes no package that could be deployed; all faults."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Packed:
    """`env_names`: the names in .env that may be shown; a line of a key, pasted without quotes, can look like one."""

    sha256: str
    manifest: Manifest
    env_names: tuple[str, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class Shelf:
    """Packages on their way to the fleet, by their sha256; the same folder has the same one."""

    path: Path

    def pack(self, folder: Path) -> Packed:
        """Blocking. Refused."""
        new = self.path / "packed.apkg"
        try:
            built = build_package(folder, new)
        except BuildFailed as failed:
            raise Refused(*failed.problems) from None
        except OSError as fault:
            raise Refused(Problem("unreadable", f"{fault.filename} cannot be read: {fault.strerror}")) from None
        inspection = built.verification.inspection
        if built.verification.problems or inspection.manifest is None:
            raise Refused(*built.verification.problems)
        with new.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        new.replace(self._place(sha256))
        return Packed(sha256, inspection.manifest, inspection.env_names, inspection.warnings)

    async def fetch(self, request: DeployRequest, target: Path) -> None:
        assert request.package_sha256 is not None
        self._place(request.package_sha256).replace(target)

    def _place(self, sha256: str) -> Path:
        return self.path / f"{sha256}.apkg"
