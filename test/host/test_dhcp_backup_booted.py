"""A member's leases and configuration kept and put back on booted Debian, with the real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_dhcp_setup import MAINS, Boot, call, pid_of, pillar

from rig.host import BootedHost
from rig.process import CommandFailed, wait_until

LEASES = {"isc": "/var/lib/dhcp/dhcpd.leases", "kea": "/var/lib/kea/kea-leases4.csv"}
#: Of a client's hardware address, which each file has in the same form.
FIRST, SECOND = "02:00:00:00:00:aa", "02:00:00:00:00:bb"
ENTRIES: dict[str, Callable[[int, str], str]] = {
    "isc": lambda number, mac: (
        f"lease 192.0.2.{number} {{\n  starts epoch 1700000000;\n  ends never;\n"
        f"  binding state active;\n  hardware ethernet {mac};\n}}\n"
    ),
    "kea": lambda number, mac: f"192.0.2.{number},{mac},,4294967295,5994967295,1,0,0,,0,,0\n",
}


def ask(host: BootedHost, function: str, block: dict[str, Any], **how: Any) -> Any:
    words = [f"{key}={value}" for key, value in how.items()]
    return host.salt_call(f"ipalias_dhcp.{function}", *words, pillar=block)


def given(host: BootedHost, implementation: str, number: int, mac: str) -> None:
    """Let the lease file have a lease more, as its server would have written it."""
    unit = {"isc": "isc-dhcp-server", "kea": "kea-dhcp4-server"}[implementation]
    host.run(["systemctl", "stop", unit])
    wait_until(lambda: not pid_of(host, implementation), "the server to end")
    path = LEASES[implementation]
    # Not `host.write`: owner and mode are the server's own.
    line = ENTRIES[implementation](number, mac)
    host.run(["tee", "--append", path], stdin=line)
    host.run(["systemctl", "restart", unit])
    wait_until(lambda: pid_of(host, implementation), "the server to run")


@pytest.mark.parametrize(("suite", "implementation"), [("bookworm", "isc"), ("trixie", "kea")])
def test_leases_are_kept_and_put_back(booted: Boot, suite: str, implementation: str) -> None:
    host, path = booted(suite, "networkd"), LEASES[implementation]
    block = pillar(host, implementation)
    assert call(host, "ipalias.dhcp", block)["result"] is True
    given(host, implementation, 150, FIRST)
    owner = host.run(["stat", "--format=%U:%G %a", path]).out
    kept = ask(host, "backup", block)
    assert kept["result"] is True and kept["changes"]["backup"], kept
    given(host, implementation, 151, SECOND)
    other = pillar(host, implementation, authoritative=False)
    assert call(host, "ipalias.dhcp", other)["result"] is True
    text, pid = host.read(path) or "", pid_of(host, implementation)
    main = host.read("/etc/dhcp/ipalias.conf") or host.read(MAINS[implementation])

    with pytest.raises(CommandFailed, match="with stop=True it is stopped"):
        ask(host, "restore", block)
    assert pid_of(host, implementation) == pid
    shown = ask(host, "restore", block, stop=True, test=True)
    assert shown["result"] is None and pid_of(host, implementation) == pid
    assert host.read(path) == text

    done = ask(host, "restore", block, stop=True)
    assert done["result"] is True and done["changes"]["leases"] == path, done
    text = host.read(path) or ""
    assert FIRST in text and SECOND not in text
    assert host.run(["stat", "--format=%U:%G %a", path]).out == owner
    assert pid_of(host, implementation) not in ("", pid)
    now = host.read("/etc/dhcp/ipalias.conf") or host.read(MAINS[implementation])
    assert now != main

    # What was there is a backup by now.
    newest = ask(host, "backup", block, keep=3)["backups"][-2]
    assert newest["why"] == f"before {kept['changes']['backup']} was put back"
    back = ask(host, "restore", block, name=newest["name"], what="leases", stop=True, sync=False)
    assert back["result"] is True, back
    assert SECOND in (host.read(path) or "") and pid_of(host, implementation)
    hidden = host.run(["find", "/var/lib", "-name", ".*ipalias*"]).out
    assert hidden == ""
    assert ask(host, "conflicts", block)["result"] is True
