"""Who answers for a VIP on a real kernel: asked by ARP and neighbour solicitation from a peer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rig.netns import NetHost, Segment, hosts

pytestmark = pytest.mark.root

VIP4, VIP6 = "203.0.113.80", "2001:db8:8::80"
PILLAR = {"ipalias": {"dsr": {"vips": [VIP4, VIP6], "interfaces": ["eth0"]}}}
ALL = "/proc/sys/net/ipv4/conf/all"


@pytest.fixture
def pair() -> Iterator[tuple[NetHost, NetHost]]:
    """Give a real server, with a carrier for lo, and a host that asks."""
    with hosts(2) as (server, prober):
        # OpenRC as far as the product looks at it: what loads lo's file runs at boot alone.
        server.write("/run/openrc/softlevel", "default\n")
        server.write("/etc/runlevels/default/local", "")
        server.run(["mkdir", "-p", "/etc/runlevels/boot", "/etc/sysctl.d", "/etc/local.d"])
        yield server, prober


def asked(prober: NetHost, server: NetHost, *vips: str) -> dict[str, Any]:
    real = f"{server.primary},2001:db8::{server.number:x}"
    told: dict[str, Any] = prober.salt_call(
        "ipalias_dsr.probe", ",".join(vips or (VIP4, VIP6)), f"real={real}", pillar={}
    )
    return told


def tune(server: NetHost, path: str, value: str) -> None:
    server.run(["tee", path], value)


def by_hand(server: NetHost) -> None:
    server.ip("address", "add", f"{VIP4}/32", "dev", "lo")
    server.ip("address", "add", f"{VIP6}/128", "dev", "lo")


def test_a_host_without_the_settings_answers_by_arp_and_not_by_ipv6(pair: Any) -> None:
    """The kernel's own way, and what makes every other answer here worth something."""
    server, prober = pair
    by_hand(server)
    told = asked(prober, server)
    assert told["result"] is False
    assert told["answers"][VIP4]
    assert told["answers"][VIP6] == []
    (fault,) = told["faults"]
    assert f"answers for {VIP4}" in fault
    assert f"({told['answers'][server.primary][0]})" in fault


def test_a_real_server_is_silent_and_its_own_addresses_are_not(pair: Any) -> None:
    server, prober = pair
    before = server.read(f"{ALL}/arp_ignore")
    done = server.salt_call("ipalias_dsr.managed", pillar=PILLAR)
    assert done["result"] is True
    assert server.has(f"{VIP4}/32", "lo")
    assert server.has(f"{VIP6}/128", "lo")
    told = asked(prober, server)
    assert told["result"] is True, told
    assert told["answers"][VIP4] == told["answers"][VIP6] == []
    assert told["answers"][server.primary]
    assert told["answers"][f"2001:db8::{server.number:x}"]

    checked = server.salt_call("ipalias_dsr.check")
    assert checked["result"] is True, checked["comment"]
    assert {row["file"].split(":")[0] for row in checked["vips"]} == {"/etc/ipalias/lo.batch"}

    gone = server.salt_call("ipalias_dsr.absent")
    assert gone["result"] is True
    assert not server.has(VIP4, None)
    assert not server.has(VIP6, None)
    assert server.read(f"{ALL}/arp_ignore") == before
    assert not server.exists("/etc/ipalias")


def test_a_setting_that_somebody_takes_back_is_found_by_check_and_prober(pair: Any) -> None:
    server, prober = pair
    server.salt_call("ipalias_dsr.managed", pillar=PILLAR)
    tune(server, f"{ALL}/arp_ignore", "0")
    assert asked(prober, server)["result"] is False
    checked = server.salt_call("ipalias_dsr.check")
    assert checked["result"] is False
    assert "eth0: arp_ignore is 0" in checked["comment"]
    healed = server.salt_call("ipalias_dsr.managed")
    assert list(healed["changes"]) == ["settings"]
    assert asked(prober, server)["result"] is True


def test_a_vip_on_lo_alone_with_settings_of_lo_answers(pair: Any) -> None:
    server, prober = pair
    by_hand(server)
    for key, value in (("arp_ignore", "1"), ("arp_announce", "2")):
        tune(server, f"/proc/sys/net/ipv4/conf/lo/{key}", value)
    assert asked(prober, server)["answers"][VIP4]


def test_ipv6_stays_silent_on_a_router_and_answers_by_proxy(pair: Any) -> None:
    server, prober = pair
    by_hand(server)
    tune(server, "/proc/sys/net/ipv6/conf/all/forwarding", "1")
    assert asked(prober, server, VIP6)["answers"][VIP6] == []
    tune(server, "/proc/sys/net/ipv6/conf/eth0/proxy_ndp", "1")
    assert asked(prober, server, VIP6)["answers"][VIP6] == []
    server.ip("-6", "neigh", "add", "proxy", VIP6, "dev", "eth0")
    assert asked(prober, server, VIP6)["answers"][VIP6]
    done = server.salt_call("ipalias_dsr.managed", pillar=PILLAR)
    assert any("proxy entry" in note for note in done["notes"])


def test_a_balancer_may_answer_and_a_silent_host_that_is_not_there_proves_nothing() -> None:
    with Segment() as segment, NetHost(segment) as balancer, NetHost(segment) as prober:
        balancer.ip("address", "add", f"{VIP4}/32", "dev", "eth0")
        server = NetHost(segment)
        try:
            told = asked(prober, server, VIP4)
            assert told["result"] is True, told
            assert len(told["answers"][VIP4]) == 1
        finally:
            server.close()
        told = asked(prober, server, VIP4)
        assert told["result"] is False
        assert "its silence says nothing" in told["comment"]
