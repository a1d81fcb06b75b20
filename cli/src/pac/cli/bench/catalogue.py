"""Which benchmark is which function, what it needs, and how they are run one after the other."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from pac.cli.bench import bombing, eventstore
from pac.cli.bench.append import append
from pac.cli.bench.bombing import bombs
from pac.cli.bench.crawling import slow_bodies
from pac.cli.bench.deploying import accept, completed, rollback, throughput
from pac.cli.bench.folding import fold, rebuild
from pac.cli.bench.ground import Ground, Needs, ground
from pac.cli.bench.measuring import Options, Result
from pac.cli.bench.relaying import relay
from pac.cli.bench.remembering import memory
from pac.cli.bench.scaling import scale
from pac.cli.bench.uploading import upload
from pac.cli.local.errors import Expected
from pac.cli.local.stack import Say

Run = Callable[[Ground, Options], AsyncGenerator[Result]]


@dataclass(frozen=True)
class Benchmark:
    name: str
    needs: Needs
    run: Run


BENCHMARKS = (
    Benchmark("bombs", Needs.NOTHING, bombs),
    Benchmark("append", Needs.POSTGRES, append),
    Benchmark("fold", Needs.POSTGRES, fold),
    Benchmark("rebuild", Needs.POSTGRES, rebuild),
    Benchmark("relay", Needs.KAFKA, relay),
    Benchmark("accept", Needs.PAC, accept),
    Benchmark("completed", Needs.PAC, completed),
    Benchmark("rollback", Needs.PAC, rollback),
    Benchmark("throughput", Needs.PAC, throughput),
    Benchmark("upload", Needs.PAC, upload),
    Benchmark("memory", Needs.PAC, memory),
    Benchmark("slow_bodies", Needs.PAC, slow_bodies),
    Benchmark("scale", Needs.PAC, scale),
)


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """Those named, all when none is; in the order of the catalogue. Raises Expected for what cannot run here."""
    known = [one.name for one in BENCHMARKS]
    if unknown := [name for name in names if name not in known]:
        raise Expected(f"there is no benchmark {unknown[0]}", f"known are {', '.join(known)}", "pac bench")
    found = [one for one in BENCHMARKS if not names or one.name in names]
    if any(one.run is append for one in found):
        eventstore.check_installed()
    if any(one.run is bombs for one in found):
        bombing.check_installed()
    return found


async def run(benchmarks: Sequence[Benchmark], options: Options, say: Say) -> AsyncGenerator[Result]:
    """Those that need the same share their servers."""
    for needs, some in groupby(benchmarks, key=lambda one: one.needs):
        say(f"starting {needs.value}")
        async with ground(needs, say) as servers:
            for benchmark in some:
                say(f"{benchmark.name}: {options.rounds} rounds")
                async with aclosing(benchmark.run(servers, options)) as results:
                    async for result in results:
                        yield result
