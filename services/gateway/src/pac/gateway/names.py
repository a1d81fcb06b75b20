"""The names that people give to things: personal data, kept in erasable tables only."""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from pac.contracts.base import Line

NAME_MAX_CHARACTERS = 100


def _sized(name: str) -> str:
    if not 1 <= len(name) <= NAME_MAX_CHARACTERS:
        raise ValueError(f"Must have 1 to {NAME_MAX_CHARACTERS} characters")
    return name


SCHEMA = {"type": "string", "minLength": 1, "maxLength": NAME_MAX_CHARACTERS, "pattern": r"\S"}
Name = Annotated[Line, AfterValidator(_sized), WithJsonSchema(SCHEMA)]
