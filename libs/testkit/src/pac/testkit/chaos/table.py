"""What a run of the bench prints."""

import time
from collections import Counter
from collections.abc import Sequence

from pac.testkit.chaos.bench import Bench
from pac.testkit.chaos.load import Load


def table(name: str, seed: int, bench: Bench, load: Load, laws: Sequence[str]) -> str:
    lines = ["", f"{name}: PAC_CHAOS_SEED={seed}, {time.monotonic() - bench.began:.0f} s"]
    lines += [f"  {one.text:28} {one.service:18} {'hit' if one.hit else 'not hit'}" for one in bench.armed]
    ends = Counter(about.end.get("status", "open") for about in load.accepted.values())
    lines += [
        f"  points       {len(bench.armed)} armed, {sum(one.hit for one in bench.armed)} hit",
        f"  faults       {_counted(Counter(bench.killed))}",
        f"  deployments  {len(load.accepted)} accepted: {_counted(ends)}",
        f"  POST deploy  {_counted(load.answers)}",
        f"  GET          {_counted(load.gets)}; slowest {load.slowest_get_seconds:.1f} s",
        f"  laws         {'hold' if not laws else 'BROKEN'}",
        *(f"  {line}" for line in bench.notes),
        *(f"    {line}" for line in (*load.faults, *laws)),
    ]
    return "\n".join(lines) + "\n"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counter.items())) or "none"
