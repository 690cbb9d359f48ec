"""The rig of the DSR proof over a reboot, without the product: who asks goes on asking.

Files by hand stand for what the product writes; without the one with the settings the same
questions must be answered, or silence after a reboot says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.dsr_network import FIRST, DsrNetwork, mac_of
from rig.dsr_programs import Prober
from rig.host import BootedHost
from rig.netns import NetHost, Segment
from rig.setups import networkd

SETTINGS = "/etc/sysctl.d/90-silent.conf"
FEW = 200


@pytest.fixture
def server(segment: Segment) -> Iterator[BootedHost]:
    """Give a real server whose files carry the VIP and the settings; not booted yet."""
    with BootedHost("trixie", segment) as host:
        networkd(host)
        host.write(
            "/etc/systemd/network/10-lo.network",
            f"[Match]\nName=lo\n\n[Network]\nAddress={FIRST.v4}/32\nAddress={FIRST.v6}/128\n",
        )
        host.write(
            SETTINGS, "net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.conf.all.arp_announce = 2\n"
        )
        host.awaited += [f"{FIRST.v4}/32", f"{FIRST.v6}/128"]
        yield host


def test_a_reboot_is_silent_with_the_settings_and_not_without(
    segment: Segment, server: BootedHost, peer: NetHost
) -> None:
    with DsrNetwork(segment, [server.number]) as net:
        balancer, own = mac_of(net.balancer.number), (peer.primary, f"2001:db8::{peer.number:x}")
        nearby = {server.primary: mac_of(server.number)}
        with Prober(peer, own, FIRST, nearby, net.servers) as prober:
            prober.begin("boot")
            server.boot()
            server.reboot()
            heard = prober.end(FEW)
            assert not heard.by_others(balancer)
            assert heard.by(balancer)
            assert heard.nearby
            server.remove(SETTINGS)
            prober.begin("withheld")
            server.reboot()
            heard = prober.end(FEW)
            assert set(heard.by_others(balancer)) == {FIRST.v4}
            assert heard.by(*net.servers)
