"""The agent that `helm test` deploys."""


def handler(context: object) -> dict[str, object]:
    """Says what it was asked."""
    return {"asked": context}
