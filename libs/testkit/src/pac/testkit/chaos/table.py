"""What a run of the bench prints."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pac.testkit.chaos.bench import Ground
from pac.testkit.chaos.load import Load
from pac.testkit.holds import Figure


def table(name: str, bench: Ground, load: Load, laws: Sequence[str], *, seed: int, more: Mapping[str, Figure]) -> str:
    lines = ["", f"{name}: PAC_CHAOS_SEED={seed}, {bench.seconds:.0f} s"]
    lines += [f"  {one.text:28} {one.service:18} {'hit' if one.hit else 'not hit'}" for one in bench.armed]
    ends = Counter(about.end.get("status", "open") for about in load.accepted.values())
    lines += [
        f"  points       {len(bench.armed)} armed, {sum(one.hit for one in bench.armed)} hit",
        f"  faults       {_counted(Counter(bench.killed))}",
        f"  deployments  {len(load.accepted)} accepted: {_counted(ends)}",
        f"  POST deploy  {_counted(load.answers)}",
        f"  GET          {_counted(load.gets)}; slowest {load.slowest_get_seconds:.1f} s",
        f"  laws         {'hold' if not laws else 'BROKEN'}",
        *(
            f"  {what:12} {figure:.2f}" if isinstance(figure, float) else f"  {what:12} {figure}"
            for what, figure in more.items()
        ),
        *(f"  {line}" for line in bench.notes),
        *(f"    {line}" for line in (*load.faults, *laws)),
    ]
    return "\n".join(lines) + "\n"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counter.items())) or "none"
