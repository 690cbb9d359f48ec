"""The DSR guide's Windows chapters: its own lines beside ours, and the state that both lead to.

A state is no file: the trees ``before`` and ``after`` hold it as rows, one a line. What the
guide has people click (adapter, address, metric, firewall) is ``by_hand``, in its order; what
it has them type is ``guide``, word by word. Each case runs twice.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from rig.plat import windows, windows_settings
from rig.plat import windows_stores as stores
from rig.plat.windows_cited import ACTIVE, PERSISTENT
from rig.simhost import SimHost
from rig.simserver import dsr
from saltext.ipalias.effects import Run
from saltext.ipalias.live.powershell_settings import CHANGE_SETTINGS

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/case.json"))
GUIDES = [case for case in CASES if "guide" in json.loads((case / "case.json").read_text())]
#: Every command that the guide's Windows chapters have.
LINES = {
    'netsh interface ipv4 set interface "LAN" weakhostreceive=enabled',
    'netsh interface ipv4 set interface "LO" weakhostreceive=enabled',
    'netsh interface ipv4 set interface "LO" weakhostsend=enabled',
}


def rows_of(host: SimHost) -> list[dict[str, Any]]:
    """Return settings, addresses, devices and rules as rows; the loop and the link's own out."""
    rows: list[dict[str, Any]] = []
    for name, link in host.net.links.items():
        if link.loopback:
            continue
        for store in (ACTIVE, PERSISTENT):
            for family, row in windows_settings.settings(host, name, store).items():
                rows.append({"interface": name, "store": store, "family": family, **row})
        for a in (*link.addresses4, *link.addresses6):
            if a.scope != "link":
                rows.append({"interface": name, "active": a.cidr})
        for address, (prefix, _) in host.stored["addresses"].get(name, {}).items():
            rows.append({"interface": name, "persistent": f"{address}/{prefix}"})
        hardware = host.stored["devices"][name]["hardware"]
        rows.append({"interface": name, "loopback": hardware == windows_settings.HARDWARE})
        rows += [{"interface": name, "gateway": g} for g in host.stored["gateways"].get(name, [])]
    for rule in host.stored["rules"].values():
        rows.append({"lets in": rule["addresses"], "on": rule["interfaces"]})
    return rows


def render_rows(host: SimHost) -> str:
    rows = sorted(json.dumps(row, ensure_ascii=False) for row in rows_of(host))
    return "".join(f"{row}\n" for row in rows)


def host_of(told: dict[str, Any]) -> SimHost:
    """Return a server with one card, called as the case has it."""
    return windows.rename(windows.host(), told["card"])


def by_hand(host: SimHost, steps: list[dict[str, Any]]) -> None:
    """Do what the guide has people click."""
    for step in steps:
        name, do = step.get("interface", ""), step["do"]
        if do == "address":
            host.stored["dhcp"][name] = False
            host.net.links[name].addresses4 = []
            for store in ("addresses",):
                host.stored[store].setdefault(name, {})[step["address"]] = (step["prefix"], False)
            stores.make_active(host, name, step["address"], step["prefix"], False)
            continue
        windows_settings.carry_out(host, step, lambda cmdlet: None)


def ran(host: SimHost) -> list[Any]:
    """Return what was run: the operations of our script, or a line of words."""
    listed: list[Any] = []
    for effect in host.log:
        if not isinstance(effect, Run):
            continue
        if effect.command.argv == CHANGE_SETTINGS:
            listed += json.loads(effect.command.stdin or "")["ops"]
        elif effect.command.stdin:
            listed += json.loads(effect.command.stdin)["ops"]
        else:
            listed.append(list(effect.command.argv))
    return listed


def settled(told: dict[str, Any], **more: Any) -> SimHost:
    host = host_of(told)
    block = {**told["dsr"], **more}
    assert dsr(host, *block.pop("vips"), **block).managed()["result"] is True
    return host


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_server_becomes(case: Path) -> None:
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    assert render_rows(host_of(told)) == (case / "before.jsonl").read_text(encoding="utf-8")
    host = settled(told)
    assert render_rows(host) == (case / "after.jsonl").read_text(encoding="utf-8")
    assert ran(host) == told["ran"]
    block = dict(told["dsr"])
    assert dsr(host, *block.pop("vips"), **block).managed()["changes"] == {}
    dsr(host, **block).managed()
    assert render_rows(host) == (case / "before.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", GUIDES, ids=lambda case: case.name)
def test_the_guides_lines_lead_there_too(case: Path) -> None:
    """Each line parses, and is what `form: netsh` runs, word by word."""
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    lines = [shlex.split(line) for line in told["guide"]]
    for value, text in told["values"].items():
        lines = [
            [word.replace(value, text) if word == value else word for word in line]
            for line in lines
        ]
    guided = host_of(told)
    by_hand(guided, told["by_hand"])
    for line in lines:
        assert guided.run(line).code == 0, line
    ours = settled(told, form="netsh")
    assert [line for line in ran(ours) if isinstance(line, list)] == lines
    assert render_rows(ours) == render_rows(settled(told))
    # What the guide has and we have is equal; beside it we switch registration and DHCP off.
    assert set(told["beside"]) == {
        key
        for key in ("dhcp", "registers", "source")
        if _beside(key, ours, told) != _beside(key, guided, told)
    }
    assert render_rows(ours) == render_rows(guided)


def _beside(key: str, host: SimHost, told: dict[str, Any]) -> Any:
    name = told["dsr"]["loopback"]
    if key == "source":
        return [form[1] for form in host.stored["addresses"][name].values()]
    return host.stored[key].get(name)


def test_every_command_of_the_guide_is_in_a_case() -> None:
    had = {
        line
        for case in GUIDES
        for line in json.loads((case / "case.json").read_text(encoding="utf-8"))["guide"]
    }
    assert had == LINES
