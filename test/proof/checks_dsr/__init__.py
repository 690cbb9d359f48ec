"""The checks of direct server return; importing this package registers all of them."""

from proof.checks_dsr import silent, traffic

__all__ = ["silent", "traffic"]
