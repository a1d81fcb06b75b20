"""The sixteen ways in which four layers can give a variable, and who wins: one table for all that start agents."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from pac.agentkit.environment import Layer, Layers

STRONGEST_FIRST = (Layer.REQUEST, Layer.PROVIDER, Layer.DOTENV, Layer.BASE)


@dataclass(frozen=True)
class Case:
    """Who gives the variable. Each case has a variable of its own, so that one start of an agent shows them all."""

    given_by: tuple[Layer, ...]

    @property
    def key(self) -> str:
        """`T_R_D_` is given by the request and by .env."""
        letters = zip("RPDB", STRONGEST_FIRST, strict=True)
        return "T_" + "".join(letter if layer in self.given_by else "_" for letter, layer in letters)

    def value_of(self, layer: Layer) -> str:
        return f"{layer.name.lower()}-of-{self.key}"

    @property
    def winner(self) -> Layer | None:
        return next(iter(self.given_by), None)


CASES = tuple(
    Case(tuple(layer for layer, there in zip(STRONGEST_FIRST, present, strict=True) if there))
    for present in product((True, False), repeat=len(STRONGEST_FIRST))
)
EXPECTED: Mapping[str, str] = {case.key: case.value_of(case.winner) for case in CASES if case.winner}


def values_of(layer: Layer) -> dict[str, str]:
    """All that this layer gives, over all cases."""
    return {case.key: case.value_of(layer) for case in CASES if layer in case.given_by}


def dotenv_text() -> str:
    return "".join(f"{key}={value}\n" for key, value in values_of(Layer.DOTENV).items())


def all_layers() -> Layers:
    return Layers(*(values_of(layer) for layer in STRONGEST_FIRST))


def seen_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Of what an agent sees, the variables of the table."""
    return {key: value for key, value in environment.items() if key.startswith("T_")}
