"""Every protocol by its name."""

from __future__ import annotations

from kuleshov.evals.protocols import (
    fairness,
    hallucination,
    influence,
    repeatability,
    sensitivity,
    shots,
    units,
    votes,
)
from kuleshov.evals.protocols.base import Protocol
from kuleshov.tools.registry import Registry

PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    {
        protocol.name: protocol
        for protocol in (
            units.PROTOCOL,
            influence.PROTOCOL,
            votes.PROTOCOL,
            shots.PROTOCOL,
            repeatability.PROTOCOL,
            hallucination.PROTOCOL,
            sensitivity.PROTOCOL,
            fairness.PROTOCOL,
        )
    },
)


def find_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises KuleshovError for an unknown one."""
    return PROTOCOLS.find(name)
