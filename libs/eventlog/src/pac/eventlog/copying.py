"""How a fold makes the next state of the one before. Pure."""

from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["changed"]

V = TypeVar("V")

if TYPE_CHECKING:
    from dataclasses import replace as changed  # the type checker knows the fields of what is changed
else:

    def changed(value: V, /, **fields: Any) -> V:
        """`dataclasses.replace`, but it copies the value instead of making it anew: at a quarter of the cost.

        Not for a class with slots or with a __post_init__, which it would pass by.
        """
        copy = object.__new__(type(value))
        object.__setattr__(copy, "__dict__", {**value.__dict__, **fields})
        return copy
