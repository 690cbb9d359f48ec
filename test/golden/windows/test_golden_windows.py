"""Both stores before and after, exactly, and what was run for it; each case runs twice.

A store is no file: the trees ``before`` and ``after`` hold it as rows, one a line. A case with
``guide`` has the alias guide's own lines beside ours: they must lead to the same store.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from rig.plat import windows
from rig.plat import windows_stores as stores
from rig.simengine import LEDGER, aliases, block, changed, engine
from rig.simhost import SimHost
from saltext.ipalias.effects import Run
from saltext.ipalias.ledger import Entry, Ledger, render_ledger
from saltext.ipalias.live import powershell_scripts

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/case.json"))
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "adopt"}
GUIDES = [case for case in CASES if "guide" in json.loads((case / "case.json").read_text())]


def rows_of(host: SimHost) -> list[dict[str, Any]]:
    """Return both stores as rows; the link's own address and the loopback link left out."""
    rows: list[dict[str, Any]] = []
    for name, held in host.stored["addresses"].items():
        for address, (prefix, skip) in held.items():
            rows.append(_row("persistent", name, f"{address}/{prefix}", skip))
    for link in host.net.links.values():
        for a in (*link.addresses4, *link.addresses6):
            if not link.loopback and a.scope != "link":
                skip = a.deprecated if ":" in a.address else a.scope == "host"
                rows.append(_row("active", link.name, a.cidr, skip, lease=a.dynamic))
    for name in host.net.links:
        if host.stored["dhcp"].get(name):
            rows.append({"interface": name, "dhcp": True})
        if host.stored["dns"].get(name):
            rows.append({"interface": name, "dns": host.stored["dns"][name]})
        rows += [{"interface": name, "gateway": g} for g in host.stored["gateways"].get(name, [])]
    return rows


def _row(store: str, name: str, cidr: str, skip: bool, *, lease: bool = False) -> dict[str, Any]:
    row: dict[str, Any] = {"store": store, "interface": name, "address": cidr}
    return row | ({"skip": True} if skip else {}) | ({"lease": True} if lease else {})


def render_rows(host: SimHost) -> str:
    rows = sorted(json.dumps(row, ensure_ascii=False) for row in rows_of(host))
    return "".join(f"{row}\n" for row in rows)


def host_of(case: Path, told: dict[str, Any]) -> SimHost:
    """Return a host whose stores are those of the tree before."""
    name = told["interface"]
    text = (case / "before" / "store.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    dhcp = any(row.get("dhcp") for row in rows)
    lease = told.get("lease", {})
    made = windows.by_dhcp(**lease, name=name) if dhcp else windows.rename(windows.host(), name)
    made.stored["dns"] = {row["interface"]: row["dns"] for row in rows if "dns" in row}
    for row in rows:
        cidr = row.get("address", "")
        address, _, prefix = cidr.partition("/")
        form = (int(prefix or 0), row.get("skip", False))
        if row.get("store") == "persistent":
            made.stored["addresses"].setdefault(row["interface"], {})[address] = form
        elif cidr and not row.get("lease") and stores.find(made, name, address) is None:
            stores.make_active(made, row["interface"], address, *form)
    assert render_rows(made) == text, "the tree before is no state of a host"
    return made


def ran(host: SimHost) -> list[Any]:
    """Return what a change ran: the input of our script, or a line of words."""
    listed: list[Any] = []
    for effect in host.mutating:
        if isinstance(effect, Run):
            words = list(effect.command.argv)
            script = effect.command.argv == powershell_scripts.CHANGE
            listed.append(json.loads(effect.command.stdin or "") if script else words)
    return listed


def settled(host: SimHost, told: dict[str, Any], **settings: Any) -> SimHost:
    """Bring a host to what a case asks for; what was ours before is so by the ledger alone."""
    given = {**told.get("settings", {}), **settings}
    if told.get("former"):
        entries = [
            Entry(a, "pillar") for a in aliases(*told["former"], interface=told["interface"])
        ]
        known = Ledger().with_interface(told["interface"], entries, "windows")
        host.files.put(LEDGER, render_ledger(known))
    engine(host, block(*told["aliases"], interface=told["interface"], **given)).managed()
    return host


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_stores_become(case: Path) -> None:
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    host = settled(host_of(case, told), told)
    assert render_rows(host) == (case / "after" / "store.jsonl").read_text(encoding="utf-8")
    assert ran(host) == told["ran"]
    given = block(*told["aliases"], interface=told["interface"], **told.get("settings", {}))
    assert changed(host, engine(host, given).managed) == []


@pytest.mark.parametrize("case", GUIDES, ids=lambda case: case.name)
def test_the_guides_lines_lead_there_too(case: Path) -> None:
    """Each line parses, and is what `form: netsh` runs, word by word."""
    told = json.loads((case / "case.json").read_text(encoding="utf-8"))
    lines = [shlex.split(line) for line in told["guide"]]
    for value, text in sorted(told["values"].items(), key=lambda item: -len(item[0])):
        lines = [[word.replace(value, text) for word in line] for line in lines]
    by_hand = host_of(case, told)
    for line in lines:
        assert by_hand.run(line).code == 0, line
    ours = settled(host_of(case, told), told, form="netsh")
    assert [line for line in ran(ours) if isinstance(line, list)] == lines
    assert render_rows(ours) == render_rows(by_hand)
    assert render_rows(settled(host_of(case, told), told)) == render_rows(by_hand)


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in CASES} >= MANDATORY
    assert {case.name for case in GUIDES} == {"guide_french", "guide_german"}
