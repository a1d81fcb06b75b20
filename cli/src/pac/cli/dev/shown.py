"""What `pac dev` says: in the order in which it happens, names of variables, never a value."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pac.agentkit.apkg import Problem
from pac.agentkit.environment import Explanation, Layer
from pac.agentkit.runtime.deployment import Status
from pac.agentkit.runtime.output import Line
from pac.cli.dev.packing import Packed
from pac.cli.output import say, say_table

SHOWN_CHANGES = 3
LONG = {
    Status.LOADING: "installing what requirements.txt asks for; kept for the next time",
    Status.STARTING: "the entrypoint is still being imported",
}


@dataclass
class View:
    """`agents`: where the fleet keeps copies of the folder; lines that name a file there are shown with ours."""

    folder: Path
    agents: Path
    provider: str
    explain_all: bool
    _explained: tuple[Explanation, ...] = ()
    _warned: frozenset[Problem] = frozenset()
    _copies: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._copies = re.compile(re.escape(str(self.agents)) + r"/\d+/app(?=[/\"'\s:,)]|$)")

    def address(self, url: str) -> None:
        say(f"pac dev {self.folder}: reloads when it changes, Ctrl-C ends it")
        say(f"  {url}")
        body = '{"action": "hello", "context": {}}'
        say(f"  curl -sS {url} -H 'Content-Type: application/json' -d '{body}'")

    def changed(self, paths: Iterable[Path], *, same: bool = False) -> None:
        """`same`: nothing of what is loaded has changed."""
        names = sorted(str(path.relative_to(self.folder) if self.folder in path.parents else path) for path in paths)
        more = f" and {len(names) - SHOWN_CHANGES} more" if len(names) > SHOWN_CHANGES else ""
        if names:
            say(f"changed: {', '.join(names[:SHOWN_CHANGES])}{more}{' (nothing to load)' if same else ''}")

    def warned(self, warnings: tuple[Problem, ...]) -> None:
        """What is new among them."""
        for warning in warnings:
            if warning not in self._warned:
                say(f"! {warning.message}")
                self._hint(warning)
        self._warned = frozenset(warnings)

    def refused(self, problems: tuple[Problem, ...], *, still: bool) -> None:
        say(f"✗ not loaded{_still(still=still)}")
        for problem in problems:
            where = f"{problem.entry}: " if problem.entry and problem.entry not in problem.message else ""
            say(f"  {where}{problem.message} ({problem.code})")
            self._hint(problem)

    def failed(self, reason: str, *, still: bool | None) -> None:
        """`still`: whether another one serves; None when this one is started again."""
        say(f"✗ {self._ours(reason).rstrip('.')}{'' if still is None else _still(still=still)}")

    def takes_long(self, status: Status) -> None:
        if status in LONG:
            say(f"… {LONG[status]}")

    def serves(self, packed: Packed, seconds: float, explained: tuple[Explanation, ...]) -> None:
        if explained != self._explained:
            self._explained = explained
            self.environment(explained, packed.env_names)
        say(f"✓ {packed.manifest.name} {packed.manifest.version} serves ({seconds:.1f} s)")

    def agent(self, line: Line) -> None:
        say(f"  | {self._ours(line.text)}")

    def environment(self, explained: tuple[Explanation, ...], env_names: Collection[str]) -> None:
        """Which layer each key comes from, and which others had it. `env_names`: those of .env that may be shown."""
        counts = {layer: sum(layer in (one.wins, *one.loses) for one in explained) for layer in Layer}
        names = {**{layer: layer.value for layer in Layer}, Layer.PROVIDER: f"provider ({self.provider})"}
        say(f"environment: {', '.join(f'{names[layer]} {counts[layer]}' for layer in Layer)}")
        odd = [one for one in explained if (one.wins, one.loses) == (Layer.DOTENV, ()) and one.key not in env_names]
        inherited = [one for one in explained if not self.explain_all and (one.wins, one.loses) == (Layer.BASE, ())]
        rows = [one for one in explained if one not in odd and one not in inherited]
        if rows:
            say_table(("  key", "from", "over"), [(f"  {one.key}", one.wins, ", ".join(one.loses)) for one in rows])
        if odd:
            say(f"  … and {len(odd)} from .env that are not shown: their names are odd")
        if inherited:
            say(f"  … and {len(inherited)} from base alone (--explain shows them)")

    def ends(self) -> None:
        say("stopping")

    def _hint(self, problem: Problem) -> None:
        if problem.hint:
            say(f"    {problem.hint}")

    def _ours(self, text: str) -> str:
        return self._copies.sub(lambda _: str(self.folder), text)


def _still(*, still: bool) -> str:
    return "; the one before still serves" if still else "; waiting for a change"
