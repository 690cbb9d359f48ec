"""Who else is on a segment where no frames are to be had: duplicates, and the gateway's vote."""

from __future__ import annotations

from typing import Any

import pytest

from rig import plat
from rig.plat import freebsd, ipadm, openbsd, windows
from rig.simengine import block, changed, engine, live
from rig.simforms import Cited, survivors
from rig.simhost import SimHost
from rig.simneighbours import add_arping, segment_of
from rig.simscenes import comparable, differences, leftovers
from saltext.ipalias.checks import CHECK_TIMEOUT
from saltext.ipalias.effects import AskAll, Run
from saltext.ipalias.errors import EffectError, RefusedError, VerifyError
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.live import neighbours, tools

NEAR, NEXT, FAR, SIX = "192.0.2.50", "192.0.2.51", "198.51.100.10", "2001:db8:1::10"
MAC = "02:00:00:00:00:99"
GATEWAY4, GATEWAY6 = "192.0.2.1", "2001:db8::1"
BSDS = {"freebsd": freebsd, "openbsd": openbsd}


@pytest.fixture(params=BSDS)
def host(request: pytest.FixtureRequest) -> SimHost:
    made = BSDS[request.param].host()
    made.log.clear()
    return made


def asked(host: SimHost) -> list[str]:
    """Return the questions of a change, in order."""
    return [
        " ".join(command.argv)
        for effect in host.log
        if isinstance(effect, AskAll)
        for command in effect.commands
    ]


def refused(host: SimHost, pillar: dict[str, Any]) -> str:
    before = comparable(host)
    with pytest.raises(RefusedError) as caught:
        engine(host, pillar).managed()
    assert differences(before, comparable(host)) == []
    assert leftovers(host) == []
    ran = [effect.command.argv[0] for effect in host.log if isinstance(effect, Run)]
    assert "ifconfig" not in ran
    return str(caught.value)


# Duplicates


@pytest.mark.parametrize("silent", [False, True])
def test_a_taken_address_is_refused_and_its_owner_named(host: SimHost, silent: bool) -> None:
    """Also where the other host answers no ping: ARP it does answer."""
    host.taken[NEXT] = MAC
    segment_of(host).silent = {NEXT} if silent else set()
    said = refused(host, block(NEAR, NEXT, FAR))
    assert said.startswith("ipalias:interfaces:eth0:addresses[1]: eth0: 192.0.2.51 is taken: ")
    assert f"{MAC} answers for it" in said
    assert "`check_duplicates: false`" in said


def test_what_is_free_is_added(host: SimHost) -> None:
    host.taken["192.0.2.60"] = MAC
    answer = engine(host, block(NEAR, SIX)).managed()
    assert {f"{NEAR}/32", f"{SIX}/128"} < live(host)
    assert "not asked for" not in answer["comment"]
    assert not any(SIX in line for line in asked(host))


def test_only_what_is_new_is_asked_for(host: SimHost) -> None:
    engine(host, block(NEAR)).managed()
    host.log.clear()
    engine(host, block(NEAR, NEXT)).managed()
    assert [line for line in asked(host) if line.startswith("ping ")] == [
        " ".join(tools_ping(host, NEXT))
    ]
    assert changed(host, engine(host, block(NEAR, NEXT)).managed) == []


def tools_ping(host: SimHost, address: str) -> tuple[str, ...]:
    argv: tuple[str, ...] = tools.load(host.system).ping_argv(address)  # type: ignore[attr-defined]
    return argv


def test_it_can_be_switched_off_and_a_look_asks_nothing(host: SimHost) -> None:
    host.taken[NEAR] = MAC
    engine(host, block(NEAR, check_duplicates=False)).managed(test=True)
    engine(host, block(NEAR)).managed(test=True)
    assert host.log == [] or asked(host) == []
    engine(host, block(NEAR, check_duplicates=False)).managed()
    assert asked(host) == []
    assert f"{NEAR}/32" in live(host)


def test_what_the_kernel_remembers_of_a_host_that_has_left_does_not_count(host: SimHost) -> None:
    segment_of(host).table[NEAR] = ("eth0", MAC)
    assert engine(host, block(NEAR)).managed()["result"] is True
    assert f"arp -d {NEAR}" in asked(host)


def test_what_no_subnet_holds_cannot_be_asked_for_and_is_named(host: SimHost) -> None:
    host.taken[FAR] = MAC
    answer = engine(host, block(FAR)).managed()
    assert answer["result"] is True
    assert f"eth0: {FAR} not asked for: no subnet of eth0 holds it" in answer["comment"]
    assert not any("ping" in line for line in asked(host))


def test_with_arping_every_address_is_asked_for(host: SimHost) -> None:
    add_arping(host)
    host.taken[FAR] = MAC
    said = refused(host, block(NEAR, FAR))
    assert f"{FAR} is taken: {MAC} answers" in said
    assert asked(host) == [f"arping -0 -r -c 1 -i eth0 {address}" for address in (NEAR, FAR)]
    del host.taken[FAR]
    assert "not asked for" not in engine(host, block(NEAR, FAR)).managed()["comment"]
    program = host.programs["arping"]
    assert isinstance(program, Cited)
    count, left = survivors(program, program.taken)
    assert count > 20
    assert len(left) <= count // 20, left


def test_no_more_than_so_many_are_asked_for_and_the_rest_is_counted(
    host: SimHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MOST", 4)
    answer = engine(host, block("192.0.2.50-192.0.2.59")).managed()
    pings = [line for line in asked(host) if line.startswith("ping ")]
    assert len(pings) == 4
    said = "192.0.2.54, 192.0.2.55, 192.0.2.56 and 3 more not asked for: at most 4 are"
    assert said in answer["comment"]


def test_a_host_that_may_not_ask_says_so_and_changes_nothing(host: SimHost) -> None:
    before = comparable(host)
    segment_of(host).raw = False
    with pytest.raises(EffectError, match=r"duplicates could not be looked for.*not permitted"):
        engine(host, block(NEAR)).managed()
    add_arping(host)
    with pytest.raises(EffectError, match=r"duplicates could not be looked for.*libnet_init"):
        engine(host, block(NEAR)).managed()
    assert differences(before, comparable(host)) == []
    assert engine(host, block(NEAR, check_duplicates=False)).managed()["result"] is True


@pytest.mark.parametrize("gone", ["ping", "arp"])
def test_a_program_that_is_missing_is_named(host: SimHost, gone: str) -> None:
    del host.programs[gone]
    with pytest.raises(EffectError, match=r"duplicates could not be looked for: is not installed"):
        engine(host, block(NEAR)).managed()


@pytest.mark.parametrize("six", [False, True])
def test_solaris_and_windows_look_themselves_and_that_fails_the_change(six: bool) -> None:
    for made in (ipadm.host(), windows.host()):
        address = SIX if six else NEAR
        made.net.elsewhere.add(address)
        if not six and made.system == "windows":
            mark_duplicate(made, address)
        before = comparable(made)
        with pytest.raises((VerifyError, EffectError), match=f"{address}/[0-9]+ .*(dup|Can|could)"):
            engine(made, block(address)).managed()
        assert differences(before, comparable(made)) == []
        assert asked(made) == []


def mark_duplicate(host: SimHost, address: str) -> None:
    """Let Windows find that somebody has an IPv4 address: ``AddressState`` is ``Duplicate``."""
    shell: Any = host.programs["powershell.exe"]
    read = shell._active

    def found() -> Any:
        for row in read():
            yield {**row, "state": "Duplicate"} if row["address"] == address else row

    shell._active = found


# What the kernels' tables say


def test_a_table_of_freebsd() -> None:
    text = (
        "? (192.0.2.1) at 0:c:29:1:2:3 on em0 expires in 1196 seconds [ethernet]\n"
        "? (192.0.2.2) at 00:0c:29:aa:bb:cc on em0 permanent [ethernet]\n"
        "? (192.0.2.3) at (incomplete) on em0 expired [ethernet]\n"
        "? (192.0.2.4) at 00:0c:29:00:00:04 on em1 expires in 3 seconds [vlan]\n"
        "gw.example.net (192.0.2.5) at 00:0c:29:00:00:05 on em0 expired [ethernet]\n"
        "? (192.0.2.6) at 00:0c:29:00:00:06 on em0 expires in 9 seconds published [ethernet]\n"
    )
    found = {"192.0.2.1": "00:0c:29:01:02:03", "192.0.2.5": "00:0c:29:00:00:05"}
    assert neighbours.parse_table(text, "em0") == found


def test_a_table_of_openbsd_and_of_ndp() -> None:
    text = (
        "Host                                 Ethernet Address    Netif Expire    Flags\n"
        "192.0.2.1                            00:0c:29:01:02:03     em0 19m58s    \n"
        "192.0.2.2                            00:0c:29:aa:bb:cc     em0 permanent l\n"
        "192.0.2.3                            (incomplete)          em0 expired   \n"
        "192.0.2.4                            00:0c:29:00:00:04     em0 static    \n"
    )
    assert neighbours.parse_table(text, "em0") == {"192.0.2.1": "00:0c:29:01:02:03"}
    text = (
        "Neighbor                             Linklayer Address  Netif Expire    S Flags\n"
        "fe80::1%em0                          00:0c:29:01:02:03    em0 23h59m58s S R\n"
        "2001:db8::2                          00:0c:29:aa:bb:cc    em0 permanent R \n"
        "2001:db8::3                          (incomplete)         em0 1s        I  3\n"
    )
    assert neighbours.parse_table(text, "em0") == {"fe80::1": "00:0c:29:01:02:03"}


@pytest.mark.parametrize("text", ["", "\n\n", "a b c", "? (x) at 0:0:0:0:0:0 on em0", "0:1:2:3"])
def test_what_is_no_table_has_no_neighbour(text: str) -> None:
    assert neighbours.parse_table(text, "em0") == {}


# The gateway's vote

VOTING = {"freebsd": freebsd, "openbsd": openbsd, "ipadm": ipadm, "windows": windows}


@pytest.fixture(params=VOTING)
def voter(request: pytest.FixtureRequest) -> SimHost:
    made: SimHost = plat.load(request.param).host()
    made.log.clear()
    return made


def test_a_gateway_votes(voter: SimHost) -> None:
    answer = engine(voter, block("203.0.113.1")).managed()
    assert "does not vote" not in answer["comment"]


@pytest.mark.parametrize("gateway", [GATEWAY4, GATEWAY6])
def test_a_change_behind_which_a_gateway_is_gone_is_put_back(voter: SimHost, gateway: str) -> None:
    before = comparable(voter)

    def watch(at: int, effect: object) -> None:
        if isinstance(effect, Run):
            voter.gone = {gateway}
            forget(voter, gateway)

    voter.watch = watch
    with pytest.raises(VerifyError, match=rf"gateway {gateway} worked before the change and fails"):
        engine(voter, block("203.0.113.1")).managed()
    voter.watch = None
    assert differences(before, comparable(voter)) == []


def forget(host: SimHost, address: str) -> None:
    """Let what the kernel remembers of an address run out."""
    if host.system in BSDS:
        segment_of(host).table.pop(address, None)


@pytest.mark.parametrize("gateway", [GATEWAY4, GATEWAY6])
def test_one_that_was_gone_before_does_not_vote(voter: SimHost, gateway: str) -> None:
    voter.gone = {gateway}
    answer = engine(voter, block("203.0.113.1")).managed()
    assert answer["result"] is True
    assert f"gateway {gateway} failed before the change and does not vote" in answer["comment"]


@pytest.mark.parametrize("name", ["freebsd", "openbsd", "windows"])
def test_one_that_answers_no_ping_votes_by_its_hardware_address(name: str) -> None:
    made: SimHost = plat.load(name).host()
    silent = {GATEWAY4, GATEWAY6}
    if name == "windows":
        shell: Any = made.programs["powershell.exe"]
        shell.silent = silent
    else:
        segment_of(made).silent = silent
    assert "does not vote" not in engine(made, block("203.0.113.1")).managed()["comment"]


def test_a_link_local_gateway_is_asked_over_its_link() -> None:
    ran: list[tuple[str, ...]] = []

    class Asking(SimHost):
        def run(self, argv: Any, stdin: str | None = None, timeout: float = 15.0) -> Result:
            ran.append((*argv, *([stdin] if stdin else [])))
            assert timeout > CHECK_TIMEOUT
            return Result(0, '{"status": 0, "neighbour": ""}', "")

    for system in ("freebsd", "openbsd", "sunos", "windows"):
        address = "fe80::1" if system == "sunos" else "fe80::1%net0"
        assert tools.load(system).check_gateway(Asking(), address, "net0") == ""
    assert ran[0] == ("ping6", "-n", "-c", "1", "fe80::1%net0")
    assert ran[1] == ("ping6", "-n", "-c", "1", "-w", "1", "fe80::1%net0")
    assert ran[2] == ("ping", "-i", "net0", "fe80::1", "2")
    assert ran[3][-1] == '{"interface":"net0","address":"fe80::1"}\n'


def test_a_system_that_cannot_ask_says_so_and_goes_on(voter: SimHost) -> None:
    gone = "powershell.exe" if voter.system == "windows" else "ping"
    real = voter.programs[gone]

    def missing(argv: Any, stdin: str | None) -> Result:
        if voter.system == "windows" and '"do"' not in (stdin or "") and stdin:
            return Result(NOT_FOUND, "", "not installed\n")
        return real(argv, stdin)

    if voter.system == "windows":
        voter.programs[gone] = missing
    else:
        del voter.programs[gone]
    answer = engine(voter, block("203.0.113.1", check_duplicates=False)).managed()
    assert answer["result"] is True
    assert f"gateway {GATEWAY4} failed before the change and does not vote" in answer["comment"]


def test_slips_of_the_pen_in_what_asks_do_not_survive(host: SimHost) -> None:
    segment_of(host).silent = {GATEWAY4, GATEWAY6}
    segment_of(host).table[NEAR] = ("eth0", MAC)
    engine(host, block(NEAR)).managed()
    total, left = 0, []
    for name in ("ping", "ping6", "arp", "ndp"):
        program = host.programs[name]
        assert isinstance(program, Cited)
        assert program.taken, name
        assert program.refused == []
        count, survived = survivors(program, program.taken)
        total, left = total + count, left + survived
    assert total > 40
    assert len(left) <= total * 0.05, left


def test_each_interface_has_its_own_word_on_duplicates() -> None:
    """Also where all of them are applied in one change."""
    made = freebsd.host(links=("eth0", "eth1"))
    made.taken = {NEAR: MAC, "198.51.100.5": MAC}
    both = {"eth0": {"addresses": [NEAR], "check_duplicates": False}}
    both["eth1"] = {"addresses": ["198.51.100.5"]}
    with pytest.raises(RefusedError, match=r"198\.51\.100\.5 is taken"):
        engine(made, {"interfaces": both}).managed()
    both["eth1"]["check_duplicates"] = False
    assert engine(made, {"interfaces": both}).managed()["result"] is True
