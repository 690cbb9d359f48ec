"""A member of a DHCP pair on booted Debian 12 and 13, with the real servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from rig.host import BootedHost
from rig.process import wait_until
from saltext.ipalias.dhcp.drill import guard_command
from saltext.ipalias.dhcp.services import DRILL, SERVERS

Boot = Callable[[str, str], BootedHost]

FOLDERS = ("/etc/dhcp", "/etc/kea", "/etc/default", "/etc/systemd", "/etc/ipalias")
PROGRAMS = {"isc": "dhcpd", "kea": "kea-dhcp4"}
MAINS = {"isc": "/etc/dhcp/dhcpd.conf", "kea": "/etc/kea/kea-dhcp4.conf"}


def pillar(host: BootedHost, implementation: str, guard: Any = None, **keys: Any) -> dict[str, Any]:
    members = {
        "dhcp1": {"address": host.primary, "port": 647, "role": "primary"},
        "dhcp2": {"address": "192.0.2.250", "port": 647, "role": "secondary"},
    }
    dhcp = {
        "implementation": implementation,
        "pair": {"name": "pair1", "members": members},
        "interfaces": ["eth0"],
        "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}],
        **keys,
    }
    return {"ipalias": {"dhcp": dhcp, "guard": guard or {"timeout": 60, "checks": []}}}


def files_of(host: BootedHost) -> dict[str, tuple[str, str]]:
    """Return the files, but for the boot restore, which stays."""
    found = host.tree(*FOLDERS).items()
    return {path: held for path, held in found if "ipalias-restore" not in path}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [path for path in {*one, *other} if one.get(path) != other.get(path)]


def call(host: BootedHost, sls: str, block: dict[str, Any], **options: Any) -> dict[str, Any]:
    words = [f"{key}={value}" for key, value in options.items()]
    told = host.salt_call("state.apply", sls, *words, pillar=block)
    assert isinstance(told, dict), told
    [state] = [
        r for r in told.values() if r["__id__"] in ("ipalias-dhcp-pair", "ipalias-dhcp-absent")
    ]
    return dict(state)


def pid_of(host: BootedHost, implementation: str) -> str:
    return host.run(["pgrep", "-x", PROGRAMS[implementation]], check=False).out.strip()


def rules_of(host: BootedHost) -> str:
    return host.run(["nft", "list", "table", "inet", "ipalias_dhcp"], check=False).out


@pytest.mark.parametrize(("suite", "implementation"), [("bookworm", "isc"), ("trixie", "kea")])
def test_a_member_comes_stays_and_goes(booted: Boot, suite: str, implementation: str) -> None:
    host = booted(suite, "networkd")
    before = files_of(host)
    block = pillar(host, implementation, firewall=True)
    told = call(host, "ipalias.dhcp", block, test=True)
    assert told["result"] is None and told["changes"]["files"], told
    assert differences(files_of(host), before) == [] and not pid_of(host, implementation)

    # Passes before the change and fails after it.
    vote = ["/usr/bin/test", "!", "-e", "/etc/ipalias/dhcp.nft"]
    undone = call(
        host,
        "ipalias.dhcp",
        pillar(host, implementation, {"timeout": 20, "checks": [vote]}, firewall=True),
    )
    assert undone["result"] is False and "fails after it" in undone["comment"], undone
    assert differences(files_of(host), before) == [] and not pid_of(host, implementation)
    assert rules_of(host) == ""

    told = call(host, "ipalias.dhcp", block)
    assert told["result"] is True, told["comment"]
    assert "647" in rules_of(host)
    held, pid = files_of(host), pid_of(host, implementation)
    told = call(host, "ipalias.dhcp", block)
    assert (told["result"], told["changes"]) == (True, {}), told
    assert pid_of(host, implementation) == pid and differences(files_of(host), held) == []

    host.reboot()
    wait_until(lambda: pid_of(host, implementation), "the server after a boot")
    assert "647" in rules_of(host)
    # Another's rules that come anew do not take ours away.
    host.run(["systemctl", "restart", "nftables.service"])
    wait_until(lambda: "647" in rules_of(host), "our rules beside those of others")

    told = call(host, "ipalias.dhcp.clean", block)
    assert told["result"] is True, told["comment"]
    assert differences(files_of(host), before) == [] and not pid_of(host, implementation)
    assert rules_of(host) == ""
    assert call(host, "ipalias.dhcp.clean", block)["changes"] == {}


def test_a_file_that_the_server_refuses_costs_nothing(booted: Boot) -> None:
    host = booted("trixie", "networkd")
    assert call(host, "ipalias.dhcp", pillar(host, "isc"))["result"] is True
    pid, text = pid_of(host, "isc"), host.read(MAINS["isc"]) or ""
    host.write(MAINS["isc"], f"no-such-statement here;\n{text}")
    held = files_of(host)
    told = call(host, "ipalias.dhcp", pillar(host, "isc", authoritative=False))
    assert told["result"] is False
    assert "dhcpd refuses the new configuration: /etc/dhcp/dhcpd.conf line 1" in told["comment"]
    assert pid_of(host, "isc") == pid and differences(files_of(host), held) == []
    host.write(MAINS["isc"], text)
    told = call(host, "ipalias.dhcp", pillar(host, "isc", authoritative=False))
    assert told["result"] is True and pid_of(host, "isc") not in ("", pid)


@pytest.mark.parametrize(("suite", "implementation"), [("bookworm", "isc"), ("trixie", "kea")])
def test_a_drill_and_hands_on_our_files(booted: Boot, suite: str, implementation: str) -> None:
    host = booted(suite, "networkd")
    block, server = pillar(host, implementation), SERVERS[implementation]
    assert call(host, "ipalias.dhcp", block)["result"] is True
    held, pid = files_of(host), pid_of(host, implementation)
    main = {"isc": "/etc/dhcp/ipalias.conf", "kea": MAINS["kea"]}[implementation]
    host.run(["chmod", "644", main])
    told = call(host, "ipalias.dhcp", block)
    right = "0600" if implementation == "isc" else "0640"
    assert told["changes"] == {"files": {main: f"mode 0644 -> {right}"}}, told
    assert pid_of(host, implementation) == pid and differences(files_of(host), held) == []
    # What the server cannot read: dhcpd is root, and has no right of root's to files.
    host.run(["chmod", "000", main])
    told = call(host, "ipalias.dhcp", block)
    assert told["changes"]["files"] == {main: f"mode 0000 -> {right}"}, told
    assert told["changes"]["service"] == {server.unit: "restarted"}
    assert pid_of(host, implementation) not in ("", pid)

    host.run(list(guard_command(server, 600).argv))
    host.run(["systemctl", "stop", server.unit])
    wait_until(lambda: not pid_of(host, implementation), "the end of the server")
    for test in (True, False):
        told = call(host, "ipalias.dhcp", block, test=test)
        assert (told["result"], told["changes"]) == (True, {}), told
        assert re.search(r"drill.*again at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told["comment"]), told
    changed = pillar(host, implementation, limits={"skew": 9}, authoritative=False)
    told = call(host, "ipalias.dhcp", changed)
    assert told["result"] is False and "drill_start" in told["comment"], told
    assert not pid_of(host, implementation)
    host.run(["systemctl", "stop", f"{DRILL}.timer"])
    assert call(host, "ipalias.dhcp", block)["changes"] == {"service": {server.unit: "started"}}
    assert pid_of(host, implementation)


def test_a_server_that_dies_at_its_start_is_put_back(booted: Boot) -> None:
    """Kea's check passes over what its hook then refuses; the old one serves again."""
    host = booted("bookworm", "networkd")
    assert call(host, "ipalias.dhcp", pillar(host, "isc"))["result"] is True
    held = files_of(host)
    host.write(
        "/etc/systemd/system/kea-dhcp4-server.service.d/gone.conf", "[Service]\nUser=nobody\n"
    )
    host.run(["systemctl", "daemon-reload"])
    told = call(host, "ipalias.dhcp", pillar(host, "kea"))
    assert told["result"] is False and "kea-dhcp4-server.service" in told["comment"], told
    host.run(["rm", "-r", "/etc/systemd/system/kea-dhcp4-server.service.d"])
    assert differences(files_of(host), held) == [] and pid_of(host, "isc")
    assert not pid_of(host, "kea")


def test_an_address_that_comes_later_than_kea_keeps_it_down_no_longer(booted: Boot) -> None:
    host, unit = booted("trixie", "networkd"), SERVERS["kea"].unit
    ours = ["192.0.2.77/24", "dev", "eth0"]
    host.run(["ip", "address", "add", *ours])
    block = pillar(host, "kea")
    block["ipalias"]["dhcp"]["pair"]["members"]["dhcp1"]["address"] = "192.0.2.77"
    assert call(host, "ipalias.dhcp", block)["result"] is True
    # As a boot has it, where the address comes by whatever is slower than Kea.
    host.run(["systemctl", "stop", unit])
    host.run(["ip", "address", "delete", *ours])
    host.run(["systemctl", "start", unit])
    shown = ["systemctl", "show", "--property=SubState,NRestarts", "--value", unit]
    wait_until(lambda: "auto-restart" in host.run(shown).out, "the end of a start in vain")
    host.run(["ip", "address", "add", *ours])
    wait_until(lambda: pid_of(host, "kea"), "Kea by itself")
    # What a signal has ended is the peer's to take over from, and for somebody to look at.
    host.run(["pkill", "-KILL", "-x", PROGRAMS["kea"]])
    wait_until(lambda: "failed" in host.run(shown).out, "a unit that stays as it was ended")


def test_a_port_in_use_is_refused_before_anything_is_written(booted: Boot) -> None:
    host = booted("bookworm", "networkd")
    before = files_of(host)
    listen = "import socket; s = socket.create_server(('', 647)); input()"
    with host.popen(["/usr/bin/python3", "-c", listen], stdin=-1) as other:
        wait_until(lambda: ":647" in host.run(["ss", "-Hltn"]).out, "the other program")
        told = call(host, "ipalias.dhcp", pillar(host, "isc"))
        other.kill()
    assert told["result"] is False
    assert "ipalias:dhcp:pair:members:dhcp1:port: the port is in use: python3" in told["comment"]
    assert differences(files_of(host), before) == [] and not pid_of(host, "isc")
