"""The checks of the platforms; importing this package registers all of them."""

from proof.checks_platforms import simulated

__all__ = ["simulated"]
