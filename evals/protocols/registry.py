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
from kuleshov.tools.errors import KuleshovError, suggest_word

PROTOCOLS: dict[str, Protocol] = {
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
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises KuleshovError for an unknown one."""
    if name not in PROTOCOLS:
        raise KuleshovError(
            f"there is no protocol {name!r}{suggest_word(name, list(PROTOCOLS))}; known: "
            f"{', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[name]
