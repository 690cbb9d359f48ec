"""The checks of several ways out; importing this package registers all of them."""

from proof.checks_wan import failover, peers, simulated, stalls

__all__ = ["failover", "peers", "simulated", "stalls"]
