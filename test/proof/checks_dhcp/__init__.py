"""The checks of a DHCP pair; importing this package registers all of them."""

from proof.checks_dhcp import apart, crashes, drills, paper, stores, takeover, together

__all__ = ["apart", "crashes", "drills", "paper", "stores", "takeover", "together"]
