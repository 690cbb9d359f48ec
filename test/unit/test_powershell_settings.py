"""Windows' scripts for settings: constants, data in and out, and what is made of the answers."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rig.plat import windows, windows_settings
from rig.plat.windows_cited import CITED_SETTINGS, REFUSALS, SETUP_CALLS, Unreadable
from rig.simforms import survivors
from rig.simserver import SECOND, VIP, VIP6, dsr
from saltext.ipalias import sysctl
from saltext.ipalias.effects import Run
from saltext.ipalias.errors import EffectError, InputError
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.live import windows_settings as settings
from saltext.ipalias.live.powershell_settings import CHANGE_SETTINGS, READ_SETTINGS
from saltext.ipalias.sysctl import Held
from saltext.ipalias.tuning import parse_settings

SCRIPTS = (READ_SETTINGS, CHANGE_SETTINGS)
STORE = sysctl.load("windows")


def run_of(form: str) -> tuple[Any, list[Run]]:
    """Return a host and every command of adding, changing and removing VIPs on it."""
    host = windows.host(links=("eth0", "eth1"))
    for vips in ((VIP,), (VIP, SECOND, VIP6), (VIP6,), ()):
        dsr(host, *vips, form=form).managed()
    return host, [effect for effect in host.log if isinstance(effect, Run)]


# The scripts


@pytest.mark.parametrize("argv", SCRIPTS)
def test_a_script_fits_a_command_line_and_its_quoting(argv: tuple[str, ...]) -> None:
    assert argv[-1].isascii()
    assert '"' not in argv[-1]
    line = subprocess.list2cmdline(argv)
    assert len(line) < 32767
    assert line.endswith(f'"{argv[-1]}"')


def test_no_value_is_part_of_a_script() -> None:
    seen = set()
    for name in ("eth0", "Connexion au réseau local"):
        host = windows.rename(windows.host(), name) if name != "eth0" else windows.host()
        dsr(host, VIP, VIP6).managed()
        lines = {e.command.argv for e in host.log if isinstance(e, Run)}
        seen |= {argv for argv in lines if "IpaliasSetup" in argv[-1]}
    assert seen == {CHANGE_SETTINGS}


def test_each_cmdlet_is_cited_with_its_parameters() -> None:
    used: dict[str, set[str]] = {}
    verbs = "Get|New|Set|Remove|Rename|Add"
    for script in (READ_SETTINGS[-1], CHANGE_SETTINGS[-1]):
        joined = script.replace("`\n", " ")
        for found in re.finditer(rf"\b((?:{verbs})-[A-Z]\w+)([^|{{}}\n]*)", joined):
            words = set(re.findall(r"\s-([A-Z]\w+)", found[2]))
            used.setdefault(found[1], set()).update(words)
        # What is splatted: a hash of the rule's form, and one of the setting that is set.
        used["Set-NetIPInterface"] = used.get("Set-NetIPInterface", set())
        used["Set-NetIPInterface"] |= set(re.findall(r"\$set\.(\w+) =", joined))
        form = re.search(r"\$form = @\{([^}]*)\}", joined)
        if form is not None:
            words = set(re.findall(r"(\w+) =", form[1]))
            used["New-NetFirewallRule"] |= words
            used["Set-NetFirewallRule"] |= words
    assert set(used) == set(CITED_SETTINGS) - {"Get-Service"} | {"Get-Service"}
    for cmdlet, words in used.items():
        assert words <= CITED_SETTINGS[cmdlet][1], cmdlet
    assert all("learn.microsoft.com/" in source for source, _ in CITED_SETTINGS.values())


def test_each_call_of_the_setup_is_cited_and_declared_once() -> None:
    text = CHANGE_SETTINGS[-1]
    declared = re.findall(r"static extern \w+ (\w+)\(", text)
    assert sorted(declared) == sorted(SETUP_CALLS)
    assert all(source.strip() for source in SETUP_CALLS.values())
    # Made, named after us, given its hardware, registered, and only then bound to a driver.
    body = text[text.index("public static void Make") :]
    places = [body.index(name) for name in list(SETUP_CALLS)[1:5]]
    assert places == sorted(places)
    assert body.index("UpdateDriverForPlugAndPlayDevicesW") > places[-1]
    # INSTALLFLAG_FORCE (1) would restart loopback adapters of others.
    assert "hardware, inf, 4, out reboot" in text


def test_braces_and_quotes_of_the_scripts_are_paired() -> None:
    """No PowerShell runs here: at least what a slip of the pen would break is looked at."""
    for script in (READ_SETTINGS[-1], CHANGE_SETTINGS[-1]):
        code = re.sub(r"@'\n.*?\n'@", "''", script, flags=re.DOTALL)
        assert code.count("'") % 2 == 0
        bare = re.sub(r"'[^']*'", "''", code)
        for opening, closing in ("{}", "()", "[]"):
            assert bare.count(opening) == bare.count(closing)
    sharp = re.search(r"@'\n(.*?)\n'@", CHANGE_SETTINGS[-1], re.DOTALL)
    assert sharp is not None
    assert sharp[1].count("{") == sharp[1].count("}")
    assert sharp[1].count("`") % 2 == 0


# Slips of the pen


def slips(text: str) -> Iterator[str]:
    """Yield an input with each word dropped, doubled, misspelt, each pair of values swapped."""
    told = json.loads(text)
    draw = random.Random(text)

    def written(ops: list[Any]) -> str:
        return json.dumps({"ops": ops}, separators=(",", ":")) + "\n"

    yield json.dumps({"op": told["ops"]}, separators=(",", ":")) + "\n"
    for at, op in enumerate(told["ops"]):
        keys = list(op)
        for number, key in enumerate(keys):
            value = op[key]
            spot = draw.randrange(len(str(value)) + 1)
            others = [
                {k: v for k, v in op.items() if k != key},
                {f"{k}~" if k == key else k: v for k, v in op.items()},
                {**op, f"{key}2": value},
            ]
            if key not in ("interface", "rule"):
                others.append({**op, key: f"{str(value)[:spot]}~{str(value)[spot:]}"})
            if number + 1 < len(keys):
                near = keys[number + 1]
                others.append({**op, key: op[near], near: value})
            for other in others:
                if other != op:
                    yield written([*told["ops"][:at], other, *told["ops"][at + 1 :]])


def test_slips_of_the_pen_in_what_a_script_gets_are_refused() -> None:
    host, commands = run_of("powershell")
    shell = host.programs["powershell.exe"]
    assert shell.refused == []
    inputs = {c.command.stdin or "" for c in commands if c.command.argv == CHANGE_SETTINGS}
    every = [slip for text in sorted(inputs) for slip in slips(text)]
    left = []
    for slip in every:
        try:
            windows_settings.check(slip)
        except Unreadable:
            continue
        left.append(slip)
    assert len(every) > 500
    assert len(left) <= len(every) * 0.05, left[:5]


def test_slips_of_the_pen_in_netshs_lines_are_refused() -> None:
    host, _ = run_of("netsh")
    program = host.programs["netsh"]
    dsr(host, VIP, VIP6, form="netsh").managed()
    assert program.refused == []
    lines = [line for line in program.taken if "set" in line]
    assert len(lines) > 10
    count, left = survivors(program, lines)
    assert count > 100
    assert len(left) <= count * 0.05, left


@pytest.mark.parametrize("argv", SCRIPTS)
def test_another_line_than_our_two_is_refused(argv: tuple[str, ...]) -> None:
    host = windows.host()
    for other in ((*argv[:-1], argv[-1] + " "), argv[1:], (*argv, "-x")):
        assert host.programs["powershell.exe"](other, "").code != 0


# What is read


def test_every_setting_of_both_stores_is_told_apart() -> None:
    host = windows.host()
    windows_settings.settings(host, "eth0")["IPv4"]["weakhostreceive"] = "Enabled"
    key = "ipv4/eth0/weakhostreceive"
    assert STORE.read_values(host, [key]) == {key: Held("enabled", "disabled")}
    assert STORE.read_lasting(host, [key])[key].value == "disabled"
    assert STORE.read_values(host, ["ipv4/nobody/metric"]) == {"ipv4/nobody/metric": Held(None)}


def test_a_store_that_tells_nothing_of_a_setting_has_the_default() -> None:
    """So a value that was put back is not looked for in vain."""
    host = windows.host()
    told = windows_settings.told(host, "10.0")
    told["interfaces"] = [r for r in told["interfaces"] if r["store"] == "ActiveStore"]
    host.programs["powershell.exe"] = lambda argv, stdin: Result(0, json.dumps(told), "")
    keys = ["ipv6/eth0/weakhostsend", "ipv4/eth0/metric", "ipv6/eth0/dadtransmits"]
    held = STORE.read_values(host, keys)
    assert list(held.values()) == [
        Held("disabled", "disabled"),
        Held("automatic", "automatic"),
        Held("1", "1"),
    ]


def test_nobody_is_asked_for_nothing() -> None:
    host = windows.host()
    del host.programs["powershell.exe"]
    assert STORE.read_values(host, []) == {}
    assert STORE.read_lasting(host, []) == {}
    STORE.check(host, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Result(NOT_FOUND, "", ""), "is not installed"),
        (Result(3, '{"failed":-1,"id":"x","native":"","message":"Zugriff"}', ""), "Zugriff"),
        (Result(0, "Windows PowerShell", ""), "did not answer with what was asked"),
        (Result(0, '{"version": "10", "interfaces": [1]}', ""), "did not answer"),
    ],
)
def test_a_windows_that_cannot_be_read_is_told(answer: Result, said: str) -> None:
    host = windows.host()
    host.programs["powershell.exe"] = lambda argv, stdin: answer
    with pytest.raises(EffectError, match=said):
        settings.read(host)


def test_a_rule_is_known_by_any_form_of_its_addresses() -> None:
    host = windows.host()
    dsr(host, VIP, VIP6).managed()
    rule = host.stored["rules"]["ipalias-dsr"]
    rule["addresses"] = [f"{VIP}/255.255.255.255", f"{VIP6.upper()}/128"]
    assert dsr(host, VIP, VIP6).managed()["changes"] == {}


# Keys and values


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("ipv4/LAN 2/weakhostreceive", "Enabled", "enabled"),
        ("ipv6/Réseau.1/metric", 254, "254"),
        ("ipv4/LAN/metric", "automatic", "automatic"),
        ("ipv4/LAN/metric", "0", "automatic"),
        ("ipv6/LAN/dadtransmits", "00", "0"),
        ("dns/LAN/registration", "disabled", "disabled"),
    ],
)
def test_keys_and_values_are_read(key: str, value: object, taken: str) -> None:
    (setting,) = parse_settings({key: value}, "ipalias:sysctl", "windows")
    assert (setting.key, setting.value) == (key, taken)
    assert STORE.interface_of(key) == key.split("/")[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.ip_forward", "1"),
        ("ipv4/LAN", "1"),
        ("ipv5/LAN/metric", "1"),
        ("ipv4//metric", "1"),
        ("ipv4/LAN/registration", "enabled"),
        ("dns/LAN/metric", "1"),
        ("ipv4/LAN/metric", "-1"),
        ("ipv4/LAN/metric", "10000"),
        ("ipv4/LAN/weakhostsend", "1"),
        ("ipv4/LAN/weakhostsend", True),
        ("ipv4/LAN/dadtransmits", "automatic"),
        ("ipv4/LAN/metric", ["1"]),
    ],
)
def test_what_is_no_setting_or_no_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(InputError, match="ipalias:sysctl"):
        parse_settings({key: value}, "ipalias:sysctl", "windows")


def test_more_than_five_refusals_are_cited() -> None:
    own = {"taken", "no_device", "no_driver", "wow64", "language", "absent_interface", "policy"}
    assert own <= set(REFUSALS)
    assert all(REFUSALS[key][3].strip() for key in own)
