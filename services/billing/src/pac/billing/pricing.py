"""What a deployment costs. The only place that knows."""

from pac.contracts.base import Source

BYTES_PER_CREDIT = 1_048_576  # one mebibyte


def cost_of(size_bytes: int, source: Source, *, billable: bool) -> int:
    """Whole credits: one per started MiB, at least one; a rollback, or what is not billable, costs nothing."""
    if not billable or source is Source.ROLLBACK:
        return 0
    return max(1, -(-size_bytes // BYTES_PER_CREDIT))
