"""CentOS and RHEL through the engine: network-scripts, NetworkManager's plugin, EL 9 and 10."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rig import plat
from rig.plat import ifcfg_rh as centos
from rig.simafter import reboot
from rig.simengine import aliases, block, changed, engine, ledger, live
from rig.simforms import Cited, survivors
from rig.simhost import Fault, SimHost
from rig.simnet import SimAddress
from rig.simnm import networkmanager
from rig.simscenes import FOREIGN_LIVE, add_by_hand, comparable, differences, leftovers
from saltext.ipalias.backends import ifcfg_rh
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import IpaliasError, OwnerError, ParseError, UnsupportedError
from saltext.ipalias.host import Result
from saltext.ipalias.report import diff_rows, explain, import_pillar, problems
from saltext.ipalias.upkeep import restart

FOLDER = centos.FOLDER
ETH0 = f"{FOLDER}/ifcfg-eth0"
FOUR, SIX = "198.51.100.10", "2001:db8:1::10"
LABELLED = {"address": "198.51.100.11", "label": "failover1"}
ALL = block(FOUR, LABELLED, SIX, "203.0.113.5/24")


@pytest.fixture
def host() -> SimHost:
    made = plat.load("ifcfg_rh").host()
    made.log.clear()
    return made


def ran(host: SimHost) -> list[tuple[str, ...]]:
    return [effect.command.argv for effect in host.log if isinstance(effect, Run)]


def under(host: SimHost, folder: str = FOLDER) -> dict[str, str]:
    nodes = host.files.nodes.items()
    return {path: node.text for path, node in nodes if path.startswith(f"{folder}/")}


def refused(host: SimHost, call: Callable[[], Any], *said: str) -> str:
    """Return the error of a call, the host being as before it."""
    before = comparable(host)
    with pytest.raises(IpaliasError) as error:
        call()
    for text in said:
        assert text in str(error.value)
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    return str(error.value)


# network-scripts


def test_a_file_an_alias_and_one_batch(host: SimHost) -> None:
    answer = engine(host, ALL).managed()
    assert answer["result"] is True
    assert ran(host) == [("ip", "-batch", "-")]
    assert set(under(host)) >= {f"{ETH0}:0", f"{ETH0}:failover1", f"{ETH0}:3"}
    labels = {a.address: a.label for a in host.net.links["eth0"].addresses4}
    assert labels[FOUR] == "eth0:0"
    assert labels["198.51.100.11"] == "eth0:failover1"
    assert problems(engine(host, ALL)) == []


def test_the_scripts_bring_the_same_up_at_boot(host: SimHost) -> None:
    """The files as the scripts read them: addresses, prefixes, labels, no route of an alias."""
    engine(host, ALL).managed()
    before = comparable(host)
    fresh = reboot(host)
    known = {a.cidr: a.label for a in host.net.links["eth0"].addresses4}
    booted = {a.cidr: a.label for a in fresh.net.links["eth0"].addresses4}
    assert booted == known
    assert live(fresh) == live(host)
    assert comparable(fresh)["routes"] == before["routes"]
    brd = {a.address: a.broadcast for a in fresh.net.links["eth0"].addresses4}
    assert brd[FOUR] == FOUR
    assert brd["203.0.113.5"] == "203.0.113.255"


def test_another_hosts_answer_at_boot_keeps_no_alias_away(host: SimHost) -> None:
    engine(host, block(FOUR)).managed()
    host.taken[FOUR] = "02:00:00:00:00:99"
    assert f"{FOUR}/32" in live(reboot(host))


def test_a_parent_with_a_gateway_that_is_no_default_keeps_it_so(host: SimHost) -> None:
    """Without NO_ALIASROUTING the first alias would make the parent's gateway the default."""
    engine(host, block(FOUR)).managed()
    text = host.files.read(ETH0) or ""
    host.files.put(ETH0, text.replace(f"GATEWAY={centos.GATEWAY4}\n", "GATEWAY=192.0.2.254\n"))
    scripts = centos.Scripts(host)
    told = scripts.source(ETH0)
    scripts._flush4("eth0", "eth0:0")
    scripts._aliases("eth0", told)
    assert {r.gateway for r in host.net.routes if r.destination == "default" and r.family == 4} == {
        centos.GATEWAY4
    }


def test_no_ipv6_address_falls_with_an_alias(host: SimHost) -> None:
    """`ifdown eth0:0` would take them all: fedora-sysv/initscripts issue 17."""
    engine(host, ALL).managed()
    six = {a.cidr for a in host.net.links["eth0"].addresses6}
    host.log.clear()
    engine(host, block(SIX)).managed()
    assert {a.cidr for a in host.net.links["eth0"].addresses6} == six
    assert {argv[0] for argv in ran(host)} == {"ip"}
    host.run(["ifup", "eth0"])
    engine(host, ALL).managed()
    host.run(["ifdown", "eth0:0"])
    assert SIX not in {a.address for a in host.net.links["eth0"].addresses6}


@pytest.mark.parametrize(
    ("scope", "lines"),
    [
        ("alias", ["ifup eth0:0", "ifup eth0:3", "ifup eth0:failover1"]),
        ("interface", ["ifdown eth0", "ifup eth0"]),
        ("network", ["systemctl restart network.service"]),
    ],
)
def test_the_restart_levels(host: SimHost, scope: str, lines: list[str]) -> None:
    engine(host, ALL).managed()
    before, routes = live(host), comparable(host)["routes"]
    answer = restart(engine(host, ALL), name="eth0", scope=scope)
    assert answer["changes"] == {"commands": lines}
    assert live(host) == before
    assert comparable(host)["routes"] == routes


def test_the_pillars_restart_and_the_words_for_it(host: SimHost) -> None:
    given = block(FOUR, restart="interface")
    answer = engine(host, given).managed()
    assert ran(host)[1:] == [("ifdown", "eth0"), ("ifup", "eth0")]
    assert "every connection over eth0 may be cut" in answer["comment"]
    assert changed(host, lambda: engine(host, given).managed()) == []


def test_foreign_files_stay_and_are_adopted_on_demand(host: SimHost) -> None:
    add_by_hand(host, "192.0.2.20/24")
    centos.FOREIGN(host)
    given = block("192.0.2.20/24", FOUR)
    files = under(host)
    engine(host, given).managed()
    assert set(under(host)) - set(files) == {f"{ETH0}:0"}
    engine(host, block("192.0.2.20/24", FOUR, adopt=True)).managed()
    assert "written by ipalias" in under(host)[f"{ETH0}:web"]
    assert ledger(host).on("eth0")["192.0.2.20/24"].origin == "adopted"
    engine(host, block()).clean()
    assert set(under(host)) == set(files) - {f"{ETH0}:web"}


def test_a_number_that_a_parked_file_has_is_not_given(host: SimHost) -> None:
    host.files.put(f"{ETH0}:0", "DEVICE=eth0:0\nIPADDR=198.51.100.200\nONPARENT=no\n")
    engine(host, block(FOUR)).managed()
    assert f"{ETH0}:1" in under(host)


def test_a_lost_ledger_finds_names_and_numbers_again(host: SimHost) -> None:
    engine(host, ALL).managed()
    before = under(host)
    host.files.drop("/var/lib/ipalias/ledger.json")
    answer = engine(host, ALL).managed()
    assert answer["changes"] == {}
    assert under(host) == before
    engine(host, block()).clean()
    assert set(under(host)) == {ETH0, f"{FOLDER}/ifup-aliases"}


def test_what_was_set_by_hand_is_imported(host: SimHost) -> None:
    guide = 'DEVICE="eth0:0"\nBOOTPROTO="static"\nIPADDR="198.51.100.10"\nPREFIX=32\n'
    host.files.put(f"{ETH0}:0", guide + 'BROADCAST="198.51.100.10"\n')
    host.files.put(f"{ETH0}:shop", "DEVICE=eth0:shop\nIPADDR=198.51.100.12\nPREFIX=32\n")
    told = import_pillar(engine(host, None), "eth0")["ipalias"]["interfaces"]["eth0"]
    assert told == {"addresses": [FOUR, {"address": "198.51.100.12", "label": "eth0:shop"}]}


def test_a_thousand_aliases_read_each_file_once(host: SimHost) -> None:
    items = [f"10.{n // 250}.{n % 250}.1" for n in range(1000)]
    given = block(*items)
    engine(host, given).managed()
    assert len(under(host)) == 1002
    reads: list[str] = []
    read = host.read
    host.read = lambda path: reads.append(path) or read(path)  # type: ignore[method-assign, func-returns-value]
    evidence = ifcfg_rh.detect(host, "eth0")
    assert len(ifcfg_rh.parse(host, evidence)) == 1002
    assert len([path for path in reads if ":" in path]) == 1000


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("eth0", centos.PARENT.format(name="eth0", ipv4="IPADDR=x", ipv6=""), ":7: "),
        ("eth0", "DEVICE=eth0\r\nIPADDR=192.0.2.2\r\n", ":1: "),
        ("eth0:0", "DEVICE=eth0:0\nIPADDR='198.51.100.1\n", ":2: "),
        ("eth0:0", "DEVICE=eth0:0\nIPADDR=198.51.100.1\nPREFIX=33\n", ":3: "),
        ("eth0-range0", "IPADDR_START=198.51.100.1\nIPADDR_END=198.51.100.x\n", ":2: "),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_changed(
    host: SimHost, name: str, text: str, place: str
) -> None:
    host.files.put(f"{FOLDER}/ifcfg-{name}", text)
    said = refused(host, lambda: engine(host, block(FOUR)).managed())
    assert f"{FOLDER}/ifcfg-{name}{place}" in said


# What the real ones refuse


def intrude(host: SimHost, argv: tuple[str, ...], deed: Callable[[], Any]) -> None:
    """Do something right before a command runs, once."""

    def watch(at: int, effect: Any) -> None:
        if isinstance(effect, Run) and effect.command.argv == argv:
            host.watch = None
            deed()

    host.watch = watch


BATCH = ("ip", "-batch", "-")


def test_an_address_that_somebody_added_meanwhile(host: SimHost) -> None:
    net = host.net
    intrude(host, BATCH, lambda: net.add4("eth0", SimAddress(FOUR, 32)))
    with pytest.raises(IpaliasError, match=r"198\.51\.100\.10/32 could not be added: .*assigned"):
        engine(host, block(FOUR)).managed()
    assert f"{ETH0}:0" not in under(host)


def test_an_address_that_somebody_took_away_meanwhile(host: SimHost) -> None:
    engine(host, block(FOUR, LABELLED)).managed()
    files = under(host)
    net = host.net
    intrude(host, BATCH, lambda: net.delete4("eth0", FOUR, 32))
    with pytest.raises(IpaliasError, match=r"198\.51\.100\.10/32 could not be taken away: .*found"):
        engine(host, block(LABELLED)).managed()
    assert under(host) == files


def test_an_interface_that_does_not_come_up_for_a_duplicate(host: SimHost) -> None:
    host.taken["192.0.2.2"] = "02:00:00:00:00:99"
    given = block(FOUR, restart="interface", check_duplicates=False)
    said = "Error, some other host (02:00:00:00:00:99) already uses address 192.0.2.2."
    refused(host, engine(host, given).managed, "`ifup eth0`: exit 1: ", said)


def test_an_interface_that_stays_down_is_brought_up_again(host: SimHost) -> None:
    text = host.files.read(ETH0) or ""
    host.files.put(ETH0, f"{text}HWADDR=02:00:00:00:00:77\n")
    said = "Device eth0 has different MAC address than expected, ignoring."
    refused(host, engine(host, block(FOUR, restart="interface")).managed, said)
    assert host.net.links["eth0"].up


def test_a_service_that_is_not_there(host: SimHost) -> None:
    systemctl = host.programs["systemctl"]
    assert isinstance(systemctl, Cited)
    systemctl.forms[0].act.__self__.unit = False  # type: ignore[attr-defined]
    said = "Failed to restart network.service: Unit network.service not found."
    refused(host, engine(host, block(FOUR, restart="network")).managed, "exit 5: ", said)


def test_a_service_that_fails(host: SimHost) -> None:
    host.taken["192.0.2.2"] = "02:00:00:00:00:99"
    given = block(FOUR, restart="network", check_duplicates=False)
    refused(host, engine(host, given).managed, "Job for network.service failed because")


def test_names_without_a_file(host: SimHost) -> None:
    up, down = host.run(["ifup", "eth0:9"]), host.run(["ifdown", "eth0:9"])
    assert (up.code, down.code) == (1, 1)
    assert "/sbin/ifup: configuration for eth0:9 not found." in up.err
    host.files.put(f"{ETH0}:0", "DEVICE=eth9:0\n")
    absent = host.run(["ifup", "eth0:0"])
    assert absent.err == ("Device eth9:0 does not seem to be present, delaying initialization.\n")
    engine(host, block(FOUR)).managed()
    refused(
        host,
        lambda: failing(host, ("ifup", "eth0:1"), up.err, 1),
        "/sbin/ifup: configuration for eth0:9 not found.",
    )


def failing(host: SimHost, argv: tuple[str, ...], said: str, code: int) -> Any:
    """Restart the aliases, one command failing as it really does."""
    twin = host.twin()
    twin.log.clear()
    restart(engine(twin, None), name="eth0", scope="alias")
    at = next(n for n, e in enumerate(twin.log) if isinstance(e, Run) and e.command.argv == argv)
    host.log.clear()
    host.faults = [Fault(at, result=Result(code, "", said))]
    return restart(engine(host, None), name="eth0", scope="alias")


def test_an_alias_that_is_live_bears_an_ifup(host: SimHost) -> None:
    engine(host, ALL).managed()
    before = comparable(host)
    assert host.run(["ifup", "eth0:0"]).code == 0
    assert differences(before, comparable(host)) == []


def test_slips_of_the_pen_are_refused(host: SimHost) -> None:
    engine(host, ALL).managed()
    for scope in ("alias", "interface", "network"):
        restart(engine(host, ALL), name="eth0", scope=scope)
    total = missed = 0
    for name, program in host.programs.items():
        if isinstance(program, Cited):
            lines = [argv for argv in program.taken if argv[0] == name]
            count, left = survivors(program, lines)
            total += count
            missed += len([slip for slip in left if not _refuses(host, slip)])
    assert total >= 20
    assert missed <= total * 0.05


def _refuses(host: SimHost, argv: tuple[str, ...]) -> bool:
    """Tell whether a line that fits a form is refused for what it names."""
    return host.twin().run(argv).code not in (0, 3)


# NetworkManager


def test_networkmanager_with_the_plugin_is_served_and_loses_nothing() -> None:
    host = centos.on_networkmanager(8, "1.40.16")
    add_by_hand(host, FOREIGN_LIVE)
    answer = engine(host, ALL).managed()
    assert answer["result"] is True
    assert ran(host) == [BATCH, ("nmcli", "connection", "load", ETH0)]
    assert f"{ETH0}:failover1" in under(host)
    assert FOREIGN_LIVE in live(host)
    assert changed(host, lambda: engine(host, ALL).managed()) == []
    told = explain(engine(host, None), "eth0")["eth0"]
    assert told["owner"] == "ifcfg_rh"
    assert f"its profile is {ETH0}: the ifcfg-rh plugin reads it" in told["evidence"][0]["reasons"]
    (other,) = (row for row in told["rejected"] if row["backend"] == "networkmanager")
    assert f"{ETH0} is not a keyfile: another plugin owns it" in other["reasons"]
    for scope in ("alias", "interface", "network"):
        assert restart(engine(host, ALL), name="eth0", scope=scope)["result"] is True
    engine(host, block()).clean()
    assert set(under(host)) == {ETH0}
    assert "SECONDARIES" not in under(host)[ETH0]


def test_a_networkmanager_that_has_died_puts_everything_back() -> None:
    host = centos.on_networkmanager(8, "1.40.16")
    nmcli = host.programs["nmcli"]
    assert isinstance(nmcli, Cited)
    daemon = nmcli.forms[0].act.__self__  # type: ignore[attr-defined]
    intrude(host, BATCH, lambda: setattr(daemon, "runs", False))
    before = comparable(host)
    with pytest.raises(IpaliasError, match=r"Error: NetworkManager is not running\."):
        engine(host, block(FOUR)).managed()
    assert differences(before, comparable(host)) == []
    daemon.runs = True
    assert engine(host, block(FOUR)).managed()["result"] is True
    assert leftovers(host) == []


def test_a_slip_in_a_word_to_networkmanager_is_refused() -> None:
    host = centos.on_networkmanager(8, "1.40.16")
    engine(host, ALL).managed()
    for scope in ("alias", "interface", "network"):
        restart(engine(host, ALL), name="eth0", scope=scope)
    total = missed = 0
    for program in host.programs.values():
        if isinstance(program, Cited):
            count, left = survivors(program, program.taken)
            total += count
            missed += len([slip for slip in left if not _complains(host, slip)])
    assert total >= 40
    assert missed <= total * 0.05


def _complains(host: SimHost, argv: tuple[str, ...]) -> bool:
    said = host.twin().run(argv)
    return said.code != 0 or bool(said.err)


@pytest.mark.parametrize("release", [9, 10])
def test_late_releases_keep_keyfiles_and_nothing_under_network_scripts(release: int) -> None:
    """salt#68252: peers' users found files there that nobody reads."""
    host = networkmanager()
    text = f'ID="rhel"\nVERSION_ID="{release}.0"\nPLATFORM_ID="platform:el{release}"\n'
    host.files.put("/etc/os-release", text)
    host.files.put(ETH0, "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=192.0.2.2\nPREFIX=24\n")
    host.files.put(f"{ETH0}:0", "DEVICE=eth0:0\nIPADDR=198.51.100.200\nPREFIX=32\n")
    host.files.put(f"{FOLDER}/readme-ifcfg-rh.txt", "NetworkManager stores new profiles in …\n")
    before = under(host)
    given = block(FOUR, SIX)
    told = explain(engine(host, None), "eth0")["eth0"]
    assert told["owner"] == "networkmanager"
    (ours,) = (row for row in told["rejected"] if row["backend"] == "ifcfg_rh")
    assert (
        f"EL {release} has no network-scripts: NetworkManager's keyfiles are used"
        in (ours["reasons"])
    )
    assert engine(host, given).managed()["result"] is True
    engine(host, None).add(aliases("198.51.100.77"))
    engine(host, None).remove([("198.51.100.77", None)])
    assert under(host) == before
    (keyfile,) = under(host, "/etc/NetworkManager/system-connections").values()
    assert f"{FOUR}/32" in keyfile
    engine(host, block()).clean()
    assert under(host) == before


def test_el9_with_the_plugin_is_refused_and_told_to_migrate() -> None:
    host = centos.on_networkmanager(9, "1.46.0")
    call = engine(host, block(FOUR)).managed
    said = refused(host, call, ETH0, "EL 9 has no network-scripts", "only reads ifcfg files")
    assert "`nmcli connection migrate eth0`" in said
    assert f"{ETH0}:0" not in under(host)
    refused(host, lambda: engine(host, None).add(aliases(SIX)), "migrate")
    rows = {row["address"]: row["state"] for row in diff_rows(engine(host, None), "eth0")}
    assert rows["192.0.2.2/24"] == "primary"


def test_el9_where_nobody_reads_the_files_names_nobody() -> None:
    host = centos.host()
    host.files.put("/etc/os-release", 'ID="rocky"\nVERSION_ID="9.4"\nPLATFORM_ID="platform:el9"\n')
    before = comparable(host)
    with pytest.raises(OwnerError, match="EL 9 has no network-scripts"):
        engine(host, block(FOUR)).managed()
    with pytest.raises(UnsupportedError, match="write a NetworkManager profile"):
        engine(host, block(FOUR, backend="ifcfg_rh")).managed()
    assert differences(before, comparable(host)) == []


def test_after_an_upgrade_to_el9_our_old_files_go_and_the_keyfile_keeps_the_aliases() -> None:
    host = centos.on_networkmanager(8, "1.40.16")
    engine(host, block(FOUR, LABELLED)).managed()
    late = networkmanager()
    for path, node in host.files.nodes.items():
        if path.startswith((f"{FOLDER}/ifcfg", "/var/lib/ipalias")) and node.kind == "file":
            late.files.put(path, node.text)
    text = 'ID="rhel"\nVERSION_ID="9.0"\nPLATFORM_ID="platform:el9"\n'
    late.files.put("/etc/os-release", text)
    for alias in (FOUR, "198.51.100.11"):
        late.net.add4("eth0", SimAddress(alias, 32))
    given = block(FOUR, "198.51.100.11")
    engine(late, given).managed()
    assert set(under(late)) == {ETH0}
    (keyfile,) = under(late, "/etc/NetworkManager/system-connections").values()
    assert keyfile.count("198.51.100.1") == 2
    assert changed(late, lambda: engine(late, given).managed()) == []


def test_ipv6_that_is_off_is_not_switched_on(host: SimHost) -> None:
    text = host.files.read(ETH0) or ""
    host.files.put(ETH0, text.replace("IPV6INIT=yes", "IPV6INIT=no"))
    said = refused(host, engine(host, block(SIX)).managed, "IPv6 is off", "IPV6INIT=yes")
    assert f"{ETH0}:10: " in said


def test_a_list_that_cannot_be_edited_is_left(host: SimHost) -> None:
    text = host.files.read(ETH0) or ""
    host.files.put(ETH0, f'{text}[ -e /x ] || IPV6ADDR_SECONDARIES="2001:db8::9/64"\n')
    with pytest.raises(ParseError, match="only a shell can tell"):
        engine(host, block(SIX)).managed()
    assert (host.files.read(ETH0) or "").startswith(text)
