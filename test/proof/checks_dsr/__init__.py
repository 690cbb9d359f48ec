"""The checks of direct server return; importing this package registers all of them."""

from proof.checks_dsr import (
    lasting,
    otherways,
    refusals,
    settings,
    silent,
    simulated,
    telling,
    traffic,
)

__all__ = [
    "lasting",
    "otherways",
    "refusals",
    "settings",
    "silent",
    "simulated",
    "telling",
    "traffic",
]
