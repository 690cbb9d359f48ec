"""The multi-WAN guide on the BSDs: files before and after, exactly, and every command, in order.

``case.json`` has the pillar's block and the commands; ``UPDATE_GOLDEN=1`` writes ``after`` and
the commands anew, to be read before they are committed. Each case runs twice, and then
everything of ours is taken out.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rig import ifstated, simfreewan, simopenwan
from rig.simhost import SimHost
from rig.simnet import SimAddress
from saltext.ipalias.effects import Run
from saltext.ipalias.wan.systems import make

HERE = Path(__file__).with_name("wan_bsd")
CASES = sorted(path.parent for path in HERE.glob("*/case.json"))
MACHINES = {"openbsd": simopenwan.machine, "freebsd": simfreewan.machine}
MANDATORY = {f"openbsd_{name}" for name in ("guide", "interfaces", "ipv6", "tiers")}
MANDATORY |= {f"freebsd_{name}" for name in ("guide", "interfaces", "weights")}
_ids = itertools.count(1)
#: The same on FreeBSD, in its own words: one switch for both families, rc.conf for hostname.if.
GUIDE_FREEBSD = {
    "route add -mpath default wan2_gw": "route -n add -inet default 198.51.100.2",
    "sysctl net.inet.ip.multipath=1": "sysctl net.route.multipath=1",
    "pf.conf": "nat on re0 inet from 192.0.2.0/24 to any -> (re0)",
    "hostname.re0: default 2": 'route_ipaliaswan2="default 198.51.100.2"',
    "hostname.re0: target": 'route_ipaliaswan3="203.0.113.1/32 198.51.100.1"',
    "hostname.re0: targets": 'route_ipaliaswan6="203.0.113.12/32 198.51.100.2"',
    "sysctl.conf": "net.route.multipath=1",
    "rc.conf.local": 'ifstated_enable="YES"',
    "init-state": "init-state start",
    "wan1_ok": "ping -q -c 1 -t 5 203.0.113.1 >/dev/null || ping -q -c 1 -t 5 203.0.113.2",
    "wan2_ok": "ping -q -c 1 -t 5 203.0.113.11 >/dev/null || ping -q -c 1 -t 5 203.0.113.12",
    "every": "every 30 && ! re0.link.down )",
    "state": "state wan1_down {",
    "logger": "/usr/bin/logger -t ifstated wan1_down",
    "delete": "/sbin/route -qn delete -inet default 198.51.100.1",
    "add": "/sbin/route -qn add -inet default 198.51.100.1",
    "the file is looked at": "ifstated -n -f /dev/stdin",
    "pf loads it": "pfctl -f /etc/pf.conf",
    "ifstated starts": "service ifstated restart",
}
#: Every line that the guide has people type or write, its names exchanged for addresses, and
#: what it is here: in a file, as a command, or in ifstated.conf.
GUIDE = {
    "route add -mpath default wan1_gw": "route -n add -inet -mpath default 198.51.100.1",
    "route add -mpath default wan2_gw": "route -n add -inet -mpath default 198.51.100.2",
    "sysctl net.inet.ip.multipath=1": "sysctl net.inet.ip.multipath=1",
    "sysctl net.inet6.ip6.multipath=1": "sysctl net.inet6.ip6.multipath=1",
    "pf.conf": "pass out on re0 inet from 192.0.2.0/24 to any nat-to (re0)",
    "hostname.re0: default 1": "!route add -mpath default 198.51.100.1",
    "hostname.re0: default 2": "!route add -mpath default 198.51.100.2",
    "hostname.re0: target": "!route add 203.0.113.1/32 198.51.100.1",
    "hostname.re0: targets": "!route add 203.0.113.12/32 198.51.100.2",
    "sysctl.conf": "net.inet.ip.multipath=1",
    "sysctl.conf, IPv6": "net.inet6.ip6.multipath=1",
    "rc.conf.local": 'ifstated_flags=""',
    "init-state": "init-state start",
    "wan1_ok": "ping -q -c 1 -w 5 203.0.113.1 >/dev/null || ping -q -c 1 -w 5 203.0.113.2",
    "wan2_ok": "ping -q -c 1 -w 5 203.0.113.11 >/dev/null || ping -q -c 1 -w 5 203.0.113.12",
    "every": "every 30 && ! re0.link.down )",
    "state": "state wan1_down {",
    "logger": "/usr/bin/logger -t ifstated wan1_down",
    "delete": "/sbin/route -qn delete -inet -mpath default 198.51.100.1",
    "add": "/sbin/route -qn add -inet -mpath default 198.51.100.1",
}


def host_of(case: Path, told: dict[str, Any]) -> SimHost:
    """Return a machine with the files of ``before`` beside its own."""
    host = MACHINES[told["system"]]()
    if told.get("ipv6"):
        host.net.add6("re0", SimAddress("2001:db8::10", 64))
    for path in sorted((case / "before").rglob("*")):
        if path.is_file():
            host.files.put(f"/{path.relative_to(case / 'before')}", path.read_text(), 0o640)
    return host


def files_of(host: SimHost) -> dict[str, str]:
    """Return the files below /etc and /usr/local/etc."""
    tree = host.files.tree("/nothing")
    found = {path: node.text for path, node in tree.items() if node.kind == "file"}
    return {p: t for p, t in found.items() if p.startswith(("/etc/", "/usr/local/etc/"))}


def commands(host: SimHost) -> Iterator[str]:
    for effect in host.log:
        if isinstance(effect, Run):
            yield " ".join(effect.command.argv)


def request(host: SimHost, wan: dict[str, Any]) -> Any:
    return make(
        host=host,
        data={"wan": wan, "guard": False},
        new_id=lambda: f"golden-{next(_ids):06d}",
        interpreter="/usr/local/bin/python3",
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tree(case: Path) -> None:
    told = json.loads((case / "case.json").read_text())
    host = host_of(case, told)
    before = files_of(host)
    assert request(host, told["wan"]).managed()["result"] is True
    changed = {p: t for p, t in files_of(host).items() if before.get(p) != t}
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(case / "after", ignore_errors=True)
        for path, text in changed.items():
            to = case / "after" / path.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text)
        told["commands"] = list(commands(host))
        (case / "case.json").write_text(json.dumps(told, indent=1) + "\n")
    held = {
        f"/{path.relative_to(case / 'after')}": path.read_text()
        for path in (case / "after").rglob("*")
        if path.is_file()
    }
    assert changed == held
    assert list(commands(host)) == told["commands"]
    for path, text in changed.items():
        if path.endswith("ifstated.conf"):
            ifstated.parse(text)
    assert request(host, told["wan"]).managed()["changes"] == {}
    request(host, told["wan"]).absent()
    assert files_of(host) == before


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in CASES} >= MANDATORY


def lines_of(name: str) -> tuple[list[str], list[str]]:
    """Return the commands of a case, and all lines of its files behind them."""
    case = HERE / name
    commands: list[str] = json.loads((case / "case.json").read_text())["commands"]
    texts = [path.read_text() for path in (case / "after").rglob("*") if path.is_file()]
    return commands, [*commands, *(line for text in texts for line in text.splitlines())]


@pytest.mark.parametrize("what", GUIDE_FREEBSD)
def test_every_line_of_the_guide_has_its_like_on_freebsd(what: str) -> None:
    assert any(GUIDE_FREEBSD[what] in line for line in lines_of("freebsd_guide")[1])


@pytest.mark.parametrize("what", GUIDE)
def test_every_line_of_the_guide_has_its_place(what: str) -> None:
    commands, lines = lines_of("openbsd_guide")
    # What the guide's host has already is not done again: its one default route is there.
    if what == "route add -mpath default wan1_gw":
        assert GUIDE[what] not in commands
        return
    assert any(GUIDE[what] in line for line in lines)
