"""The checks of several ways out; importing this package registers all of them."""

from proof.checks_wan import booted, failover, peers, simulated, stalls

__all__ = ["booted", "failover", "peers", "simulated", "stalls"]
