"""What a host refuses, and which address of an interface is its primary."""

from __future__ import annotations

import pytest

from rig.simengine import aliases, block, engine, had, ledger, live, only_present
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimRoute
from rig.simnm import OWNERS
from rig.simowners import ifupdown, netplan, networkd
from saltext.ipalias.errors import InputError, IpaliasError, OwnerError

WHERE = "ipalias:interfaces:eth0:addresses[0]"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture(params=sorted(OWNERS))
def owned(request: pytest.FixtureRequest) -> SimHost:
    return OWNERS[request.param]()


def refused(host: SimHost, *addresses: object, **settings: object) -> str:
    """Return the message of a refusal that has changed nothing."""
    before = host.state()
    with pytest.raises(IpaliasError) as caught:
        engine(host, block(*addresses, **settings)).managed()
    assert host.state() == before
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("192.0.2.2", "192.0.2.2 is the interface's own primary address"),
        ("192.0.2.2/24", "192.0.2.2 is the interface's own primary address"),
        ("2001:db8::2", "2001:db8::2 is the interface's own primary address"),
        ("192.0.2.0", "192.0.2.0 is the network address of 192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.255 is the broadcast address of 192.0.2.0/24"),
        ("127.0.0.53", "127.0.0.53 is a loopback address"),
        ("127.0.0.53/8", "127.0.0.53 is a loopback address"),
        ("::1", "::1 is a loopback address"),
        ({"address": "2001:db8:1::1", "label": "x"}, "IPv6 addresses have no label"),
        ("fe80::2", "fe80::2"),
    ],
)
def test_an_address_that_cannot_live_here(owned: SimHost, address: object, said: str) -> None:
    message = refused(owned, address)
    assert message.startswith(f"{WHERE}: ")
    assert said in message


@pytest.mark.parametrize("edge", [0, 63])
def test_the_edges_of_another_links_subnet_are_refused(edge: int) -> None:
    host = networkd(links=("eth0", "eth1"))
    assert "of 198.51.100.0/26" in refused(host, f"198.51.100.{edge}")


def test_a_block_over_the_edge_of_a_subnet_names_the_address() -> None:
    host = networkd()
    message = refused(host, {"block": "192.0.2.252/30"})
    assert "192.0.2.255 is the broadcast address of 192.0.2.0/24" in message


def test_an_address_of_another_link_is_refused() -> None:
    host = networkd(links=("eth0", "eth1"))
    assert "198.51.100.2 is already live on eth1; remove it there first" in refused(
        host, "198.51.100.2"
    )


def test_an_alias_may_be_a_neighbour_of_the_primary(owned: SimHost) -> None:
    listed = had(owned, "192.0.2.9/32", "192.0.2.10/24", "2001:db8::9/64")
    engine(owned, block(*listed)).managed()
    assert set(listed) < live(owned)


def test_the_edges_of_our_own_subnets_are_free_to_use(owned: SimHost) -> None:
    pillar = block("203.0.113.9/24", "203.0.113.0")
    engine(owned, block("203.0.113.9/24")).managed()
    engine(owned, pillar).managed()
    assert engine(owned, pillar).managed()["changes"] == {}


# Names and owners


def test_an_unknown_interface_names_those_there_are(owned: SimHost) -> None:
    with pytest.raises(InputError) as caught:
        engine(owned, block("203.0.113.1", interface="eth7")).managed()
    message = str(caught.value)
    assert "ipalias:interfaces:eth7: there is no interface 'eth7'" in message
    assert "this host has eth0, lo" in message


def test_an_interface_of_nobody_gives_each_dialects_reason() -> None:
    host = networkd()
    host.net.add_link("eth1")
    before = host.state()
    with pytest.raises(OwnerError) as caught:
        engine(host, block("203.0.113.1", interface="eth1")).managed()
    message = str(caught.value)
    assert "eth1 is owned by nobody" in message
    for said in ("ifupdown: ", "networkd: ", "netplan: netplan is not installed"):
        assert said in message
    assert "ipalias:interfaces:eth1:backend" in message
    assert host.state() == before


@pytest.mark.parametrize(
    ("dialect", "system"),
    [("freebsd", "FreeBSD"), ("ipadm", "Solaris or illumos"), ("windows", "Windows")],
)
def test_a_dialect_of_another_system_is_refused(dialect: str, system: str) -> None:
    host = networkd()
    before = host.state()
    with pytest.raises(OwnerError) as caught:
        engine(host, {"backend": dialect, **block("203.0.113.1")}).managed()
    message = str(caught.value)
    assert f"{dialect} is a dialect of {system}, this is Linux" in message
    assert "here and at the top" in message
    assert host.state() == before


@pytest.mark.parametrize("dialect", ["ifupdown", "networkd", "netplan", "networkmanager"])
def test_an_error_on_one_interface_leaves_no_other_half_applied(dialect: str) -> None:
    host = OWNERS[dialect](links=("eth0", "eth1"))
    before = host.state()
    pillar = {
        "interfaces": {
            "eth0": {"addresses": ["203.0.113.1"]},
            "eth1": {"addresses": ["198.51.100.2"]},
        }
    }
    for name in (None, "eth0"):
        with pytest.raises(InputError):
            engine(host, pillar).managed(name)
        assert host.state() == before


@pytest.mark.parametrize(
    ("dialect", "path", "text", "line"),
    [
        ("ifupdown", "/etc/network/interfaces", "auto eth0\niface eth0\n", 2),
        ("networkd", "/etc/systemd/network/50-eth0.network", "[Match]\nName=eth0\n[Address\n", 3),
        ("netplan", "/etc/netplan/01-netcfg.yaml", "network:\n  ethernets: [\n", 3),
        (
            "networkmanager",
            "/etc/NetworkManager/system-connections/eth0.nmconnection",
            "[connection]\ninterface-name=eth0\n[ipv4\n",
            3,
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_line(
    dialect: str, path: str, text: str, line: int
) -> None:
    host = OWNERS[dialect]()
    host.files.put(path, text)
    message = refused(host, "203.0.113.1", backend=dialect)
    assert f"{path}:{line}" in message


# Labels


def test_the_label_that_counts_is_the_live_one() -> None:
    ten = "ten-letter"
    assert len(f"eth0:{ten}") == 15
    engine(ifupdown(), block({"address": "203.0.113.1", "label": ten})).managed()
    message = refused(ifupdown(), {"address": "203.0.113.1", "label": f"{ten}x"})
    assert message.startswith(f"{WHERE}: label 'ten-letterx' becomes 'eth0:ten-letterx'")
    assert "16 characters" in message
    for host in (networkd(), netplan()):
        fifteen = {"address": "203.0.113.1", "label": "fifteen-letters"}
        engine(host, block(fifteen)).managed()
        labels = {a.label for a in host.net.links["eth0"].addresses4}
        assert "fifteen-letters" in labels


def test_a_colon_stands_only_behind_the_interface(owned: SimHost) -> None:
    said = refused(owned, {"address": "203.0.113.1", "label": "eth1:x"})
    assert said.startswith(WHERE)
    assert "eth1:x" in said


def test_two_stanzas_cannot_share_a_name() -> None:
    message = refused(
        ifupdown(),
        {"address": "203.0.113.1", "label": "x"},
        {"address": "203.0.113.2", "label": "x"},
    )
    assert "203.0.113.1" in message
    assert "203.0.113.2" in message


def test_what_a_dialect_refuses_has_its_reason() -> None:
    host = OWNERS["networkmanager"]()
    assert "keyfile stores an address" in refused(host, {"address": "203.0.113.1", "label": "x"})
    never = {"address": "203.0.113.1", "source": "never"}
    assert "source: never on 203.0.113.1/32: a NetworkManager keyfile" in refused(host, never)
    assert "netplan has no setting" in refused(netplan(), never)


def test_one_subnet_has_one_scope() -> None:
    message = refused(networkd(), {"address": "192.0.2.9/24", "source": "never"})
    assert "192.0.2.2/24 has the same subnet" in message
    assert "write 192.0.2.9/32" in message


# How many


def test_networkd_holds_8192_addresses_a_link() -> None:
    host = networkd()
    # The two primaries in its file count.
    addresses = ["2001:db8:9::-2001:db8:9::1fff"]
    message = refused(host, *addresses)
    assert message.startswith("ipalias:interfaces:eth0:addresses: eth0: 8192 aliases and 2 other")
    assert "networkd holds 8192 on a link; list at most 8190 aliases" in message
    said = refused(netplan(), *addresses)
    assert "8192" in said


# The primary


def primaries(host: SimHost) -> dict[int, str]:
    asked = engine(host, None)
    snapshot = asked.snapshot()
    return asked.situation("eth0", asked.config().base, asked.ledger(), snapshot).primaries


def test_the_primary_is_what_the_default_route_speaks_with(owned: SimHost) -> None:
    assert primaries(owned) == {4: "192.0.2.2", 6: "2001:db8::2"}


def test_aliases_before_it_do_not_become_the_primary(owned: SimHost) -> None:
    """An address of scope host stands first in the kernel's list, a new IPv6 one too."""
    engine(owned, block(*had(owned, "203.0.113.1/24", "2001:db8:1::1/64"))).managed()
    assert primaries(owned) == {4: "192.0.2.2", 6: "2001:db8::2"}


def test_a_source_on_the_default_route_decides() -> None:
    host = networkd()
    host.net.add4("eth0", SimAddress("198.51.100.30", 24))
    route = SimRoute(4, "default", "eth0", "192.0.2.1", source="198.51.100.30")
    host.net.add_route(route, replacing=True)
    assert primaries(host)[4] == "198.51.100.30"


def test_a_foreign_alias_newer_than_the_primary_is_not_the_primary() -> None:
    host = networkd()
    host.net.add6("eth0", SimAddress("2001:db8:7::7", 128))
    assert primaries(host)[6] == "2001:db8::2"


def test_without_a_route_the_first_address_is_the_primary() -> None:
    host = networkd()
    host.net.routes.clear()
    host.net.add4("eth0", SimAddress("198.51.100.30", 32))
    assert primaries(host)[4] == "192.0.2.2"


def test_with_nothing_live_the_file_names_the_primary() -> None:
    host = networkd()
    host.net.links["eth0"].addresses4.clear()
    assert primaries(host)[4] == "192.0.2.2"
    assert "own primary" in refused(host, "192.0.2.2")


def test_a_fallen_primary_makes_no_alias_the_primary() -> None:
    """Our own entries are never taken for it, or the next run would spare them for ever."""
    host = networkd()
    engine(host, block("203.0.113.1")).managed()
    host.net.delete4("eth0", "192.0.2.2", 24)
    assert primaries(host)[4] == "192.0.2.2"
    assert set(ledger(host).on("eth0")) == {"203.0.113.1/32"}


def test_an_alias_live_by_someone_else_becomes_ours_by_the_pillar(owned: SimHost) -> None:
    owned.net.add4("eth0", SimAddress("203.0.113.1", 32))
    engine(owned, block("203.0.113.1")).managed()
    engine(owned, None).add(aliases("203.0.113.2"))
    assert set(ledger(owned).on("eth0")) == {"203.0.113.1/32", "203.0.113.2/32"}


# Beside another interface


@pytest.mark.parametrize("dialect", ["networkd", "netplan"])
def test_a_reload_for_one_link_costs_no_other_its_foreign_address(dialect: str) -> None:
    host = OWNERS[dialect](links=("eth0", "eth1"))
    host.ip(["ip", "address", "add", "203.0.113.99/32", "dev", "eth1"], None)
    pillar = {
        "interfaces": {
            "eth1": {"addresses": ["203.0.113.1"]},
            "eth0": {"addresses": []},
        }
    }
    told = engine(host, pillar).managed()
    assert "203.0.113.99" in told["comment"]
    pillar["interfaces"]["eth0"]["addresses"] = ["203.0.113.2"]
    told = engine(host, pillar).managed()
    assert "that would take 203.0.113.99/32 of eth1 away" in told["comment"]
    assert {"203.0.113.1/32", "203.0.113.99/32"} < live(host, "eth1")
    host.ip(["ip", "address", "delete", "203.0.113.99/32", "dev", "eth1"], None)
    pillar["interfaces"]["eth0"]["addresses"] = ["203.0.113.3"]
    assert "not told" not in engine(host, pillar).managed()["comment"]
