"""What an agent prints: kept bounded in memory and in one file, with the values it was given taken out."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pac.agentkit.runtime.faults import one_line

SHORTEST_SECRET = 6
LINE_BYTES = 16 * 1024
RING_BYTES = 64 * 1024


@dataclass(frozen=True)
class Redactor:
    """Replaces known values by the name of their variable. Short ones (`1`, `true`) would hide half the text."""

    names: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, *layers: Mapping[str, str], public: str = "") -> "Redactor":
        """Of a value in several layers the name in the last one counts. What is part of `public` stays as it is."""
        parts = ((part.strip(), key) for layer in layers for key, value in layer.items() for part in value.splitlines())
        known = {part: key for part, key in parts if len(part) >= SHORTEST_SECRET and part not in public}
        return cls(dict(sorted(known.items(), key=lambda item: -len(item[0]))))

    def clean(self, text: str) -> str:
        for value, name in self.names.items():
            if value in text:
                text = text.replace(value, f"[{name}]")
        return text


@dataclass(frozen=True)
class Line:
    at: datetime
    stream: str
    text: str


Listen = Callable[[Line], None]


def unheard(_line: Line) -> None:
    """Where nobody reads along."""


@dataclass
class Output:
    """The ring that is shown, and the file (with one older half) that stays for the operator."""

    path: Path
    limit_bytes: int
    listen: Listen = unheard
    redactor: Redactor = field(default_factory=lambda: Redactor({}))
    _ring: deque[Line] = field(default_factory=deque)
    _ring_bytes: int = 0
    _dropped: bool = False

    def add(self, stream: str, data: bytes) -> Line:
        text = self.redactor.clean(data.decode("utf-8", "replace").rstrip("\r\n"))
        line = Line(datetime.now(UTC), stream, text)
        self._ring.append(line)
        self._ring_bytes += len(text) + 1
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            self._ring_bytes -= len(self._ring.popleft().text) + 1
            self._dropped = True
        self.listen(line)
        return line

    def keep(self, lines: Iterable[Line]) -> None:
        """Writes to the file; blocking, so callers use a thread."""
        half = self.limit_bytes // 2
        if self.path.exists() and self.path.stat().st_size > half:
            self.path.replace(self._older)
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line.at.isoformat()} {line.stream} {line.text}\n" for line in lines)

    def remove(self) -> None:
        for path in (self.path, self._older):
            path.unlink(missing_ok=True)

    @property
    def _older(self) -> Path:
        return self.path.with_suffix(".older.log")

    def tail(self, limit_bytes: int) -> tuple[list[Line], bool]:
        """The newest lines that fit, oldest first, and whether older ones were left out."""
        chosen: deque[Line] = deque()
        for line in reversed(self._ring):
            limit_bytes -= len(line.text) + 1
            if limit_bytes < 0 and chosen:
                return list(chosen), True
            chosen.appendleft(line)
        return list(chosen), self._dropped

    def last_error(self) -> str | None:
        """The last line of stderr that says something: of a traceback, the exception."""
        lines = (line.text.strip() for line in reversed(self._ring) if line.stream == "stderr")
        return next((one_line(text) for text in lines if text), None)
