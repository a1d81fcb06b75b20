"""Why a deployment cannot run, as one plain line that may be shown to anybody who may see the deployment."""

from urllib.parse import urlsplit

LINE_CHARACTERS = 400


class DeploymentFailed(Exception):  # noqa: N818 - it says what happened, as a name
    """The text is the deployment's message: one line, without query strings, without secrets."""


def one_line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= LINE_CHARACTERS else joined[: LINE_CHARACTERS - 1] + "…"


def shown_url(url: str) -> str:
    """Origin and path: what follows may be a signature."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
