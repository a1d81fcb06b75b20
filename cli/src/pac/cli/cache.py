"""Where downloads are kept."""

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Shared by all checkouts of a user: PAC_CACHE_DIR, or `pac` in the user's cache folder."""
    if chosen := environment.get("PAC_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pac"
