"""What an agent has printed, as far as its runtime gives it."""

from uuid import UUID

from pac.contracts.api import Reply
from pac.contracts.base import Moment


class LogLineView(Reply):
    """`stream`: the runtime's word for where it came from, such as `stdout` and `stderr`."""

    at: Moment
    stream: str
    text: str


class LogsReply(Reply):
    """The newest lines that fit, oldest first; `truncated`: older ones are left out."""

    deployment_id: UUID
    lines: tuple[LogLineView, ...]
    truncated: bool
