"""The packages of a DHCP pair come by apt with the formula, and never start unconfigured."""

from __future__ import annotations

import pytest
from test_dhcp_setup import MAINS, Boot, pid_of, pillar

from rig.roots import ARCHIVE

PACKAGES = {"isc": "isc-dhcp-server", "kea": "kea-dhcp4-server"}


@pytest.mark.parametrize(("suite", "implementation"), [("bookworm", "isc"), ("trixie", "kea")])
def test_the_formula_installs_its_server(booted: Boot, suite: str, implementation: str) -> None:
    host, package = booted(suite, "networkd"), PACKAGES[implementation]
    block = pillar(host, implementation)
    host.run(["dpkg", "--purge", *PACKAGES.values()])
    host.run(["sh", "-c", "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*"])
    host.write("/etc/apt/sources.list", f"deb [trusted=yes] file:{ARCHIVE} ./\n")
    before = host.run(["date", "+%s"]).out.strip()

    told = host.salt_call("state.apply", "ipalias.dhcp", "test=True", pillar=block)
    assert {row["result"] for row in told.values()} <= {None, True}, told
    assert host.run(["dpkg-query", "--show", package], check=False).code, "test=True installs"

    told = host.salt_call("state.apply", "ipalias.dhcp", pillar=block)
    bad = [row["comment"] for row in told.values() if row["result"] is not True]
    assert not bad, bad
    status = host.run(["dpkg-query", "--show", "--showformat=${Status}", package]).out
    assert status == "install ok installed"
    assert pid_of(host, implementation)
    assert host.run(["systemctl", "is-enabled", package]).out.strip() == "enabled"
    assert (host.read(MAINS[implementation]) or "").strip()
    # The package's own start, with a file that nobody has written, would have failed or served.
    logged = host.journal("--unit", package, "--since", f"@{before}", "--output", "cat")
    assert logged.count("Started ") == 1 and "Failed" not in logged, logged

    again = host.salt_call("state.apply", "ipalias.dhcp", pillar=block)
    assert not [row["comment"] for row in again.values() if row["changes"]], again
