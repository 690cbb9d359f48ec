"""Hosts to measure on: a dialect's files, the formula as a minion gets it, a pillar, Salt."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence

from measure import Took, process_took

from rig.machine import Machine
from rig.netns import CHECKOUT, NetHost
from rig.salt import SaltMinion

#: Where the formula lies on a host: its own files alone, as SPM or gitfs bring them. The
#: checkout will not do, for Salt walks a file root through with every run.
FORMULA = "/srv/formula"
#: What has to be there beside the floor.
PARTS = ("ipalias", "_modules", "_states", "_utils")
#: First addresses of our aliases. 198.18.0.0/15 is set aside for benchmarks (RFC 2544);
#: the ranges for documentation are too small for ten thousand.
BENCHMARK = (198, 18)
LAST_OCTETS = 250


def ipv4(count: int) -> list[str]:
    """Return that many IPv4 addresses."""
    first, second = BENCHMARK
    return [
        f"{first}.{second}.{number // LAST_OCTETS}.{number % LAST_OCTETS + 1}"
        for number in range(count)
    ]


def ipv6(count: int) -> list[str]:
    """Return IPv6 addresses in one /64; the kernel joins a multicast group for each."""
    return [f"2001:db8:1::{number + 1:x}" for number in range(count)]


def ipv6_one_group(count: int) -> list[str]:
    """Return IPv6 addresses, each the first of a /64 of its own.

    Their last 24 bits are equal, so they share one solicited-node group. With a group each
    the kernel itself needs minutes for ten thousand: it goes through the list of groups for
    every address.
    """
    return [f"2001:db8:1:{number + 1:x}::1" for number in range(count)]


def suites(full: bool) -> Sequence[str]:
    """Return the Debian releases to boot: those ``SUITES`` names, else all or the newest."""
    named = os.environ.get("SUITES", "").split()
    return named or (("bookworm", "trixie") if full else ("trixie",))


# ------------------------------------------------------------------ a dialect's own files

NETWORKD = "[Match]\nName=eth0\n\n[Network]\nAddress={v4}/24\nGateway=192.0.2.1\n"
NETPLAN = (
    "network:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [{v4}/24]\n"
    "      routes: [{{to: default, via: 192.0.2.1}}]\n"
)
KEYFILE = (
    "[connection]\nid=eth0\nuuid=6f1d1ab4-6a4e-4a4f-9c0e-2f3f7a1b9c10\ntype=ethernet\n"
    "interface-name=eth0\n\n[ipv4]\nmethod=manual\naddress1={v4}/24,192.0.2.1\n\n"
    "[ipv6]\nmethod=manual\naddress1={v6}/64,2001:db8::1\n"
)
INTERFACES = (
    "source /etc/network/interfaces.d/*\n\nauto eth0\niface eth0 inet static\n"
    "\taddress {v4}/24\n\tgateway 192.0.2.1\n"
)
#: Dialect → its file, what stands in it, its mode.
FILES = {
    "networkd": ("/etc/systemd/network/50-default.network", NETWORKD, 0o644),
    "netplan": ("/etc/netplan/10-host.yaml", NETPLAN, 0o600),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        KEYFILE,
        0o600,
    ),
    "ifupdown": ("/etc/network/interfaces", INTERFACES, 0o644),
}
#: Folders in which what a run has written lies.
FOLDERS = (
    "/etc/systemd/network",
    "/etc/netplan",
    "/etc/NetworkManager/system-connections",
    "/etc/network",
    "/var/lib/ipalias",
)
#: Most aliases that a dialect, or a set-up of `rig.setups`, takes beside the primary addresses.
HOLDS = {"networkd": 8190, "netplan": 8190, "netplan_networkd": 8190}


def write_files(host: NetHost, dialect: str) -> None:
    """Give a host the file by which a dialect owns eth0, and no other."""
    host.remove(*FOLDERS)
    path, text, mode = FILES[dialect]
    v6 = f"2001:db8::{host.number:x}"
    host.write(path, text.format(v4=host.primary, v6=v6), mode)


# ------------------------------------------------------------------------------- the Salt


def install(host: SaltMinion) -> None:
    """Install the formula and a floor beside it: a state that does nothing."""
    host.run(["sh", "-ec", f"rm -rf {FORMULA}; mkdir -p {FORMULA}; tar -x -C {FORMULA}"], _packed())
    host.write(f"{FORMULA}/floor.sls", "floor:\n  test.nop: []\n")
    config = {
        "id": "bench",
        "file_client": "local",
        "file_roots": {"base": [FORMULA]},
        "pillar_roots": {"base": ["/srv/pillar"]},
        "enable_fqdns_grains": False,
        "enable_gpu_grains": False,
        "log_level_logfile": "quiet",
    }
    host.write("/etc/salt/minion", json.dumps(config))
    host.write("/srv/pillar/top.sls", "base:\n  '*':\n    - bench\n")


def _packed() -> str:
    """Return the formula's files as a tar archive, in the text form of a standard input."""

    def without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in member.name else member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for part in PARTS:
            archive.add(CHECKOUT / part, part, filter=without_caches)
    return packed.getvalue().decode("utf-8", "surrogateescape")


def plain(address: str) -> str:
    """Return an item of the pillar's list in its short form."""
    return f"        - {address}\n"


def mapping(address: str) -> str:
    """Return it as a mapping."""
    return f"        - {{address: {address}}}\n"


def write_pillar(
    host: SaltMinion,
    addresses: Sequence[str],
    backend: str = "auto",
    form: Callable[[str], str] = plain,
) -> None:
    """Write the pillar as its users do, in YAML."""
    listed = "".join(form(address) for address in addresses)
    head = f"ipalias:\n  backend: {backend}\n  interfaces:\n    eth0:\n      addresses:\n"
    host.write("/srv/pillar/bench.sls", head + listed)


def apply(host: SaltMinion, sls: str) -> tuple[Took, dict[str, dict[str, object]]]:
    """Run ``salt-call state.apply`` and return what it took and what each state returned.

    :raises AssertionError: a state did not succeed.
    """
    argv = [*host.salt_argv(), "--local", "--out=json", "--log-level=error", "state.apply", sls]
    spent, said = process_took(host, argv, env=host.salt_environment())
    returned = json.loads(said.out)["local"]
    bad = [ret for ret in returned.values() if ret["result"] is not True]
    assert not bad, bad
    return spent, returned


def apply_changes(host: SaltMinion, *, expected: bool, sls: str = "ipalias") -> Took:
    """Run the formula and hold it to having changed something, or nothing."""
    spent, returned = apply(host, sls)
    changed = any(ret["changes"] for ret in returned.values())
    assert changed is expected, returned
    return spent


def count_live(host: Machine) -> int:
    """Return how many of our aliases are live and usable on eth0."""
    return sum(
        found.address.startswith(("198.18.", "2001:db8:1:"))
        and not found.flags & {"tentative", "dadfailed"}
        for found in host.addresses("eth0")
    )


def flush(host: Machine) -> None:
    """Take our aliases from the kernel, whoever added them."""
    for family, network in (("-4", "198.18.0.0/15"), ("-6", "2001:db8:1::/48")):
        host.run(
            ["ip", family, "address", "flush", "dev", "eth0", "to", network],
            timeout=600.0,
            check=False,
        )
