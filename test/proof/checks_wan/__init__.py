"""The checks of several ways out; importing this package registers all of them."""

from proof.checks_wan import failover, peers

__all__ = ["failover", "peers"]
