"""Live reader of ifconfig, in the forms of four systems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from saltext.ipalias.live import LiveAddress, ifconfig

CORPUS = Path(
    os.environ.get("IPALIAS_CORPUS", Path(__file__).resolve().parents[3] / "shared/corpus")
)

LINUX_NEW = """\
eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 192.0.2.1  netmask 255.255.255.0  broadcast 192.0.2.255
        inet6 fe80::200:5eff:fe00:5301  prefixlen 64  scopeid 0x20<link>
        ether 00:00:5E:00:53:01  txqueuelen 1000  (Ethernet)
        RX packets 18300  bytes 94489008 (90.1 MiB)

eth0:1: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 192.0.2.10  netmask 255.255.255.255  broadcast 0.0.0.0
        inet6 fe80::200:5eff:fe00:5301  prefixlen 64  scopeid 0x20<link>
        ether 00:00:5e:00:53:01  txqueuelen 1000  (Ethernet)
"""
LINUX_OLD = """\
eth0      Link encap:Ethernet  HWaddr 00:00:5E:00:53:01  
          inet addr:192.0.2.1  Bcast:192.0.2.255  Mask:255.255.255.0
          inet6 addr: fe80::200:5eff:fe00:5301/64 Scope:Link
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1

eth0:1    Link encap:Ethernet  HWaddr 00:00:5E:00:53:01  
          inet addr:192.0.2.10  Bcast:0.0.0.0  Mask:255.255.255.255
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1
"""  # noqa: W291


@pytest.mark.parametrize("text", [LINUX_OLD, LINUX_NEW], ids=["old", "new"])
def test_linux_label_folds_into_its_interface(text: str) -> None:
    found = ifconfig.parse(text)
    (link,) = found.links
    assert (link.name, link.mac, link.mtu) == ("eth0", "00:00:5e:00:53:01", 1500)
    assert link.flags == {"UP", "BROADCAST", "RUNNING", "MULTICAST"}
    assert found.addresses == (
        LiveAddress("eth0", "192.0.2.1", 24),
        LiveAddress("eth0", "fe80::200:5eff:fe00:5301", 64, scope="link"),
        LiveAddress("eth0", "192.0.2.10", 32, label="eth0:1"),
    )


def test_freebsd_words_behind_an_address() -> None:
    found = ifconfig.parse(
        "em0: flags=8843<UP> metric 0 mtu 1500\n"
        "\tinet6 2001:db8::10 prefixlen 128 deprecated autoconf\n"
        "\tinet6 2001:db8::11 prefixlen 128 duplicated\n"
    )
    assert found.on("em0") == (
        LiveAddress(
            "em0",
            "2001:db8::10",
            128,
            flags=frozenset({"deprecated", "dynamic"}),
            preferred_zero=True,
        ),
        LiveAddress("em0", "2001:db8::11", 128, flags=frozenset({"dadfailed"})),
    )


# What each real file holds, told without its addresses: links with a star where there is
# a hardware address, and each address as interface, family, prefix length and scope.
SHAPES = {
    "ifconfig_freebsd/01.txt": (
        "vtnet0* re0.33* bridge0* vnet0:11* lo0",
        ["bridge0 4/24 global", "vnet0:11 6/64 link", "lo0 6/128 host", "lo0 6/64 link",
         "lo0 4/8 host"],
    ),
    "ifconfig_freebsd/02.txt": (
        "vtnet0* lo0",
        ["vtnet0 4/32 global", "vtnet0 6/64 link", "lo0 4/8 host", "lo0 6/128 host",
         "lo0 6/64 link"],
    ),
    "ifconfig_freebsd/03.txt": ("hn0* mce0*", ["hn0 4/24 global"]),
    "ifconfig_linux/01.txt": (
        "enp0s25* lo",
        ["enp0s25 4/24 global", "enp0s25 6/64 global", "enp0s25 6/64 link", "lo 4/8 host",
         "lo 6/128 host"],
    ),
    "ifconfig_linux/02.txt": (
        "eth0* lo",
        ["eth0 4/24 global", "eth0 6/64 link", "eth0 4/16 global eth0:1", "lo 4/8 host",
         "lo 6/128 host"],
    ),
    "ifconfig_linux/03.txt": ("ppp0", ["ppp0 4/32 global"]),
    "ifconfig_openbsd/01.txt": (
        "lo0 vio0* enc0 pflog0 gif0",
        ["lo0 6/128 host", "lo0 6/64 link", "lo0 4/8 host", "vio0 6/64 link",
         "vio0 4/24 global", "gif0 6/128 global", "gif0 6/64 link", "gif0 6/64 global"],
    ),
}  # fmt: skip


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"not applicable: no real files at {CORPUS}")
class TestCorpus:
    @pytest.mark.parametrize("path", SHAPES)
    def test_shape(self, path: str) -> None:
        text = (CORPUS / "outputs" / path).read_text()
        found = ifconfig.parse(text)
        links, addresses = SHAPES[path]
        assert " ".join(link.name + "*" * bool(link.mac) for link in found.links) == links
        assert [
            f"{a.interface} {a.family}/{a.prefix} {a.scope} {a.label or ''}".rstrip()
            for a in found.addresses
        ] == addresses
        for address in found.addresses:
            assert f" {address.address}" in text or f":{address.address}" in text
        for link in found.links:
            assert link.mac in text.lower()

    def test_every_file_is_looked_at(self) -> None:
        there = {f"{p.parent.name}/{p.name}" for p in (CORPUS / "outputs").glob("ifconfig_*/*")}
        assert there == set(SHAPES)
