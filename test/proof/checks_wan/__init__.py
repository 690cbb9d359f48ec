"""The checks of several ways out; importing this package registers all of them."""

from proof.checks_wan import booted, elsewhere, failover, peers, simulated, stalls

__all__ = ["booted", "elsewhere", "failover", "peers", "simulated", "stalls"]
