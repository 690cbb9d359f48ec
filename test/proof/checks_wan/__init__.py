"""The checks of several ways out; importing this package registers all of them."""

from proof.checks_wan import beside, booted, elsewhere, failover, fleet, peers, simulated, stalls

__all__ = ["beside", "booted", "elsewhere", "failover", "fleet", "peers", "simulated", "stalls"]
