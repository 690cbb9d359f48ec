"""The checks of safety; importing this package registers all of them."""

from proof.checks_safety import (
    crashes,
    cutoff,
    faults,
    hostile,
    peers,
    simulated,
    together,
    versions,
)

__all__ = [
    "crashes",
    "cutoff",
    "faults",
    "hostile",
    "peers",
    "simulated",
    "together",
    "versions",
]
