"""The rig of the DSR proof on its own: what it must see when a real server is set up wrongly.

No part of the product runs here. Where one of these fails, no line of `make proof-dsr` says
anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.dsr_network import FIRST, SECOND, DsrNetwork, mac_of, put_vip, silence, write_sysctl
from rig.dsr_programs import Prober, asking, serving
from rig.netns import NetHost, Segment

pytestmark = pytest.mark.root

#: Requests, and questions for an address in each family: few, for a lane of many tests.
FEW = 200


class Scene:
    """A balancer, a client, two real servers without anything set, and another host."""

    def __init__(self, segment: Segment) -> None:
        self.servers = [NetHost(segment) for _ in range(2)]
        self.peer = NetHost(segment)
        self.net = DsrNetwork(segment, [server.number for server in self.servers])
        self.alone = mac_of(self.net.balancer.number)

    def prober(self, direct: bool = True) -> Prober:
        """Return who asks for the VIPs."""
        nearby = {}
        for server in self.servers:
            nearby[server.primary] = mac_of(server.number)
            nearby[f"2001:db8::{server.number:x}"] = mac_of(server.number)
        own = (self.peer.primary, f"2001:db8::{self.peer.number:x}")
        return Prober(self.peer, own, [*FIRST, *SECOND], nearby, self.net.servers if direct else [])

    def close(self) -> None:
        self.net.close()
        for host in (*self.servers, self.peer):
            host.close()


@pytest.fixture
def scene(segment: Segment) -> Iterator[Scene]:
    made = Scene(segment)
    try:
        yield made
    finally:
        made.close()


def test_both_servers_answer_directly_and_only_the_balancer_has_the_vip(scene: Scene) -> None:
    for server in scene.servers:
        silence(server)
        put_vip(server, FIRST)
    with scene.prober() as prober, serving(*scene.servers):
        prober.begin("steady")
        with asking(scene.net.client, FIRST, FEW) as traffic:
            pass
        heard = prober.end(FEW)
    assert (traffic.asked, traffic.answered, traffic.lost) == (FEW, FEW, 0), traffic.first_lost
    assert sorted(traffic.kinds) == ["tcp4", "tcp6", "udp4", "udp6"]
    for row in traffic.kinds.values():
        assert set(row["servers"]) == {server.name for server in scene.servers}
    seen = scene.net.counts()
    assert seen.to_balancer == seen.on >= FEW
    assert min(seen.direct.values()) > FEW / 4
    assert (seen.past_balancer, seen.through_balancer, seen.claims) == (0, 0, 0)
    assert not heard.by_others(scene.alone)
    assert set(heard.answers) == {*FIRST, *SECOND}
    assert heard.nearby == heard.nearby_asked > 0


def test_with_the_settings_withheld_the_servers_answers_are_seen(scene: Scene) -> None:
    put_vip(scene.servers[0], FIRST)
    with scene.prober() as prober:
        prober.begin("withheld")
        heard = prober.end(FEW)
        # IPv4 on any address of the host's; IPv6 on the NIC's own alone, asked directly too.
        assert set(heard.by_others(scene.alone)) == {FIRST.v4}
        assert heard.by(scene.net.servers[0]) > FEW / 4
        assert not heard.by(scene.net.servers[1])
        assert scene.net.counts().claims > FEW / 4
        silence(scene.servers[0])
        prober.begin("silent")
        before = scene.net.counts().claims
        assert not prober.end(FEW).by_others(scene.alone)
        assert scene.net.counts().claims == before


def test_a_vip_on_the_nic_is_seen_in_both_families(scene: Scene) -> None:
    silence(scene.servers[1])
    put_vip(scene.servers[1], SECOND, "eth0")
    with scene.prober(direct=False) as prober:
        prober.begin("wrong")
        heard = prober.end(FEW)
    assert set(heard.by_others(scene.alone)) == set(SECOND)
    assert scene.net.counts().claims > FEW * 3 / 4


def test_a_vip_as_the_sender_of_a_request_is_counted(scene: Scene) -> None:
    for server in scene.servers:
        put_vip(server, FIRST)
        write_sysctl(server, "net/ipv4/conf/all/arp_ignore", 1)
        # Who has to ask for the gateway asks in the name of what it answers with.
        server.ip("neigh", "flush", "all")
    with serving(*scene.servers), asking(scene.net.client, FIRST, FEW) as traffic:
        pass
    assert traffic.answered > FEW / 2
    assert scene.net.counts().claims > 0


def test_what_is_lost_is_counted(scene: Scene) -> None:
    for server in scene.servers:
        silence(server)
    put_vip(scene.servers[0], FIRST)
    with (
        serving(*scene.servers),
        asking(scene.net.client, FIRST, FEW, patience=3.0) as traffic,
    ):
        pass
    assert traffic.asked == traffic.answered + traffic.lost == FEW
    assert traffic.lost > FEW / 8
    assert set(traffic.servers) == {scene.servers[0].name}
    assert traffic.first_lost


def test_an_answer_by_way_of_the_balancer_is_counted(scene: Scene) -> None:
    for server in scene.servers:
        silence(server)
        put_vip(server, FIRST)
    way = scene.net.balancer.primary
    scene.servers[0].ip("route", "replace", "default", "via", way, "dev", "eth0")
    with (
        serving(*scene.servers),
        asking(scene.net.client, FIRST, FEW, patience=3.0),
    ):
        pass
    assert scene.net.counts().through_balancer > 0
