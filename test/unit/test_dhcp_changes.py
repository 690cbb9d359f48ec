"""A member of a DHCP pair brought to a simulated host: what is refused, undone, told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from rig.simdhcp import DEFAULTS, KEA, MAIN, MEMBERS, RULES, block, linux, running, setup
from rig.simhost import SimHost
from saltext.ipalias.dhcp import conffiles, firewall, services
from saltext.ipalias.dhcp.services import SERVERS, parse_sockets, read_sockets, serving
from saltext.ipalias.effects import Run, run
from saltext.ipalias.errors import (
    EffectError,
    InputError,
    ParseError,
    RefusedError,
    UnsupportedError,
    VerifyError,
)
from saltext.ipalias.host import Result

ISC, KEA_UNIT = SERVERS["isc"].unit, SERVERS["kea"].unit
OWN = "/etc/dhcp/ipalias.conf"


@pytest.fixture
def host() -> SimHost:
    return linux()


def without_own(host: SimHost) -> dict[str, Any]:
    """Return what a change may touch, without the folders of our own state."""
    state = host.state()
    state["files"] = {p: n for p, n in state["files"].items() if not p.startswith("/var")}
    return state


def different(before: dict[str, Any], host: SimHost) -> dict[str, Any]:
    """Return what differs from before, part by part."""
    after = without_own(host)
    return {key: (before[key], after[key]) for key in after if after[key] != before[key]}


def commands(host: SimHost) -> list[str]:
    return [" ".join(e.command.argv) for e in host.log if isinstance(e, Run)]


def test_test_true_shows_the_change_and_does_nothing(host: SimHost) -> None:
    answer = setup(host).managed(test=True)
    assert answer["result"] is None
    assert answer["changes"]["service"] == {ISC: "started"}
    assert {OWN, "/etc/dhcp/dhcpd.conf", conffiles.ISC_DEFAULTS} < set(answer["changes"]["files"])
    assert host.mutating == []
    shown = json.dumps(answer)
    setup(host).managed()
    secret = setup(host).omapi_key()
    assert secret is not None and secret.secret not in shown
    assert secret.secret in (host.files.read(OWN) or "")
    assert host.files.nodes[OWN].mode == 0o600


@pytest.mark.parametrize("implementation", ["isc", "kea"])
def test_it_comes_stays_and_goes(host: SimHost, implementation: str) -> None:
    before = without_own(host)
    wanted = block(implementation=implementation, firewall=True)
    assert setup(host, wanted).managed()["result"] is True
    unit = SERVERS[implementation].unit
    assert running(host, unit) and host.stored["enabled"] == [unit]
    whole = host.state()
    host.log.clear()
    again = setup(host, wanted).managed()
    assert (again["result"], again["changes"]) == (True, {})
    assert host.mutating == [] and host.state() == whole
    assert setup(host, wanted).absent()["result"] is True
    assert different(before, host) == {}
    assert setup(host, wanted).absent()["changes"] == {}


def test_a_server_that_ran_before_us_runs_again_by_its_own_files(host: SimHost) -> None:
    host.run(["systemctl", "enable", ISC])
    host.run(["systemctl", "restart", ISC])
    before = without_own(host)
    assert setup(host).managed()["changes"]["service"] == {ISC: "restarted"}
    assert setup(host).absent()["changes"]["service"] == {ISC: "restarted"}
    assert different(before, host) == {} and running(host, ISC) == MAIN


def test_numbers_that_may_give_one_address_twice_are_told_of_with_each_run(host: SimHost) -> None:
    for kea, word in (
        ({"max_unacked_clients": 0}, "max_unacked_clients 0: two living servers"),
        (
            {"mode": "hot-standby", "max_ack_delay": 10},
            "hot-standby with max_ack_delay 10 s: two living servers",
        ),
        ({"mode": "hot-standby"}, ""),
        ({}, ""),
    ):
        made = setup(host, block(implementation="kea", kea=kea))
        for told in (made.managed(test=True), made.managed(), made.managed()):
            assert ("may be given twice" in told["comment"] or "may both" in told["comment"]) is (
                word != ""
            )
            assert word in told["comment"]


def test_edits_of_others_stay(host: SimHost) -> None:
    setup(host).managed()
    main = host.files.read("/etc/dhcp/dhcpd.conf") or ""
    host.files.put("/etc/dhcp/dhcpd.conf", f"# theirs\n{main}")
    defaults = host.files.read(conffiles.ISC_DEFAULTS) or ""
    host.files.put(conffiles.ISC_DEFAULTS, f'{defaults}OPTIONS="-q"\n')
    assert setup(host).managed()["changes"] == {}
    setup(host).absent()
    assert host.files.read("/etc/dhcp/dhcpd.conf") == f"# theirs\n{MAIN}"
    assert host.files.read(conffiles.ISC_DEFAULTS) == f'{DEFAULTS}OPTIONS="-q"\n'


def test_the_main_file_is_ours_as_a_whole_on_request_and_theirs_again(host: SimHost) -> None:
    before = without_own(host)
    setup(host, block(whole=True)).managed()
    text = host.files.read("/etc/dhcp/dhcpd.conf") or ""
    assert "failover peer" in text and "kept" not in text and host.files.read(OWN) is None
    assert host.files.nodes["/etc/dhcp/dhcpd.conf"].mode == 0o600
    setup(host).managed()
    assert (host.files.read("/etc/dhcp/dhcpd.conf") or "").startswith(MAIN)
    assert host.files.nodes["/etc/dhcp/dhcpd.conf"].mode == 0o644
    setup(host, block(whole=True)).managed()
    setup(host).absent()
    assert different(before, host) == {}


def test_one_implementation_takes_the_place_of_the_other(host: SimHost) -> None:
    setup(host).managed()
    answer = setup(host, block(implementation="kea")).managed()
    assert answer["changes"]["service"] == {ISC: "stopped", KEA_UNIT: "started"}
    assert any("other member is to be changed at once: after 60 s" in n for n in answer["notes"])
    assert host.files.read("/etc/dhcp/dhcpd.conf") == MAIN
    node = host.files.nodes["/etc/kea/kea-dhcp4.conf"]
    assert (node.mode, node.gid) == (0o640, 105)
    assert running(host, ISC) is None and host.stored["enabled"] == [KEA_UNIT]
    setup(host, block(implementation="kea")).absent()
    assert host.files.read("/etc/kea/kea-dhcp4.conf") == KEA and not host.stored["enabled"]


@pytest.mark.parametrize("back", [False, True])
def test_a_server_that_ran_before_us_rests_while_the_other_is_ours(
    host: SimHost, back: bool
) -> None:
    host.run(["systemctl", "enable", ISC])
    host.run(["systemctl", "restart", ISC])
    before = without_own(host)
    setup(host).managed()
    setup(host, block(implementation="kea")).managed()
    # Enabled as well, a boot would start both.
    assert host.stored["enabled"] == [KEA_UNIT] and running(host, ISC) is None
    if back:
        setup(host).managed()
        assert host.stored["enabled"] == [ISC] and running(host, KEA_UNIT) is None
    told = setup(host).absent()["changes"]["service"]
    assert told[ISC] == ("restarted" if back else "started")
    assert different(before, host) == {} and running(host, ISC) == MAIN


def test_a_server_that_was_only_enabled_is_so_again(host: SimHost) -> None:
    host.run(["systemctl", "enable", ISC])
    before = without_own(host)
    for implementation in ("isc", "kea"):
        setup(host, block(implementation=implementation)).managed()
    assert host.stored["enabled"] == [KEA_UNIT]
    assert setup(host).absent()["changes"]["service"] == {KEA_UNIT: "stopped", ISC: "enabled"}
    assert different(before, host) == {} and running(host, ISC) is None


def test_a_file_that_the_server_refuses_leaves_the_old_one_and_the_service(host: SimHost) -> None:
    setup(host).managed()
    broken = (host.files.read("/etc/dhcp/dhcpd.conf") or "") + "bogus;\n"
    host.files.put("/etc/dhcp/dhcpd.conf", broken)
    before = without_own(host)
    host.log.clear()
    with pytest.raises(EffectError) as caught:
        setup(host, block(authoritative=False)).managed()
    said = str(caught.value)
    assert "dhcpd refuses the new configuration: /etc/dhcp/dhcpd.conf line" in said
    assert "ipalias-check" not in said and "everything was put back" in said
    assert different(before, host) == {}
    assert not [c for c in commands(host) if "stop" in c or "restart" in c]


def test_the_servers_check_reads_in_its_own_folder_alone(host: SimHost) -> None:
    setup(host).managed()
    asked = [c for c in commands(host) if c.startswith("dhcpd")]
    assert asked == ["dhcpd -4 -t -cf /etc/dhcp/.dhcpd.conf.ipalias-check"]
    setup(host, block(implementation="kea")).managed()
    [asked] = [c for c in commands(host) if "kea-dhcp4" in c and "systemctl" not in c]
    assert asked.endswith("kea-dhcp4 -t /etc/kea/.kea-dhcp4.conf.ipalias-check")
    assert "--reuid=_kea" in asked and "KEA_LOCKFILE_DIR=none" in asked


def test_a_server_that_systemd_holds_back_for_too_many_starts_starts_all_the_same(
    host: SimHost,
) -> None:
    host.stored["held"] = [ISC]
    assert setup(host).managed()["result"] is True
    assert serving(SERVERS["isc"], read_sockets(host))
    told = commands(host)
    at = told.index(f"systemctl reset-failed {ISC}")
    assert told[at - 1 : at + 2 : 2] == [f"systemctl restart {ISC}"] * 2


def test_a_server_that_does_not_start_has_its_old_files_and_runs_by_them(host: SimHost) -> None:
    setup(host).managed()
    before, systemctl, failed = without_own(host), host.programs["systemctl"], [0]

    def failing(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] == "restart" and argv[-1] == ISC and not failed[0]:
            failed[0] = 1
            return Result(1, "", "Job failed.\n")
        return systemctl(argv, stdin)

    host.programs["systemctl"] = failing
    with pytest.raises(EffectError, match=r"does not start: .*Job failed\..*it says why"):
        setup(host, block(authoritative=False)).managed()
    assert failed[0] and different(before, host) == {} and running(host, ISC)


@pytest.mark.parametrize("of_unit", [True, False])
def test_what_a_stop_leaves_over_is_ended_where_it_is_the_units(
    host: SimHost, of_unit: bool
) -> None:
    """Seen on Debian 12: a stop in the middle of a start ends the init script and not dhcpd."""
    setup(host).managed()
    systemctl, killed = host.programs["systemctl"], []

    def leaving(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] == "stop" and argv[-1] == ISC:
            return Result(0, "", "")
        if argv[1] == "kill":
            killed.append(argv[-1])
            return systemctl(["systemctl", "stop", ISC], stdin) if of_unit else Result(1, "", "")
        return systemctl(argv, stdin)

    host.programs["systemctl"] = leaving
    if of_unit:
        assert setup(host).absent()["result"] is True and running(host, ISC) is None
    else:
        with pytest.raises(EffectError, match=r"still serves 15 s .* not started by its service"):
            setup(host).absent()
        assert running(host, ISC) is not None
    assert set(killed) == {ISC}


def test_a_server_whose_unit_had_failed_while_it_served_serves_again(host: SimHost) -> None:
    """Seen on Debian 12: without named interfaces its script starts IPv6's too, and so fails."""
    systemctl = host.programs["systemctl"]

    def fails(argv: Sequence[str], stdin: str | None) -> Result:
        done = systemctl(argv, stdin)
        theirs = running(host, ISC) == MAIN and argv[1] == "restart" and argv[-1] == ISC
        return Result(1, "", "Job failed.\n") if theirs else done

    host.programs["systemctl"] = fails
    host.run(["systemctl", "restart", ISC])
    before = without_own(host)
    setup(host).managed()
    assert setup(host).absent()["result"] is True
    assert different(before, host) == {} and running(host, ISC) == MAIN


def test_what_goes_is_ended_before_what_comes_back_and_one_that_fails_keeps_none_down(
    host: SimHost,
) -> None:
    host.run(["systemctl", "restart", ISC])
    setup(host).managed()
    setup(host, block(implementation="kea")).managed()
    systemctl, order = host.programs["systemctl"], []

    def noting(argv: Sequence[str], stdin: str | None) -> Result:
        if argv[1] in ("stop", "restart") and argv[-1] in (ISC, KEA_UNIT):
            order.append((argv[1], argv[-1]))
            if list(argv[1:]) == ["restart", KEA_UNIT]:
                return Result(0, "", "")
        return systemctl(argv, stdin)

    host.programs["systemctl"] = noting
    states = (services.State("kea", (5,), True), services.State("isc", (), False))
    host.run(["systemctl", "stop", KEA_UNIT])
    host.run(["systemctl", "restart", ISC])
    order.clear()
    with pytest.raises(VerifyError, match="kea-dhcp4-server"):
        run(services.put_back(states, host), host.perform)
    assert order == [("stop", KEA_UNIT), ("stop", ISC), ("restart", KEA_UNIT)]
    assert running(host, ISC) is None


def test_of_a_log_the_servers_own_complaint_is_told(host: SimHost) -> None:
    """Seen on Debian 12: behind it the init script and dhcpd say much that says nothing."""
    asked: list[Sequence[str]] = []
    said = (
        "Not configured to listen on any interfaces!\n\n"
        "If you think you have received this message due to a bug rather\n"
        "than a configuration issue please read the section on submitting\n"
        "bugs on either our web page at www.isc.org or in the README file\n"
        "before submitting a bug.  These pages explain the proper\n"
        "process and the information we find helpful for debugging.\n\nexiting.\n"
        "Starting ISC DHCPv4 server: dhcpdcheck syslog for diagnostics. ... failed!\n failed!\n"
    )

    def journal(argv: Sequence[str], stdin: str | None) -> Result:
        asked.append(argv)
        return Result(0, said, "")

    host.programs["journalctl"] = journal
    words = services.last_words(SERVERS["isc"], host)
    assert words == "Not configured to listen on any interfaces!"
    # Not of the unit: systemd's own lines about it come last, and hide the server's.
    assert asked[0][-1] == f"_SYSTEMD_UNIT={ISC}"
    said = "kea-dhcp4: started\n"
    assert services.last_words(SERVERS["kea"], host) == "kea-dhcp4: started"


def test_a_server_that_does_not_listen_is_undone(host: SimHost) -> None:
    before = without_own(host)
    sockets = host.programs["ss"]

    def deaf(argv: Sequence[str], stdin: str | None) -> Result:
        told = sockets(argv, stdin)
        return Result(0, "\n".join(x for x in told.out.splitlines() if "tcp" not in x), "")

    host.programs["ss"] = deaf
    with pytest.raises(VerifyError, match=r"does not listen on 192\.0\.2\.2:647"):
        setup(host).managed()
    assert different(before, host) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'tcp LISTEN 0 5 0.0.0.0:647 0.0.0.0:* users:(("nginx",pid=7,fd=3))',
            r"members:dhcp1:port: the port is in use: nginx \(pid 7\) has TCP 0\.0\.0\.0:647",
        ),
        ('udp UNCONN 0 0 0.0.0.0:67 0.0.0.0:* users:(("dnsmasq",pid=8,fd=3))', "dnsmasq"),
        ("tcp LISTEN 0 5 [::]:7911 [::]:*", "another program has TCP ::7911|TCP :::7911"),
        ('udp UNCONN 0 0 192.0.2.2:67 0.0.0.0:* users:(("kea-dhcp4",pid=9,fd=3))', "kea-dhcp4"),
    ],
)
def test_a_port_in_use_is_refused_before_anything_is_written(
    host: SimHost, line: str, said: str
) -> None:
    host.stored["sockets"] = [line]
    with pytest.raises(RefusedError, match=said):
        setup(host).managed()
    assert host.mutating == []


def test_a_port_of_another_address_or_interface_is_no_reason(host: SimHost) -> None:
    host.stored["sockets"] = [
        'tcp LISTEN 0 5 127.0.0.1:647 0.0.0.0:* users:(("other",pid=7,fd=3))',
        'udp UNCONN 0 0 0.0.0.0%virbr0:67 0.0.0.0:* users:(("dnsmasq",pid=8,fd=3))',
    ]
    assert setup(host).managed()["result"] is True


def test_what_cannot_be_meant_is_refused_before_anything_is_written(host: SimHost) -> None:
    elsewhere = {**MEMBERS, "dhcp1": {**MEMBERS["dhcp1"], "address": "192.0.2.9"}}
    pair = {"name": "pair1", "members": elsewhere}
    for wanted, said in (
        (block(pair=pair), "dhcp1:address: 192.0.2.9 is not an address of this host"),
        (block(interfaces=["eth7"]), "there is no interface eth7"),
    ):
        with pytest.raises(InputError, match=said):
            setup(host, wanted).managed()
    del host.programs["dhcpd"]
    with pytest.raises(InputError, match=r"dhcpd is not installed.*isc-dhcp-server"):
        setup(host).managed()
    assert "not installed yet" in setup(host).managed(test=True)["comment"]
    host.files.nodes.pop("/etc/debian_version")
    with pytest.raises(UnsupportedError, match="Debian 12 and 13"):
        setup(host).managed()
    assert host.mutating == []


def test_a_main_file_where_the_server_may_not_read_is_refused(host: SimHost) -> None:
    host.files.put(conffiles.ISC_DEFAULTS, f"{DEFAULTS}DHCPDv4_CONF=/srv/dhcpd.conf\n")
    with pytest.raises(InputError, match=r"/srv/dhcpd\.conf is not below /etc/dhcp.*AppArmor"):
        setup(host).managed()
    host.files.put(conffiles.ISC_DEFAULTS, f"{DEFAULTS}DHCPDv4_CONF=/etc/dhcp/../../srv/a.conf\n")
    with pytest.raises(InputError, match=r"/srv/a\.conf is not below /etc/dhcp"):
        setup(host).managed()
    host.files.put(conffiles.ISC_DEFAULTS, f"{DEFAULTS}DHCPDv4_CONF=/etc/dhcp/one.conf\n")
    host.programs["systemctl"] = lambda argv, stdin: Result(1, "", "not asked\n")
    shown = setup(host).managed(test=True)
    assert "/etc/dhcp/one.conf" in shown["changes"]["files"]


def test_a_main_file_that_is_another_one_by_now_is_refused(host: SimHost) -> None:
    """Ours would stand where nobody reads it, and the next start be by another file."""
    setup(host).managed()
    defaults = host.files.read(conffiles.ISC_DEFAULTS) or ""
    host.files.put(conffiles.ISC_DEFAULTS, f"{defaults}DHCPDv4_CONF=/etc/dhcp/one.conf\n")
    host.log.clear()
    with pytest.raises(RefusedError, match=r"/etc/dhcp/one\.conf is what .* ours is in .*dhcpd\.c"):
        setup(host).managed()
    assert host.mutating == []
    setup(host).absent()
    assert host.files.read("/etc/dhcp/dhcpd.conf") == MAIN
    assert "/etc/dhcp/one.conf" in setup(host).managed(test=True)["changes"]["files"]


def test_a_pillar_without_the_block_is_nothing_unless_the_host_is_a_member(host: SimHost) -> None:
    bare = setup(host)
    bare.data = {"interfaces": {}}
    assert bare.managed()["changes"] == {} and host.mutating == []
    setup(host).managed()
    with pytest.raises(InputError, match=r"ipalias\.dhcp\.clean"):
        bare.managed()


def test_the_table_keeps_others_out_and_says_what_it_cannot(host: SimHost) -> None:
    setup(host, block(firewall=True)).managed()
    rules = running(host, RULES) or ""
    assert "ip saddr 192.0.2.3 tcp dport 647 accept\n        tcp dport 647 drop" in rules
    assert "tcp dport 7911 drop" in rules and 'iifname "lo" accept' in rules
    host.log.clear()
    setup(host).managed()
    rules = running(host, RULES) or ""
    assert "647" not in rules and "7911" in rules
    assert not [c for c in commands(host) if "isc-dhcp" in c], "the server is left alone"
    chain = {"family": "inet", "table": "filter", "name": "input", "hook": "input"}
    host.stored["chains"] = [{"chain": {**chain, "policy": "drop"}}]
    notes = setup(host).managed()["notes"]
    assert any("inet filter input" in n and "ip saddr 192.0.2.3 tcp" in n for n in notes)
    setup(host, block(implementation="kea")).managed()
    assert running(host, RULES) is None and host.files.read(firewall.UNIT) is None
    del host.programs["nft"]
    notes = setup(host, block(firewall=True)).managed(test=True)["notes"]
    assert len([n for n in notes if "nft is not installed" in n]) == 2


def test_rulesets_that_are_none_name_nobody() -> None:
    for text in ("", "{}", '{"nftables": 3}', '{"nftables": [3, {"chain": 4}]}'):
        assert firewall.droppers(text) == []
    policy = {"hook": "input", "policy": "drop", "table": firewall.TABLE}
    assert firewall.droppers(json.dumps({"nftables": [{"chain": policy}]})) == []


def test_sockets_are_read_as_ss_shows_them() -> None:
    text = (
        'udp   UNCONN 0 0 0.0.0.0%eth1:67  0.0.0.0:* users:(("dhcpd",pid=24,fd=8))\n'
        'tcp LISTEN 0 1 192.0.2.2:647 0.0.0.0:* users:(("dhcpd",pid=24,fd=9),("x",pid=3,fd=1))\n'
        "tcp   LISTEN 0 1       [::1]:25      [::]:*\nNetid nonsense\nudp UNCONN 0 0 *:* *:*\n"
    )
    found = parse_sockets(text)
    assert [(s.address, s.port, s.program, s.pid, s.device) for s in found] == [
        ("0.0.0.0", 67, "dhcpd", 24, "eth1"),
        ("192.0.2.2", 647, "dhcpd", 24, ""),
        ("192.0.2.2", 647, "x", 3, ""),
        ("::1", 25, "", 0, ""),
    ]
    assert serving(SERVERS["isc"], found) == (24,) and serving(SERVERS["kea"], found) == ()
    broken = linux()
    broken.programs["ss"] = lambda argv, stdin: Result(1, "", "no\n")
    with pytest.raises(EffectError, match=r"`ss .*: no"):
        read_sockets(broken)


def test_what_was_found_is_read_back_or_refused(host: SimHost) -> None:
    setup(host).managed()
    path = setup(host).places.found
    text = host.files.read(path) or ""
    found = conffiles.parse_found(text, path)
    assert conffiles.render_found(found) == text
    assert found.files["/etc/dhcp/dhcpd.conf"].text == MAIN
    # One from before other servers were kept.
    former = {key: value for key, value in json.loads(text).items() if key != "others"}
    assert conffiles.parse_found(json.dumps(former), path) == found
    later = json.dumps({**json.loads(text), "schema": 2})
    for damaged, said in ((later, "later version"), ("{", "not what a host had")):
        host.files.put(path, damaged)
        with pytest.raises(ParseError, match=said):
            setup(host).absent()


def test_a_main_file_that_declares_the_same_is_refused(host: SimHost) -> None:
    theirs = f"{MAIN}subnet 192.0.2.0 netmask 255.255.255.0 {{ }}\n"
    host.files.put("/etc/dhcp/dhcpd.conf", theirs)
    with pytest.raises(RefusedError, match=r"/etc/dhcp/dhcpd\.conf:3"):
        setup(host).managed()
    assert host.mutating == []
    assert setup(host, block(whole=True)).managed()["result"] is True
    setup(host).absent()
    assert host.files.read("/etc/dhcp/dhcpd.conf") == theirs


def test_a_main_file_that_is_not_there_is_made_and_goes_again(host: SimHost) -> None:
    host.files.nodes.pop("/etc/dhcp/dhcpd.conf")
    before = without_own(host)
    assert setup(host).managed()["result"] is True
    assert 'include "/etc/dhcp/ipalias.conf";' in (host.files.read("/etc/dhcp/dhcpd.conf") or "")
    setup(host).absent()
    assert different(before, host) == {}


def test_interfaces_that_only_a_shell_can_tell_are_refused(host: SimHost) -> None:
    host.files.put(conffiles.ISC_DEFAULTS, f"{DEFAULTS}if true; then INTERFACESv4=eth1; fi\n")
    with pytest.raises(ParseError, match="isc-dhcp-server:4: INTERFACESv4"):
        setup(host).managed()
    assert host.mutating == []


def test_a_peer_of_a_release_that_does_not_understand_ours_is_refused(host: SimHost) -> None:
    host.programs["kea-dhcp4"] = lambda argv, stdin: Result(0, "2.2.0\n", "")
    asked: list[tuple[str, int, str]] = []

    def later(*question: Any) -> dict[str, Any]:
        asked.append(question)
        return {"dhcp-state": {}}

    with pytest.raises(UnsupportedError, match=r"Kea 2\.2\.0 here and 2\.5 or later at the peer"):
        setup(host, block(implementation="kea"), ask_peer=later).managed()
    assert asked == [("192.0.2.3", 647, "status-get")] and host.mutating == []
    told = setup(host, block(implementation="kea"), ask_peer=lambda *question: {}).managed()
    assert told["result"] is True
