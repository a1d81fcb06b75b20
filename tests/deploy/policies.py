"""What NetworkPolicies let through: the rules of Kubernetes, over rendered policies, for one connection at a time."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod with its labels and its namespace, or an address outside the cluster."""

    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.1.1.1"


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """`matchLabels` only: what the chart writes. Raises ValueError for what this does not know."""
    if set(selector) - {"matchLabels"}:
        raise ValueError(selector)
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def is_peer(peer: Json, end: End, namespace: str) -> bool:
    """Whether `peer`, of a policy in `namespace`, means that end."""
    if block := peer.get("ipBlock"):
        address = ipaddress.ip_address(end.address)
        inside = [address in ipaddress.ip_network(one) for one in (block["cidr"], *block.get("except", ()))]
        return inside[0] and not any(inside[1:])
    if not end.namespace:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"] or {}, {"kubernetes.io/metadata.name": end.namespace}):
            return False
    elif end.namespace != namespace:
        return False
    return selects(peer.get("podSelector") or {}, end.labels)


def allows(rule: Json, side: str, other: End, port: int, namespace: str) -> bool:
    ports, peers = rule.get("ports"), rule.get(side)
    return (not ports or any(one.get("port") == port for one in ports)) and (
        not peers or any(is_peer(peer, other, namespace) for peer in peers)
    )


@dataclass(frozen=True)
class Policies:
    policies: list[Json]
    namespace: str

    def passes(self, source: End, target: End, port: int) -> bool:
        """A connection passes when the source may make it and the target may take it."""
        return self._may(source, target, port, "Egress", "to") and self._may(target, source, port, "Ingress", "from")

    def _may(self, end: End, other: End, port: int, direction: str, side: str) -> bool:
        about = [one["spec"] for one in self.policies if self._is_about(one["spec"], end, direction)]
        rules = [rule for spec in about for rule in spec.get(direction.lower()) or ()]
        return not about or any(allows(rule, side, other, port, self.namespace) for rule in rules)

    def _is_about(self, spec: Json, end: End, direction: str) -> bool:
        return (
            end.namespace == self.namespace
            and direction in spec["policyTypes"]
            and selects(spec["podSelector"], end.labels)
        )
