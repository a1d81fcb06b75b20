"""How far something long has come, on stderr: one line that changes on a terminal, a line now and then elsewhere."""

import sys
import time
from dataclasses import dataclass, field

TERMINAL_SECONDS = 0.1
ELSEWHERE_SECONDS = 5.0


@dataclass
class ProgressLine:
    what: str
    _said_at: float = field(default_factory=time.monotonic)
    _is_open: bool = False

    def tell(self, done: int, total: int, stage: str = "") -> None:
        is_terminal = sys.stderr.isatty()
        now = time.monotonic()
        if now - self._said_at < (TERMINAL_SECONDS if is_terminal else ELSEWHERE_SECONDS):
            return
        self._said_at = now
        part = f" {100 * done // total} %" if total else ""
        line = f"{self.what}: {stage}{' ' if stage else ''}{done} of {total}{part}"
        sys.stderr.write(f"\r\x1b[K{line}" if is_terminal else f"{line}\n")
        sys.stderr.flush()
        self._is_open = is_terminal

    def end(self) -> None:
        if self._is_open:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_open = False
