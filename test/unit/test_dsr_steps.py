"""Real servers step by step: what is refused, what stays whose, and what each answer says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rig.simdsr import OTHER, VIPS, block, dsr, host_of, live, loud
from rig.simengine import engine, ledger
from rig.simhost import SimHost
from rig.simnet import SimAddress
from rig.simsysctl import Systemctl, managed, tuner
from saltext.ipalias import upkeep
from saltext.ipalias.errors import InputError, IpaliasError, RefusedError
from saltext.ipalias.ledger import ORIGIN_DSR

V4, V6 = VIPS
OURS = "/etc/sysctl.d/zz-ipalias.conf"
ALL = "net/ipv4/conf/all"


@pytest.fixture
def host() -> SimHost:
    return host_of("networkd")


def server(host: SimHost, *vips: str) -> SimHost:
    dsr(host, block(*(vips or VIPS))).managed()
    return host


def refused(host: SimHost, pillar: dict[str, Any], kind: type[IpaliasError]) -> str:
    """Return the message of a refusal that has changed nothing."""
    before, count = host.state(), len(host.mutating)
    with pytest.raises(kind) as raised:
        dsr(host, pillar).managed()
    assert host.state() == before
    assert len(host.mutating) == count
    with pytest.raises(kind):
        dsr(host, pillar).managed(test=True)
    return raised.value.text()


# What is refused


@pytest.mark.parametrize("vip", ["192.0.2.2", "2001:db8::2"])
def test_the_hosts_primary_is_no_vip(host: SimHost, vip: str) -> None:
    said = refused(host, block(V4, vip), InputError)
    assert f"ipalias:dsr:vips[1]: {vip} is the primary address of eth0" in said


def test_what_is_live_on_a_network_card_is_no_vip(host: SimHost) -> None:
    host.net.add4("eth1", SimAddress(V4, 32))
    assert f"{V4} is already live on eth1" in refused(host, block(V4), InputError)


def test_a_receiving_interface_that_is_not_there(host: SimHost) -> None:
    said = refused(host, block(V4, interfaces=["eth0", "eth7"]), InputError)
    assert said.startswith("ipalias:dsr:interfaces[1]: eth7 is no interface of this host")
    assert "eth0, eth1" in said


def test_the_loopback_receives_nothing(host: SimHost) -> None:
    assert "lo carries the VIPs" in refused(host, block(V4, interfaces=["lo"]), InputError)


def test_another_file_that_wins_later_is_named(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/zzz-site.conf", "# site\nnet.ipv4.conf.all.arp_ignore = 0\n")
    said = refused(host, block(V4), RefusedError)
    assert "/etc/sysctl.d/zzz-site.conf:2 sets 0" in said


def test_another_who_keeps_another_value_is_named(host: SimHost) -> None:
    managed({"net.ipv4.conf.all.arp_announce": 1})(host)
    said = refused(host, block(V4), RefusedError)
    assert "net.ipv4.conf.all.arp_announce shall be 2 for dsr" in said
    assert "kept at 1 for pillar" in said


def test_an_interfaces_own_value_that_answers_is_named(host: SimHost) -> None:
    host.proc.values["net/ipv4/conf/eth1/arp_ignore"] = "3"
    said = refused(host, block(V4), RefusedError)
    assert "eth1: arp_ignore is 3" in said


def test_a_vip_among_the_aliases_is_refused_by_both(host: SimHost) -> None:
    pillar = {**block(V4), "interfaces": {"eth0": {"addresses": [V4]}}}
    assert "ipalias:dsr:vips[0]" in refused(host, pillar, InputError)
    with pytest.raises(InputError, match=V4):
        engine(host, pillar).managed()


def test_lo_that_nothing_would_load(host: SimHost) -> None:
    host.files.nodes.pop("/run/systemd/system")
    with pytest.raises(IpaliasError, match="neither systemd nor OpenRC"):
        dsr(host, block(V4)).managed()
    assert live(host) == set()


# What stays whose


def test_vips_have_their_own_origin_and_label(host: SimHost) -> None:
    server(host, V4, OTHER, V6)
    entries = ledger(host).on("lo")
    assert {entry.origin for entry in entries.values()} == {ORIGIN_DSR}
    labels = {a.address: a.label for a in host.net.links["lo"].addresses4}
    assert (labels[V4], labels[OTHER]) == ("lo:1", "lo:2")
    dsr(host, block(OTHER, V6)).managed()
    labels = {a.address: a.label for a in host.net.links["lo"].addresses4}
    assert labels[OTHER] == "lo:2"


@pytest.mark.parametrize("pillar", [{}, {"purge": "all"}, {"interfaces": {"lo": {}}}])
def test_a_highstate_of_the_aliases_leaves_vips_alone(
    host: SimHost, pillar: dict[str, Any]
) -> None:
    server(host)
    engine(host, pillar).managed()
    engine(host, pillar).pruned()
    assert live(host) == {*VIPS}


def test_a_purge_of_lo_itself_leaves_vips_alone(host: SimHost) -> None:
    server(host)
    host.ip(["ip", "address", "add", "198.51.100.9/32", "dev", "lo"], None)
    engine(host, {"interfaces": {"lo": {"addresses": [OTHER], "purge": "all"}}}).managed()
    assert live(host) == {*VIPS, OTHER}


def test_dsr_leaves_aliases_of_lo_alone(host: SimHost) -> None:
    aliases = {"interfaces": {"lo": {"addresses": [OTHER]}}}
    engine(host, aliases).managed()
    dsr(host, {**aliases, **block(V4)}).managed()
    assert live(host) == {OTHER, V4}
    dsr(host, aliases).managed()
    assert live(host) == {OTHER}


def test_clean_leaves_vips_and_says_who_takes_them(host: SimHost) -> None:
    server(host)
    engine(host).add(engine_aliases("198.51.100.10", "eth0"))
    answer = engine(host).clean()
    assert live(host) == {*VIPS}
    assert "ipalias_dsr.absent" in answer["comment"]
    assert "198.51.100.10/32" in answer["changes"]["addresses"]["removed"]


def engine_aliases(address: str, interface: str) -> list[Any]:
    from rig.simengine import aliases

    return aliases(address, interface=interface)


def test_remove_names_who_takes_a_vip_away(host: SimHost) -> None:
    server(host)
    with pytest.raises(RefusedError, match=f"ipalias_dsr.absent {V4}"):
        engine(host).remove([(V4, None)])
    forced = engine(host)
    forced.forced = frozenset({V4})
    forced.remove([(V4, None)])
    assert live(host) == {V6}


def test_one_that_somebody_set_by_hand_becomes_ours(host: SimHost) -> None:
    host.ip(["ip", "address", "add", f"{V4}/32", "dev", "lo", "label", "lo:0"], None)
    answer = dsr(host, block(V4)).managed()
    assert "addresses" not in answer["changes"]
    assert host.net.links["lo"].addresses4[-1].label == "lo:0"
    dsr(host, {}).managed()
    assert live(host) == set()


def test_one_in_a_foreign_file_stays_there() -> None:
    host = host_of("ifupdown")
    text = host.files.read("/etc/network/interfaces") or ""
    line = f"\nauto lo:7\niface lo:7 inet static\n    address {V4}\n    netmask 255.255.255.255\n"
    host.files.put("/etc/network/interfaces", text + line)
    host.ip(["ip", "address", "add", f"{V4}/32", "dev", "lo", "label", "lo:7"], None)
    answer = dsr(host, block(V4, V6)).managed()
    assert any("/etc/network/interfaces" in note for note in answer["notes"])
    assert set(ledger(host).on("lo")) == {f"{V6}/128"}
    # Theirs is still live: the settings stay with it.
    gone = dsr(host, block(V4, V6)).absent()
    assert live(host) == {V4}
    assert loud(host) == []
    assert f"The settings stay: {V4} is still on lo" in gone["comment"]


def test_lo_that_gets_an_owner_takes_its_vips_along(host: SimHost) -> None:
    server(host)
    path = "/etc/systemd/network/10-lo.network"
    host.files.put(path, "[Match]\nName=lo\n\n[Network]\nAddress=198.51.100.7/32\n")
    host.ip(["ip", "address", "add", "198.51.100.7/32", "dev", "lo"], None)
    index = host.net.links["lo"].index
    state = f"ADMIN_STATE=configured\nNETWORK_FILE={path}\n"
    host.files.put(f"/run/systemd/netif/links/{index}", state)
    seen: list[list[str]] = []
    host.watch = lambda at, effect: seen.append(loud(host))
    answer = dsr(host, block(*VIPS)).managed()
    host.watch = None
    assert not any(seen)
    assert live(host) == {*VIPS, "198.51.100.7"}
    assert f"{path}.d/60-ipalias.conf" in answer["changes"]["files"]
    assert not host.files.glob("/etc/ipalias/*")
    assert not host.files.glob("/etc/systemd/system/ipalias-loopback*")
    assert dsr(host, block(*VIPS)).managed()["changes"] == {}
    dsr(host, {}).managed()
    assert live(host) == {"198.51.100.7"}


# What each answer says


def test_test_mode_shows_both_steps_and_does_neither(host: SimHost) -> None:
    answer = dsr(host, block(*VIPS)).managed(test=True)
    assert answer["result"] is None
    assert host.mutating == []
    assert OURS in answer["changes"]["files"]
    assert "/etc/ipalias/lo.batch" in answer["changes"]["files"]
    assert answer["changes"]["addresses"]["added"] == [f"{V4}/32", f"{V6}/128"]
    assert set(answer["changes"]["settings"]) == {
        "net.ipv4.conf.all.arp_ignore",
        "net.ipv4.conf.all.arp_announce",
    }


def test_test_mode_tells_file_and_live_apart(host: SimHost) -> None:
    server(host)
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    assert set(dsr(host, block(*VIPS)).managed(test=True)["changes"]) == {"addresses"}
    dsr(host, block(*VIPS)).managed()
    host.files.unlink("/etc/ipalias/lo.batch")
    assert set(dsr(host, block(*VIPS)).managed(test=True)["changes"]) == {"files"}
    dsr(host, block(*VIPS)).managed()
    host.proc.values[f"{ALL}/arp_ignore"] = "0"
    assert set(dsr(host, block(*VIPS)).managed(test=True)["changes"]) == {"settings"}


def test_test_mode_of_a_removal(host: SimHost) -> None:
    server(host)
    host.log.clear()
    answer = dsr(host, {}).managed(test=True)
    assert answer["result"] is None
    assert host.mutating == []
    assert answer["changes"]["addresses"]["removed"] == [f"{V4}/32", f"{V6}/128"]
    assert "settings" in answer["changes"]


def test_one_of_two_is_taken_away_and_the_settings_stay(host: SimHost) -> None:
    server(host)
    answer = dsr(host).absent([V4])
    assert live(host) == {V6}
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1"
    assert f"The settings stay: {V6} is still on lo" in answer["comment"]
    dsr(host).absent([f"{V6}/128"])
    assert live(host) == set()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"


def test_absent_of_what_is_no_vip_says_so(host: SimHost) -> None:
    server(host)
    assert "is no VIP of ours" in dsr(host).absent([OTHER])["comment"]
    with pytest.raises(InputError):
        dsr(host).absent(["nonsense"])
    assert live(host) == {*VIPS}


def test_without_vips_nothing_is_looked_at(host: SimHost) -> None:
    answer = dsr(host, {"interfaces": {}}).managed()
    assert (answer["result"], answer["changes"], host.log) == (True, {}, [])


def test_a_pillar_that_cannot_be_read_is_no_reason_to_stay(host: SimHost) -> None:
    server(host)
    dsr(host, {"dsr": {"vips": "nonsense"}, "interfaces": 5}).absent()
    assert live(host) == set()


def test_a_value_that_is_as_silent_is_kept_and_told(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/20-site.conf", "net.ipv4.conf.all.arp_ignore = 2\n")
    host.proc.values[f"{ALL}/arp_ignore"] = "2"
    answer = dsr(host, block(V4)).managed()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "2"
    assert any("as silent as 1" in note for note in answer["notes"])
    assert dsr(host, block(V4)).managed()["changes"] == {}


def test_a_narrower_scope_gives_up_the_wider_last() -> None:
    host = host_of("ifupdown")
    host.programs["systemctl"] = Systemctl(host)
    server(host, V4)
    seen: list[list[str]] = []
    host.watch = lambda at, effect: seen.append(loud(host))
    dsr(host, block(V4, interfaces=["eth0", "eth1"], scope="interfaces")).managed()
    host.watch = None
    assert not any(seen)
    values = host.proc.values
    assert values[f"{ALL}/arp_ignore"] == "0"
    assert values["net/ipv4/conf/eth1/arp_ignore"] == "1"


# What must not be undone under a VIP


def test_settings_under_a_vip_are_not_given_up_by_others(host: SimHost) -> None:
    server(host)
    tuner(host).clean()
    tuner(host).absent(["net.ipv4.conf.all.arp_ignore"])
    assert live(host) == {*VIPS}
    assert loud(host) == []


def test_settings_found_without_a_ledger_are_not_given_up_under_a_vip(host: SimHost) -> None:
    server(host)
    host.files.unlink("/var/lib/ipalias/sysctl.json")
    with pytest.raises(RefusedError, match="keeps this host from answering"):
        tuner(host).absent(["net.ipv4.conf.all.arp_ignore"])


def test_rollback_of_the_vips_and_of_their_removal(host: SimHost) -> None:
    server(host, V4)
    upkeep.rollback(engine(host))
    assert live(host) == set()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1"
    server(host, V4, OTHER)
    dsr(host, block(OTHER)).managed()
    with pytest.raises(RefusedError, match=f"{V4} would come back"):
        upkeep.rollback(engine(host))
    assert live(host) == {OTHER}


def test_the_last_ipv4_vip_takes_the_settings_with_it(host: SimHost) -> None:
    """IPv6 needs none; the address goes first."""
    server(host)
    dsr(host, block(V6)).managed()
    assert live(host) == {V6}
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"


def test_rollback_of_settings_under_a_vip(host: SimHost) -> None:
    server(host, V4)
    host.proc.values[f"{ALL}/arp_ignore"] = "0"
    dsr(host, block(V4)).managed()
    with pytest.raises(RefusedError, match=r"arp_ignore keeps this host from answering"):
        upkeep.rollback(engine(host))


def test_rollback_of_other_settings_under_a_vip(host: SimHost) -> None:
    server(host, V4)
    managed({"net.core.somaxconn": 512})(host)
    upkeep.rollback(engine(host))
    assert host.proc.values["net/core/somaxconn"] != "512"


def test_one_lock_is_held_over_both_steps(host: SimHost) -> None:
    """A second run between the two could take away what the first relies on."""
    held: list[str] = []
    taken: list[str] = []

    @contextmanager
    def locked(purpose: str) -> Iterator[None]:
        taken.append(purpose)
        held.append(purpose)
        yield
        held.pop()

    subject = dsr(host, block(*VIPS))
    subject.engine.locked = locked
    loose: list[str] = []
    host.watch = lambda at, effect: loose.append(str(effect)) if not held else None
    subject.managed()
    host.watch = None
    assert taken == ["ipalias_dsr.managed"]
    assert [one for one in loose if not one.startswith(("ReadLive", "ReadFile"))] == []
