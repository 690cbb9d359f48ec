"""A real server stays silent: whatever is lost, narrowed, set beside it, or left by others."""

from __future__ import annotations

import json

import pytest

from rig.simdsr import LINUX, OTHER, VIPS, block, dsr, host_of, live, loud
from rig.simengine import engine
from rig.simhost import STATE, SimHost
from rig.simsysctl import LEDGER, Systemctl, managed, tuner
from saltext.ipalias import dsrcheck, report
from saltext.ipalias.errors import InputError, ParseError, RefusedError

V4, V6 = VIPS
ALL, ETH1 = "net/ipv4/conf/all", "net/ipv4/conf/eth1"
NARROW = {"scope": "interfaces", "interfaces": ["eth0", "eth1"]}
INTERFACES = "/etc/network/interfaces"


@pytest.fixture
def host() -> SimHost:
    host = host_of("networkd")
    # Settings of interfaces bring the listener's unit.
    host.programs["systemctl"] = Systemctl(host)
    return host


def foreign() -> SimHost:
    """Return a host on which somebody's own line puts the VIP on lo."""
    host = host_of("ifupdown")
    text = host.files.read(INTERFACES) or ""
    host.files.put(INTERFACES, f"{text}\nauto lo:1\niface lo:1 inet static\n    address {V4}/32\n")
    host.ip(["ip", "address", "add", f"{V4}/32", "dev", "lo", "label", "lo:1"], None)
    dsr(host, block(V4)).managed()
    assert loud(host) == []
    return host


# What would come back, or is set beside


def test_a_narrower_scope_does_not_bring_back_a_value_that_answers(host: SimHost) -> None:
    host.proc.values[f"{ALL}/arp_ignore"] = "3"
    dsr(host, block(V4)).managed()
    shown = dsr(host, block(V4, **NARROW)).managed(test=True)
    done = dsr(host, block(V4, **NARROW)).managed()
    assert loud(host) == []
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1"
    assert host.proc.values[f"{ALL}/arp_announce"] == "0"
    said = "net.ipv4.conf.all.arp_ignore stays: what would come back, 3, answers for the VIPs"
    assert said in shown["notes"] and said in done["notes"]
    again = dsr(host, block(V4, **NARROW)).managed()
    assert again["changes"] == {}
    dsr(host, {}).managed()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "3"


def test_a_wider_scope_does_not_bring_one_back_either(host: SimHost) -> None:
    host.proc.values[f"{ETH1}/arp_ignore"] = "3"
    dsr(host, block(V4, **NARROW)).managed()
    dsr(host, block(V4)).managed()
    assert loud(host) == []
    assert host.proc.values[f"{ETH1}/arp_ignore"] == "1"
    assert host.proc.values["net/ipv4/conf/eth0/arp_ignore"] == "0"


@pytest.mark.parametrize(
    ("key", "value"),
    [("eth1.arp_ignore", 3), ("default.arp_ignore", 4), ("eth1.arp_announce", 3)],
)
def test_a_louder_value_of_somebody_else_is_refused(host: SimHost, key: str, value: int) -> None:
    dsr(host, block(V4)).managed()
    setting = {f"net.ipv4.conf.{key}": value}
    before = host.state()
    with pytest.raises(RefusedError, match=f"this host would answer for {V4}"):
        managed(setting)(host)
    assert host.state() == before
    managed({"net.ipv4.conf.eth1.arp_ignore": 2, "net.ipv4.conf.eth0.arp_ignore": 0})(host)
    assert loud(host) == []
    dsr(host, {}).managed()
    managed(setting)(host)


def test_a_louder_value_that_would_come_back_is_refused(host: SimHost) -> None:
    host.proc.values[f"{ETH1}/arp_ignore"] = "3"
    managed({"net.ipv4.conf.eth1.arp_ignore": 1})(host)
    dsr(host, block(V4)).managed()
    with pytest.raises(RefusedError, match="this host would answer"):
        managed({})(host)
    assert loud(host) == []


def test_for_named_interfaces_a_louder_value_of_all_counts_and_of_others_does_not(
    host: SimHost,
) -> None:
    dsr(host, block(V4, scope="interfaces", interfaces=["eth0"])).managed()
    with pytest.raises(RefusedError, match="this host would answer"):
        managed({"net.ipv4.conf.all.arp_ignore": 3})(host)
    managed({"net.ipv4.conf.eth1.arp_ignore": 3})(host)
    assert host.proc.values[f"{ETH1}/arp_ignore"] == "3"


@pytest.mark.parametrize("value", ["0x3", "03", "0X4", "3 1"])
def test_a_louder_value_is_known_in_every_writing_that_the_kernel_takes(
    host: SimHost, value: str
) -> None:
    dsr(host, block(V4)).managed()
    with pytest.raises(RefusedError, match="this host would answer"):
        managed({"net.ipv4.conf.eth1.arp_ignore": value})(host)


# What a boot, or a new interface, would bring


@pytest.mark.parametrize(
    ("value", "counts"),
    [("0x3", 3), ("03", 3), ("010", 8), ("3 1", 3), ("-1", 1), ("--5", 1), ("09", 1), ("\xb2", 1)],
)
def test_a_file_of_others_counts_as_the_kernel_reads_it(
    host: SimHost, value: str, counts: int
) -> None:
    """As seen: by the prefix, the first word alone; it refuses the last three."""
    host.files.put("/etc/sysctl.d/50-site.conf", f"net.ipv4.conf.eth1.arp_ignore = {value}\n")
    if counts == 3:
        with pytest.raises(RefusedError, match="after a boot: eth1: arp_ignore is 3"):
            dsr(host, block(V4)).managed()
        return
    dsr(host, block(V4)).managed()
    assert dsrcheck.check(dsr(host, block(V4)))["faults"] == []


def test_an_interfaces_value_that_only_a_boot_brings_is_refused(host: SimHost) -> None:
    host.files.put("/etc/sysctl.d/50-site.conf", "net.ipv4.conf.eth1.arp_ignore = 3\n")
    with pytest.raises(RefusedError, match="after a boot: eth1: arp_ignore is 3"):
        dsr(host, block(V4)).managed()
    assert live(host) == set()


def test_a_default_that_would_answer_is_refused_for_the_whole_host_alone(host: SimHost) -> None:
    host.proc.values["net/ipv4/conf/default/arp_ignore"] = "3"
    with pytest.raises(RefusedError, match="an interface that comes later: arp_ignore is 3"):
        dsr(host, block(V4)).managed()
    dsr(host, block(V4, **NARROW)).managed()
    assert live(host) == {V4}


def test_the_whole_host_is_more_than_what_receives(host: SimHost) -> None:
    host.proc.values[f"{ETH1}/arp_ignore"] = "3"
    with pytest.raises(RefusedError, match="eth1: arp_ignore is 3"):
        dsr(host, block(V4, interfaces=["eth0"])).managed()


@pytest.mark.parametrize("folder", ["/etc", "/run"])
def test_a_boot_that_reads_no_settings_is_refused(host: SimHost, folder: str) -> None:
    host.files.put(f"{folder}/systemd/system/systemd-sysctl.service", "")
    with pytest.raises(RefusedError, match=r"unmask systemd-sysctl\.service"):
        dsr(host, block(V4)).managed()
    assert live(host) == set()


# What is lost


@pytest.mark.parametrize("dialect", LINUX)
def test_a_lost_ledger_does_not_leave_a_vip_that_answers(dialect: str) -> None:
    host = host_of(dialect)
    dsr(host, block(*VIPS)).managed()
    host.files.unlink(f"{STATE}/ledger.json")
    dsr(host, {}).managed()
    assert loud(host) == []
    assert live(host) == set()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"


def test_a_vip_that_only_our_file_knows_goes_by_its_name(host: SimHost) -> None:
    """IPv6 alone has no settings that would remember it."""
    dsr(host, block(V6)).managed()
    host.files.unlink(f"{STATE}/ledger.json")
    dsr(host, {}).managed()
    assert live(host) == {V6}
    dsr(host, {}).absent([V6])
    assert live(host) == set()


def test_with_both_ledgers_lost_the_settings_stay_under_an_address_of_lo(host: SimHost) -> None:
    dsr(host, block(V4)).managed()
    host.files.unlink(f"{STATE}/ledger.json")
    host.files.unlink(LEDGER)
    with pytest.raises(RefusedError, match=f"ipalias_dsr.absent {V4}"):
        tuner(host).clean()
    assert loud(host) == []
    dsr(host, {}).absent([V4])
    tuner(host).clean()
    assert live(host) == set()


def test_a_ledger_that_cannot_be_read_takes_no_vip_away(host: SimHost) -> None:
    dsr(host, block(V4)).managed()
    host.files.put(LEDGER, '{"schema": 2, "settings": {}}')
    before = host.state()
    for request in (dsr(host, {}).managed, dsr(host, {}).absent):
        with pytest.raises(ParseError, match="schema 2"):
            request()
    assert host.state() == before


# What is somebody else's


def test_a_vip_of_somebody_elses_line_keeps_the_settings_for_as_long_as_it_is_there() -> None:
    host = foreign()
    for pillar in ({}, block(V6), {}):
        told = dsr(host, pillar).managed()
        assert loud(host) == []
    assert f"{V4} is not ours: take it away, then run this again" in told["comment"]
    dsr(host, {}).absent()
    assert loud(host) == []
    host.ip(["ip", "address", "del", f"{V4}/32", "dev", "lo"], None)
    dsr(host, {}).managed()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "1", "a boot would bring it back"
    text = host.files.read(INTERFACES) or ""
    host.files.put(INTERFACES, text.partition("\nauto lo:1")[0])
    dsr(host, {}).managed()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"
    assert host.files.read(LEDGER) is not None and V4 not in (host.files.read(LEDGER) or "")


def test_an_address_of_lo_that_never_was_a_vip_keeps_nothing(host: SimHost) -> None:
    host.ip(["ip", "address", "add", "198.51.100.7/32", "dev", "lo"], None)
    dsr(host, block(V4)).managed()
    dsr(host, {}).managed()
    assert live(host) == {"198.51.100.7"}
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"


def test_the_settings_ledger_of_an_earlier_version_is_read(host: SimHost) -> None:
    dsr(host, block(V4)).managed()
    data = json.loads(host.files.read(LEDGER) or "")
    for row in data["settings"].values():
        assert row.pop("vips") == [V4]
    host.files.put(LEDGER, json.dumps(data))
    dsr(host, {}).managed()
    assert live(host) == set()
    assert host.proc.values[f"{ALL}/arp_ignore"] == "0"


# What else cannot be meant, and what is told


@pytest.mark.parametrize("gateway", ["192.0.2.1", "2001:db8::1"])
def test_a_gateway_is_no_vip(host: SimHost, gateway: str) -> None:
    with pytest.raises(InputError, match=f"{gateway} is the gateway of default by eth0"):
        dsr(host, block(V4, gateway)).managed()
    assert live(host) == set()


def test_a_vip_does_not_become_an_alias_while_it_is_one(host: SimHost) -> None:
    dsr(host, block(V4)).managed()
    with pytest.raises(InputError, match=f"`ipalias_dsr.absent {V4}` first"):
        engine(host, {"interfaces": {"lo": {"addresses": [V4]}}}).managed()
    dsr(host, {}).managed()
    engine(host, {"interfaces": {"lo": {"addresses": [V4]}}}).managed()
    assert live(host) == {V4}


def test_a_vip_of_the_pillar_is_no_difference(host: SimHost) -> None:
    pillar = block(V4, V6)
    dsr(host, pillar).managed()
    states = {row["address"]: row["state"] for row in report.diff_rows(engine(host, pillar), "lo")}
    assert states[f"{V4}/32"] == states[f"{V6}/128"] == "ok"
    rows = report.diff_rows(engine(host, block(OTHER)), "lo")
    assert {row["address"]: row["state"] for row in rows}[f"{V4}/32"] == "extra"
