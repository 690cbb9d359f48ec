"""What is seen without a pair that runs: each member's file, and what is refused."""

from __future__ import annotations

from proof.pytests import run_tests
from proof.registry import DHCP, Case, check
from proof.stage import Stage

_NOWHERE = [Case("", "pytest")]


@check(201, "golden files of each member from the guide's numbers, taken by the servers themselves",
       over=_NOWHERE, book=DHCP)  # fmt: skip
def golden(stage: Stage) -> str:
    """Both members' files from the guide's numbers and from two different ports, byte for byte,
    each the other's mirror image; dhcpd and Kea of both releases take them, and start by them.
    """
    told = run_tests(stage, "test/golden/test_golden_dhcp.py")
    return f"{told}; the servers: {run_tests(stage, 'test/netns/test_dhcp_real.py')}"


@check(
    601, "bad input: refused with its pillar path, and nothing written", over=_NOWHERE, book=DHCP
)
def refused(stage: Stage) -> str:
    """Two primaries or none, an address that is not there, pools outside, over one another or with
    a router or peer in them, times out of order, ports in use, text that would be an option; a
    server that refuses its file keeps the old one and goes on.
    """
    paths = ("test/unit/test_dhcp_config.py", "test/unit/test_dhcp_hostile.py")
    told = run_tests(stage, *paths)
    return f"{told}; on a host: {run_tests(stage, 'test/unit/test_dhcp_changes.py')}"
