"""The list before and after, exactly; each case runs twice, then everything is taken out."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rig import tree
from rig.plat.netifrc import SCRIPT
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Change, Wanted

HERE = Path(__file__).parent
MANDATORY = {"v4", "v6", "two", "removal", "foreign", "guide_de", "guide_fr", "guide_string"}
BACKEND = load("netifrc")
CASES = tree.cases(HERE)
CONF_D = "/etc/conf.d"


def started(root: Path, answers: dict[str, str], interface: str) -> tree.TreeHost:
    """Return a host whose OpenRC has started the service of an interface."""
    host = tree.TreeHost(root, answers)
    host.write("/run/openrc/softlevel", "default")
    for service in ("net.lo", f"net.{interface}"):
        host.write(f"/etc/init.d/{service}", SCRIPT)
        host.write(f"/run/openrc/started/{service}", "")
    return host


def aliases(listed: list[Any], interface: str) -> tuple[Alias, ...]:
    made = []
    for item in listed:
        if isinstance(item, str):
            address, _, prefix = item.partition("/")
            item = {"address": address, "prefix": int(prefix)}
        made.append(Alias(interface=interface, **item))
    return tuple(made)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tree(case: Path, tmp_path: Path) -> None:
    told = json.loads((case / "case.json").read_text())
    shutil.copytree(case / "before", tmp_path / "root")
    name = told["interface"]
    host = started(tmp_path / "root", told["answers"], name)
    evidence = tree.evidence_of(BACKEND, host, name)
    assert evidence.strength == 2
    former, wanted = aliases(told.get("former", []), name), aliases(told["aliases"], name)
    options = told.get("options", {})
    change = Wanted(name, wanted, evidence, former, options=options)
    files = host.store(BACKEND.render(change, host))
    assert host.texts(CONF_D) == tree.TreeHost(case / "after").texts(CONF_D)
    assert {(file.mode, file.owned) for file in files} <= {(0o644, False)}
    assert tree.commands(BACKEND.activate(Change(name, evidence, wanted), host)) == []

    again = Wanted(name, wanted, evidence, wanted, options=options)
    assert host.store(BACKEND.render(again, host)) == []
    found = {item.alias.cidr: item.alias for item in BACKEND.parse(host, evidence)}
    for alias in wanted:
        read = found[alias.cidr]
        assert BACKEND.live_label(read) == BACKEND.live_label(alias)
        assert read.source == alias.source

    if told.get("reversible", True):
        host.store(BACKEND.render(Wanted(name, (), evidence, wanted), host))
        assert host.texts(CONF_D) == tree.TreeHost(case / "before").texts(CONF_D)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_shell_of_the_host_takes_what_was_written(case: Path) -> None:
    """`sh -n`: the case's own shell parses every file, as it does at boot."""
    told = json.loads((case / "case.json").read_text())
    shell = told["answers"]["readlink -f /bin/sh"].strip()
    for path in (case / "after/etc/conf.d").glob("net*"):
        subprocess.run([shell, "-n", path], check=True, capture_output=True)


def test_every_mandatory_case_is_there() -> None:
    assert {case.name for case in CASES} >= MANDATORY
