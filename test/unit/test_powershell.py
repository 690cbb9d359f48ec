"""Windows' PowerShell: two fixed scripts, data in and out, and what is made of the answers."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rig.plat import windows
from rig.plat.windows_cited import CITED, REFUSALS, Unreadable, check
from rig.simengine import block, engine, live
from rig.simforms import survivors
from rig.simhost import SimHost
from saltext.ipalias.backends import load, windows_netsh
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError
from saltext.ipalias.host import Result
from saltext.ipalias.live import powershell, powershell_scripts, tools
from saltext.ipalias.model import Alias, Change, Evidence
from saltext.ipalias.pillar import parse_pillar
from saltext.ipalias.values import is_interface

NEVER = {"address": "198.51.100.11", "source": "never"}
LISTS: list[list[object]] = [
    ["198.51.100.10", "2001:db8:1::10", "203.0.113.5/24"],
    ["198.51.100.10", NEVER, "203.0.113.5"],
    [NEVER, "2001:db8:1::10/64"],
    [],
]
#: Names that people give connections, and some that nobody should.
NAMES = ["Connexion au réseau local", "LAN-Verbindung", "Подключение 2", "イーサネット", "a b 'c'"]
NAMES += ["$(calc)", "x; y & z", "LAN [1]", "`whoami`", "100%", "-Force", "@{a}", "\U0001f310"]


def run_of(form: str, host: SimHost) -> list[Run]:
    """Return every command of adding, changing, removing, restarting and DHCP."""
    for listed in LISTS:
        engine(host, block(*listed, form=form)).managed()
    engine(host, None).add([Alias("198.51.100.77", 32, "eth0")], persist=False)
    engine(host, None).add([Alias("198.51.100.78", 32, "eth0")], live=False)
    dhcp = windows.by_dhcp()
    asked = engine(dhcp, block("198.51.100.10", form=form, convert_dhcp=True))
    asked.managed()
    from saltext.ipalias.upkeep import restart, rollback

    rollback(asked)
    for scope in ("interface", "network"):
        restart(engine(host, None), name="eth0", scope=scope)
    return [e for made in (host, dhcp) for e in made.log if isinstance(e, Run)]


# The scripts


def test_there_are_three_scripts_and_no_value_in_them() -> None:
    seen = set()
    for name in ("eth0", "Connexion au réseau local"):
        host = windows.rename(windows.host(), name) if name != "eth0" else windows.host()
        engine(host, block("198.51.100.10", interface=name)).managed()
        seen |= {e.command.argv for e in host.log if isinstance(e, Run)}
    assert seen == {powershell_scripts.CHANGE}
    scripts = (powershell_scripts.READ, powershell_scripts.CHANGE, powershell_scripts.ASK)
    assert len({script[:-1] for script in scripts}) == 1
    assert len({script[-1] for script in scripts}) == 3


@pytest.mark.parametrize(
    "argv", [powershell_scripts.READ, powershell_scripts.CHANGE, powershell_scripts.ASK]
)
def test_a_script_fits_a_command_line_and_its_quoting(argv: tuple[str, ...]) -> None:
    assert argv[-1].isascii()
    assert '"' not in argv[-1]
    line = subprocess.list2cmdline(argv)
    # CreateProcess takes 32,767 characters; quoted whole, nothing of it is escaped.
    assert len(line) < 32767
    assert line.endswith(f'"{argv[-1]}"')


def test_each_cmdlet_is_cited_with_its_parameters() -> None:
    used: dict[str, set[str]] = {}
    scripts = (powershell_scripts.READ, powershell_scripts.CHANGE, powershell_scripts.ASK)
    for script in (each[-1] for each in scripts):
        joined = script.replace("`\n", " ")
        for found in re.finditer(r"\b((?:Get|New|Set|Remove|Restart)-[A-Z]\w+)([^|{}\n]*)", joined):
            words = {word for word in re.findall(r"\s-([A-Z]\w+)", found[2])}
            used.setdefault(found[1], set()).update(words)
        splatted = re.findall(r"\$more\.(\w+)", script)
        assert set(splatted) <= {"PolicyStore"}
    assert set(used) == set(CITED)
    for cmdlet, words in used.items():
        assert words <= CITED[cmdlet][1], cmdlet
    assert all(source.startswith("learn.microsoft.com/") for source, _ in CITED.values())
    assert all(row[3].strip() for row in REFUSALS.values())
    assert len(REFUSALS) > 5


def test_the_cmdlets_that_a_user_is_promised_are_used() -> None:
    text = powershell_scripts.CHANGE[-1].replace("`\n", " ")
    assert re.search(
        r"New-NetIPAddress -InterfaceAlias \$name -IPAddress \$address\s+-PrefixLength \$op\.prefix"
        r" -SkipAsSource \$op\.skip @more",
        text,
    )
    away = "Remove-NetIPAddress -InterfaceIndex $index -IPAddress $address @more -Confirm:$false"
    assert away in text


# Slips of the pen


def slips(text: str) -> Iterator[str]:
    """Yield an input with each word dropped, doubled, misspelt, each pair of values swapped."""
    told = json.loads(text)
    draw = random.Random(text)

    def written(value: dict[str, Any]) -> str:
        return json.dumps(value, separators=(",", ":")) + "\n"

    for key in told:
        yield written({name: value for name, value in told.items() if name != key})
        yield written({f"{name}~" if name == key else name: v for name, v in told.items()})
    for at, op in enumerate(told["ops"]):
        keys = list(op)
        for number, key in enumerate(keys):
            value = op[key]
            spot = draw.randrange(len(str(value)) + 1)
            misspelt = f"{str(value)[:spot]}~{str(value)[spot:]}"
            others = [
                {k: v for k, v in op.items() if k != key},
                {f"{k}~" if k == key else k: v for k, v in op.items()},
                {**op, key: misspelt},
                {**op, f"{key}2": value},
            ]
            if number + 1 < len(keys):
                near = keys[number + 1]
                others.append({**op, key: op[near], near: value})
            for other in others:
                ops = [*told["ops"][:at], other, *told["ops"][at + 1 :]]
                yield written({**told, "ops": ops})
    yield text.rstrip("\n")
    yield text * 2


def takes(text: str) -> bool:
    try:
        check(text)
    except Unreadable:
        return False
    return True


def test_slips_in_what_powershell_is_given_do_not_survive() -> None:
    host = windows.host()
    inputs = {e.command.stdin or "" for e in run_of("powershell", host) if e.command.stdin}
    assert all(takes(text) for text in inputs)
    tried = [slip for text in sorted(inputs) for slip in slips(text) if slip != text]
    left = [slip for slip in tried if takes(slip)]
    assert len(tried) > 300
    assert len(left) <= len(tried) // 20, left[:5]
    verbs = {op["do"] for text in inputs for op in json.loads(text)["ops"]}
    assert verbs == {"new", "set", "remove", "restart", "restart-all"}


def test_slips_in_the_lines_of_netsh_do_not_survive() -> None:
    host = windows.host()
    lines = [e.command.argv for e in run_of("netsh", host) if e.command.argv[0] == "netsh"]
    program: Any = windows.host().programs["netsh"]
    assert all(program.takes(line) for line in lines)
    assert len(set(lines)) > 10
    count, left = survivors(program, lines)
    assert count > 200
    assert len(left) <= count // 20, left


def test_another_script_is_refused() -> None:
    host = windows.host()
    argv = [*powershell_scripts.CHANGE[:-1], powershell_scripts.CHANGE[-1] + " "]
    assert host.run(argv, '{"interface":"eth0","go_on":false,"ops":[]}\n').code == 1
    assert host.run(["powershell.exe", "-Command", "Get-NetIPAddress"]).code == 1


# Names


@pytest.mark.parametrize("name", NAMES)
def test_a_connection_of_any_name(name: str) -> None:
    assert is_interface(name, "windows")
    host = windows.rename(windows.host(), name)
    pillar = block("198.51.100.10", "2001:db8:1::10", interface=name)
    assert engine(host, pillar).managed()["result"] is True
    for effect in (e for e in host.log if isinstance(e, Run)):
        assert effect.command.argv == powershell_scripts.CHANGE
        assert (effect.command.stdin or "").isascii()
        assert json.loads(effect.command.stdin or "")["interface"] == name
    assert {"198.51.100.10/32", "2001:db8:1::10/128"} < live(host, name)
    netsh = block("198.51.100.12", interface=name, form="netsh")
    engine(host, netsh).managed()
    lines = [e.command.argv for e in host.log if isinstance(e, Run)]
    named = [line for line in lines if line[0] == "netsh"]
    assert named
    assert all(line[5] == name for line in named)


NO_NAMES = ['a"b', "a\nb", "a\tb", "a\x00b", "a\x7fb", "a\x1b[0m", "", " ", " a", "a ", "x" * 257]
NO_NAMES += [
    "a\u202eb",
    "a\u200bb",
    "a\u2028b",
    "a\ud800b",
    "a*",
    "a?",
    "a/b",
    "a\\b",
    "a|b",
    "a:b",
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_no_connection_has(name: str) -> None:
    assert not is_interface(name, "windows")
    with pytest.raises(InputError, match="is not an interface name"):
        parse_pillar(block("198.51.100.10", interface=name), system="windows")


names = st.text(min_size=1, max_size=40).filter(lambda name: is_interface(name, "windows"))
chosen = st.lists(
    st.tuples(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), st.integers(1, 32)),
    max_size=6,
    unique_by=lambda item: item[0],
)


@given(name=names, listed=chosen, skip=st.booleans())
def test_what_is_given_is_one_ascii_line_that_says_the_same(
    name: str, listed: list[tuple[str, int]], skip: bool
) -> None:
    ops = [powershell.new(address, prefix, skip) for address, prefix in listed]
    if not ops:
        assert powershell.commands(name, ops) == []
        return
    (command,) = powershell.commands(name, ops, [address for address, _ in listed])
    assert command.argv == powershell_scripts.CHANGE
    interface, go_on, told = check(command.stdin or "")
    assert (interface, go_on) == (name, False)
    assert told == [dict(op) for op in ops]
    assert len(command.acts_on) == len(told)
    for argv in windows_netsh.static_argvs(
        name, windows_netsh.Lease("192.0.2.2", 24, "192.0.2.1", ("192.0.2.53",))
    ):
        assert argv[5] == f"name={name}"


def test_very_many_are_more_than_one_process() -> None:
    ops = [powershell.remove(f"2001:db8::{n:x}") for n in range(1, powershell.MOST + 3)]
    first, second = powershell.commands("eth0", ops, [str(op["address"]) for op in ops])
    assert len(json.loads(first.stdin or "")["ops"]) == powershell.MOST == len(first.acts_on)
    assert second.acts_on == (
        f"2001:db8::{powershell.MOST + 1:x}",
        f"2001:db8::{powershell.MOST + 2:x}",
    )
    # ConvertFrom-Json of Windows PowerShell takes 2 MiB.
    assert len(first.stdin or "") < 2**21
    assert first.timeout > second.timeout


# Reading


def answer(**changes: Any) -> dict[str, Any]:
    """Return what the script tells of a host, some of it otherwise."""
    told = json.loads(windows.host().run(powershell_scripts.READ).out)
    told.update(changes)
    return told


def snapshot_of(told: dict[str, Any]) -> Any:
    host = windows.host()
    host.programs["powershell.exe"] = lambda argv, stdin: Result(0, json.dumps(told), "")
    return tools.load("windows").read_snapshot(host)


def address(**changes: Any) -> dict[str, Any]:
    row = {"store": "ActiveStore", "index": 2, "address": "198.51.100.10", "prefix": 32}
    row |= {"skip": False, "state": "Preferred", "origin": "Manual", "suffix": "Manual"}
    return {**row, **changes}


@pytest.mark.parametrize(
    ("row", "flags", "scope", "zero"),
    [
        (address(), set(), "global", False),
        (address(skip=True), set(), "host", False),
        (address(address="2001:DB8::A", skip=True), set(), "global", True),
        (address(state="Tentative"), {"tentative"}, "global", False),
        (address(state="Duplicate"), {"tentative", "dadfailed"}, "global", False),
        (address(state="Deprecated"), {"deprecated"}, "global", False),
        (address(origin="Dhcp", suffix="Dhcp"), {"dynamic"}, "global", False),
        (
            address(address="2001:db8::b", origin="RouterAdvertisement", suffix="Random"),
            {"dynamic", "temporary"},
            "global",
            False,
        ),
        (address(address="fe80::1%2", origin="WellKnown", suffix="Link"), set(), "link", False),
        (address(address="169.254.1.2", origin="WellKnown"), set(), "link", False),
    ],
)
def test_an_address_is_read(row: Any, flags: set[str], scope: str, zero: bool) -> None:
    (read,) = snapshot_of(answer(addresses=[row])).addresses
    assert read.flags == flags
    assert (read.scope, read.preferred_zero, read.label) == (scope, zero, None)
    assert read.address == row["address"].lower().partition("%")[0]


def test_without_a_carrier_nothing_is_waited_for() -> None:
    """Windows leaves every address tentative there: nobody can be asked."""
    told = answer(addresses=[address(state="Tentative")])
    told["adapters"][0]["up"] = False
    snapshot = snapshot_of(told)
    assert snapshot.addresses[0].flags == frozenset()
    assert "UP" not in snapshot.by_link["eth0"].flags


def test_a_link_is_read_with_its_hardware_address() -> None:
    snapshot = snapshot_of(answer())
    assert snapshot.by_link["eth0"].mac == "02:00:00:00:00:02"
    assert snapshot.by_link["eth0"].flags >= {"UP", "BROADCAST"}
    assert "LOOPBACK" in snapshot.by_link["lo"].flags
    assert snapshot.system == "windows"


def route(**changes: Any) -> dict[str, Any]:
    row = {"store": "ActiveStore", "index": 2, "destination": "0.0.0.0/0", "metric": 0}
    return {**row, "gateway": "192.0.2.1", "protocol": "NetMgmt", **changes}


@pytest.mark.parametrize(
    ("rows", "dhcp", "protocol"),
    [
        ([route(), route(store="PersistentStore")], False, "static"),
        ([route()], True, "dhcp"),
        ([route()], False, "netmgmt"),
        ([route(destination="::/0", gateway="fe80::1%2")], False, "ra"),
        ([route(destination="::/0", gateway="2001:db8::1")], True, "netmgmt"),
    ],
)
def test_a_default_route_tells_who_brings_it_back(rows: Any, dhcp: bool, protocol: str) -> None:
    told = answer(routes=rows)
    for interface in told["interfaces"]:
        if dhcp and interface["family"] == "IPv4":
            interface["dhcp"] = "Enabled"
    (read,) = snapshot_of(told).routes
    assert read.protocol == protocol
    assert read.destination == "default"


def test_an_interface_that_is_gone_has_rows_in_the_store_alone() -> None:
    """The persistent store keeps what an adapter had that was taken out."""
    store = powershell.parse(json.dumps(answer(addresses=[address(index=99)])))
    assert store.addresses == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "7", '{"failed": 0}', "x" * 5000, '{"version":1,"interfaces":[{}]}']
    + [json.dumps(answer(addresses=[address(address=bad)])) for bad in ("", "x", "1.2.3", None)]
    + [json.dumps(answer(addresses=[address(prefix="9" * 5000)]))],
)
def test_an_answer_that_is_none(text: str) -> None:
    with pytest.raises(EffectError, match="did not answer with what was asked"):
        powershell.parse(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_answer_is_read_or_refused(told: Any) -> None:
    for text in (json.dumps(told), json.dumps(answer(routes=told, dns=told))):
        try:
            powershell.parse(text)
        except EffectError:
            continue


@pytest.mark.parametrize(
    ("result", "index", "said"),
    [
        (
            Result(1, '{"failed":3,"id":"x","native":"y","message":"weg\\n da"}', ""),
            3,
            "weg da [x]",
        ),
        (Result(1, '{"failed":-1,"id":"x","native":"y","message":"weg"}', ""), None, "weg"),
        (Result(124, "", "powershell.exe: no end after 60 s"), None, "no end after 60 s"),
        (Result(1, "", ""), None, "no output"),
    ],
)
def test_where_a_change_stopped(result: Result, index: int | None, said: str) -> None:
    at, reason = tools.failure("windows", result)
    assert at == index
    assert said in reason


# The backend's own words


def test_what_is_parsed_is_what_was_asked_for() -> None:
    """parse(render(x)) = x, by way of the commands; a second time there is nothing to do."""
    backend = load("windows")
    for listed in LISTS:
        host = windows.host()
        engine(host, block(*listed)).managed()
        evidence = backend.detect(host, "eth0")
        asked = parse_pillar(block(*listed), system="windows").interfaces["eth0"].aliases
        found = {f.alias for f in backend.parse(host, evidence)}
        assert set(asked) < found
        change = Change("eth0", evidence, asked, live_after=frozenset(a.cidr for a in asked))
        activation = backend.activate(change, host)
        assert (activation.before, activation.up, activation.tell) == ((), (), ())


def test_nothing_is_said_of_an_interface_that_is_gone() -> None:
    backend = load("windows")
    change = Change("eth9", Evidence("windows", "eth9", True), (Alias("198.51.100.1", 32, "eth9"),))
    assert backend.activate(change, windows.host()).up == ()


def test_routes_go_back_to_the_running_system_alone() -> None:
    host = windows.host()
    routes = snapshot_of(answer()).routes
    (command,) = tools.load("windows").routes_back(routes)
    told = json.loads(command.stdin or "")
    assert told["go_on"] is True
    assert {op["store"] for op in told["ops"]} == {"ActiveStore"}
    host.net.routes = []
    assert host.run(command.argv, command.stdin).code == 0
    assert {route.gateway for route in host.net.routes} == {"192.0.2.1", "2001:db8::1"}
