"""Numbers for a pair that have a name.

``short`` is for who wants a quick takeover. It is safe for these reasons:

- `max_response_delay` 5: dhcpd speaks to its peer once in a third of it, in whole seconds, so
  each second; four messages in a row must be lost before the connection counts as cut. And to
  be wrong costs nothing: cut off from each other, each of ISC's servers gives out the half of
  the free addresses that is its own, and both keep all leases, so nothing is given twice.
- `load_balance_max_seconds` 2: the second message of a client comes after 3 seconds or more
  (RFC 2131, 4.1) and says so in ``secs``, so it is answered by either server. A client may
  then have two offers and takes one.
- `mclt` 600 is the default lease time: leases that one server extends alone are not shorter
  than they would be, and after ``partner-down`` all addresses are back in ten minutes.
- Kea's `max_unacked_clients` stays above 0. At 0 each of two living servers that do not hear
  each other takes the other for dead, and both give out everything: one address, two clients.
  With 1 it takes two clients that nobody answers for two seconds, which a living peer has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GUIDE = "guide"
SHORT = "short"


@dataclass(frozen=True)
class Numbers:
    """Hold what a profile says; times in seconds. The fields are those of `model`."""

    max_response_delay: int
    max_unacked_updates: int
    load_balance_max_seconds: int
    mclt: int
    split: int
    heartbeat_delay: float
    kea_response_delay: float
    standby_response_delay: float
    max_ack_delay: float
    max_unacked_clients: int


#: Most that Kea takes for each of its delays: it keeps them in 16 bits, in milliseconds
#: (ha_config_parser.cc, `getAndValidateInteger<uint16_t>`), and does not start with more.
MOST_DELAY = 65.535

#: The source guide's two files; for Kea, what its hook has as defaults (Kea ARM, libdhcp_ha). A
#: standby's silence is shorter: with the hook's 60 s it would have to be more patient than Kea
#: can (`bounds.patience_of_standby`).
_GUIDE = Numbers(60, 10, 3, 3600, 128, 10.0, 60.0, 35.0, 10.0, 10)
_SHORT = Numbers(5, 10, 2, 600, 128, 0.5, 1.5, 1.5, 1.0, 1)
PROFILES: Mapping[str, Numbers] = {GUIDE: _GUIDE, SHORT: _SHORT}
