"""Warnings about environments in a package: what looks like a secret, what ties it to one machine. Names only."""

from collections.abc import Iterator, Mapping

from pac.agentkit.apkg.addresses import address_rule, is_absolute_path
from pac.agentkit.apkg.credentials import secret_rule
from pac.agentkit.apkg.model import Problem

ENV = ".env"
KEY_HINT = "Use a placeholder here and give the value at deploy time or as a stored secret."
ADDRESS_HINT = "Listen at 0.0.0.0, and reach other services by their DNS names; give what differs at deploy time."


def hygiene_warnings(values: Mapping[str, str], where: str = ENV) -> Iterator[Problem]:
    """One warning per name and rule; the value is looked at and never repeated."""
    for name, value in values.items():
        if rule := secret_rule(name, value):
            yield Problem("secret_like_value", f"{where}: {name} looks like a secret (rule {rule})", where, KEY_HINT)
        if is_absolute_path(value, name):
            text = f"{where}: {name} is an absolute path, which ties the package to one machine"
            yield Problem("absolute_path", text, where, "Use a relative path, or one below /tmp.")
        if rule := address_rule(name, value):
            text = f"{where}: {name} names a machine (rule {rule}), which is another one where the agent runs"
            yield Problem("machine_address", text, where, ADDRESS_HINT)
