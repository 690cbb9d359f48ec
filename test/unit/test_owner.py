"""Who owns an interface, and what ``default`` means."""

from __future__ import annotations

import pytest

from rig.simengine import aliases, block, engine, ledger, live, only_present
from rig.simhost import SimHost
from rig.simnet import SimRoute
from rig.simnm import OWNERS
from rig.simowners import networkd
from saltext.ipalias.errors import InputError, RefusedError
from saltext.ipalias.ledger import Ledger
from saltext.ipalias.owner import choose, detect_all

WHERE = "ipalias:interfaces:default"


@pytest.fixture(autouse=True)
def _present(monkeypatch: pytest.MonkeyPatch) -> None:
    only_present(monkeypatch)


@pytest.fixture
def host() -> SimHost:
    return networkd(links=("eth0", "eth1"))


def default(*addresses: object) -> dict[str, object]:
    return block(*addresses, interface="default")


def move_default(host: SimHost, family: int, interface: str | None) -> None:
    """Let the default route of a family leave by another interface, or go."""
    net = host.net
    gone = [r for r in net.routes if (r.family, r.destination) == (family, "default")]
    net.routes = [route for route in net.routes if route not in gone]
    if interface is not None:
        net.add_route(SimRoute(family, "default", interface, "198.51.100.1"))


def refused(host: SimHost, pillar: dict[str, object]) -> str:
    before = host.state()
    with pytest.raises((InputError, RefusedError)) as caught:
        engine(host, pillar).managed()
    assert host.state() == before
    return str(caught.value)


# default


def test_default_is_the_interface_of_the_default_route(host: SimHost) -> None:
    engine(host, default("203.0.113.1", "2001:db8:1::1")).managed()
    assert {"203.0.113.1/32", "2001:db8:1::1/128"} < live(host)
    assert ledger(host).default == {"4": "eth0", "6": "eth0"}


def test_it_is_resolved_by_family(host: SimHost) -> None:
    move_default(host, 6, "eth1")
    engine(host, default("203.0.113.1", "2001:db8:1::1")).managed()
    assert "203.0.113.1/32" in live(host)
    assert "2001:db8:1::1/128" in live(host, "eth1")
    assert ledger(host).default == {"4": "eth0", "6": "eth1"}


def test_only_the_families_of_the_list_need_a_route(host: SimHost) -> None:
    move_default(host, 6, None)
    engine(host, default("203.0.113.1")).managed()
    assert ledger(host).default == {"4": "eth0"}


@pytest.mark.parametrize(("family", "address"), [(4, "203.0.113.1"), (6, "2001:db8:1::1")])
def test_no_default_route_is_an_error(host: SimHost, family: int, address: str) -> None:
    move_default(host, family, None)
    message = refused(host, default(address))
    assert message.startswith(f"{WHERE}: there is no IPv{family} default route")
    assert "name the interface" in message


def test_several_default_routes_are_named(host: SimHost) -> None:
    host.net.add_route(SimRoute(4, "default", "eth1", "198.51.100.1", metric=50))
    message = refused(host, default("203.0.113.1"))
    assert message.startswith(f"{WHERE}: there are IPv4 default routes by eth0, eth1")


def test_two_default_routes_by_one_interface_are_one(host: SimHost) -> None:
    host.net.add_route(SimRoute(4, "default", "eth0", "192.0.2.3", metric=50))
    engine(host, default("203.0.113.1")).managed()
    assert "203.0.113.1/32" in live(host)


def test_default_and_its_real_name_together_are_refused(host: SimHost) -> None:
    pillar = default("203.0.113.1")
    pillar["interfaces"]["eth0"] = {"addresses": ["203.0.113.2"]}  # type: ignore[index]
    message = refused(host, pillar)
    assert message == (
        f"{WHERE}: `default` is eth0, which is listed as well; join both lists under `eth0`"
    )


def test_default_beside_another_interface_is_fine(host: SimHost) -> None:
    pillar = default("203.0.113.1")
    pillar["interfaces"]["eth1"] = {"addresses": ["203.0.113.2"]}  # type: ignore[index]
    engine(host, pillar).managed()
    assert "203.0.113.2/32" in live(host, "eth1")


def test_a_route_that_leaves_elsewhere_moves_nothing(host: SimHost) -> None:
    engine(host, default("203.0.113.1")).managed()
    move_default(host, 4, "eth1")
    message = refused(host, default("203.0.113.1", "203.0.113.2"))
    assert "the IPv4 default route now leaves by eth1" in message
    assert "`default` is pinned to eth0; nothing was changed" in message
    assert "ipalias.pin_default" in message


def test_a_route_that_is_gone_leaves_the_pin(host: SimHost) -> None:
    engine(host, default("203.0.113.1")).managed()
    move_default(host, 4, None)
    engine(host, default("203.0.113.1", "203.0.113.2")).managed()
    assert "203.0.113.2/32" in live(host)
    assert ledger(host).default["4"] == "eth0"


def test_a_second_way_out_leaves_the_pin(host: SimHost) -> None:
    engine(host, default("203.0.113.1")).managed()
    host.net.add_route(SimRoute(4, "default", "eth1", "198.51.100.1", metric=50))
    engine(host, default("203.0.113.1", "203.0.113.2")).managed()
    assert {"203.0.113.1/32", "203.0.113.2/32"} < live(host)


def test_pinning_anew_moves_the_aliases(host: SimHost) -> None:
    from saltext.ipalias.upkeep import pin_default

    pillar = default("203.0.113.1")
    engine(host, pillar).managed()
    move_default(host, 4, "eth1")
    told = pin_default(engine(host, pillar), test=True)
    assert told["result"] is None
    assert told["changes"]["ipv4"] == {"old": "eth0", "new": "eth1"}
    assert ledger(host).default["4"] == "eth0"
    pin_default(engine(host, pillar))
    assert ledger(host).default["4"] == "eth1"
    engine(host, pillar).managed()
    assert "203.0.113.1/32" in live(host, "eth1")
    assert "203.0.113.1/32" not in live(host)
    assert engine(host, pillar).managed()["changes"] == {}


def test_an_address_moves_from_one_interface_to_another(host: SimHost) -> None:
    engine(host, block("203.0.113.1", interface="eth1")).managed()
    engine(host, block("203.0.113.1")).managed()
    assert "203.0.113.1/32" in live(host)
    assert "203.0.113.1/32" not in live(host, "eth1")
    pillar = {
        "interfaces": {"eth0": {"addresses": []}, "eth1": {"addresses": ["203.0.113.1"]}},
    }
    for name in ("eth1", "eth0"):
        engine(host, pillar).managed(name)
    assert "203.0.113.1/32" in live(host, "eth1")
    assert "203.0.113.1/32" not in live(host)


def test_by_hand_nothing_moves(host: SimHost) -> None:
    engine(host, block("203.0.113.1", interface="eth1")).managed()
    with pytest.raises(InputError, match="already live on eth1; remove it there first"):
        engine(host, None).add(aliases("203.0.113.1"))


def test_adding_by_hand_takes_the_default_interface(host: SimHost) -> None:
    engine(host, None).add(aliases("203.0.113.1", "2001:db8:1::1", interface="default"))
    assert {"203.0.113.1/32", "2001:db8:1::1/128"} < live(host)


# Owners


@pytest.mark.parametrize("dialect", sorted(OWNERS))
def test_the_owner_is_found_and_the_others_say_why_not(dialect: str) -> None:
    found = detect_all(OWNERS[dialect](), "eth0")
    assert found[0].owns
    assert found[0].backend == dialect
    assert all(not item.owns or item.strength < found[0].strength for item in found[1:])
    assert all(item.reasons for item in found)


def test_what_is_installed_is_not_what_owns() -> None:
    """Netplan, NetworkManager and ifupdown are there; networkd manages the link."""
    host = networkd()
    for other in ("ifupdown", "netplan"):
        host.programs.update(
            {k: v for k, v in OWNERS[other]().programs.items() if k not in host.programs}
        )
    host.files.make_folders("/etc/netplan")
    host.files.put("/etc/network/interfaces", "auto lo\niface lo inet loopback\n")
    assert detect_all(host, "eth0")[0].backend == "networkd"


def test_a_named_backend_works_without_its_daemon() -> None:
    host = networkd()
    host.programs["systemctl"].active = ()  # type: ignore[attr-defined]
    answer = engine(host, block("203.0.113.1", backend="networkd")).managed()
    assert "203.0.113.1/32" in live(host)
    assert "does not run" in answer["comment"]


def test_what_nobody_owns_any_more_is_taken_back_where_it_was_written() -> None:
    host = OWNERS["ifupdown"]()
    engine(host, block("203.0.113.1")).managed()
    text = host.files.read("/etc/network/interfaces") or ""
    # Somebody takes the stanzas of eth0 out, and leaves ours.
    left = text.replace("auto eth0\n", "").replace("iface eth0 inet", "iface eth9 inet")
    host.files.put("/etc/network/interfaces", left)
    assert not detect_all(host, "eth0")[0].owns
    backend, evidence = choose(host, "eth0", "auto", ledger(host), WHERE)
    assert backend.NAME == "ifupdown"
    assert evidence.owns
    engine(host, None).clean()
    assert "203.0.113.1" not in (host.files.read("/etc/network/interfaces") or "")
    assert "203.0.113.1/32" not in live(host)


def test_an_interface_whose_owner_changed_has_our_lines_in_one_place() -> None:
    host = OWNERS["ifupdown"]()
    engine(host, block("203.0.113.1")).managed()
    other = networkd()
    for path, node in other.files.nodes.items():
        host.files.nodes.setdefault(path, node)
    host.programs.update({k: v for k, v in other.programs.items() if k != "ip"})
    host.programs["networkctl"].host = host  # type: ignore[attr-defined]
    engine(host, block("203.0.113.1")).managed()
    assert ledger(host).backends == {"eth0": "networkd"}
    assert "203.0.113.1" not in (host.files.read("/etc/network/interfaces") or "")
    dropin = "/etc/systemd/network/50-eth0.network.d/60-ipalias.conf"
    assert "203.0.113.1" in (host.files.read(dropin) or "")
    assert "203.0.113.1/32" in live(host)
    assert engine(host, block("203.0.113.1")).managed()["changes"] == {}


def test_a_lost_ledger_pins_nothing() -> None:
    assert Ledger(lost=True).default == {}
