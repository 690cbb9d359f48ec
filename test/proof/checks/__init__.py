"""The checks; importing this package registers all of them."""

from proof.checks import gentle, lasting, library, loopback, peers, rules, vrrp

__all__ = ["gentle", "lasting", "library", "loopback", "peers", "rules", "vrrp"]
