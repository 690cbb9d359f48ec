"""What comes after a change that was cut short: the next run, the dead man, the next boot.

Each starts as a new process: all it knows is what lies on the disk and in the kernel.
"""

from __future__ import annotations

import re

from rig import plat, simbsdwan, simdhcp, simsysctl, simwan
from rig.simfiles import SimFiles
from rig.simhost import STATE, SimHost
from rig.simnet import SimAddress, SimNet, SimRoute
from rig.simowners import GATEWAY4, GATEWAY6, IFSTATE, Networkctl
from saltext.ipalias import guarded, journal
from saltext.ipalias.effects import Rename, SyncFolder, run
from saltext.ipalias.paths import Paths

PATHS = Paths(STATE)
_KEYFILE_ADDRESS = re.compile(r"(?m)^address\d*=([^,\s]+)")


def settle(host: SimHost) -> list[str]:
    """Put back as the next run does, before it does anything else."""
    return run(guarded.settle(host, PATHS), host.perform)


def dead_man(host: SimHost) -> None:
    """Put back as `outlive.guard` does when it fires: claim by rename, then recover."""
    for state in (journal.OPEN, journal.WAITING):
        for path in host.glob(f"{STATE}/{state}-*.json"):
            # Read when it was armed.
            record = journal.parse_record(host.read(path) or "", path)
            host.perform(Rename(path, PATHS.record(journal.FIRING, record.id)))
            host.perform(SyncFolder(STATE))
            run(guarded.put_back(record, host, PATHS, keep=True), host.perform)


def boot_restore(host: SimHost) -> list[str]:
    """Put back as `outlive.boot` does."""
    return run(guarded.put_back_at_boot(host, PATHS), host.perform)


def reboot(host: SimHost, *, restore: bool = True) -> SimHost:
    """Return the host after a power cut and a boot: netplan's generator, restore, network."""
    fresh = power_up(host)
    if restore:
        boot_restore(fresh)
    bring_up(fresh)
    return fresh


def power_up(host: SimHost, files: SimFiles | None = None) -> SimHost:
    """Return the host as it is before the network: an empty kernel, an empty /run.

    :param files: what the power cut left, where it is not all.
    """
    fresh = host.successor()
    fresh.files.nodes = files.nodes if files is not None else fresh.files.nodes
    fresh.boot = f"{host.boot}+"
    for link in fresh.net.links.values():
        link.addresses4, link.addresses6, link.promote = [], [], "0"
        link.known6 = {}
    if "lo" in fresh.net.links:
        # Other systems have a boot of their own for their loopback.
        fresh.net.add_loopback()
    fresh.net.routes = []
    if fresh.proc.values:
        fresh.proc.fill(sorted(fresh.net.links))
    fresh.services.clear()
    fresh.running = dict.fromkeys(fresh.running, "")
    if fresh.wan is not None:
        fresh.wan.kernel = simwan.HOST
    for path in list(fresh.files.nodes):
        if path.startswith("/run/") and not path.startswith("/run/systemd/"):
            fresh.files.nodes.pop(path)
    if "netplan" in fresh.programs:
        # A generator: systemd runs it before any unit.
        fresh.run(["netplan", "generate"])
    return fresh


def bring_up(host: SimHost) -> None:
    """Bring the network up as the files say: what the owner sets at its start."""
    programs, net = host.programs, host.net
    if host.owner == "sysctl":
        simsysctl.boot(host)
        net.add4("eth0", SimAddress("192.0.2.2", 24))
    if host.owner == "wan":
        simwan.boot(host)
        net.add4("eth0", SimAddress("192.0.2.2", 24))
    if host.owner == "dhcp":
        simdhcp.boot(host)
        net.add4("eth0", SimAddress("192.0.2.2", 24))
    if host.owner in plat.NAMES:
        plat.load(host.owner).bring_up(host)
        if "ifstated" in programs:
            simbsdwan.boot(host)
        return
    for link in net.links.values():
        if not link.loopback:
            net.add6(link.name, SimAddress("fe80::2", 64))
    if "ifup" in programs:
        _ifup(host)
    if "nmcli" in programs:
        _activate_profiles(host)
    daemon = programs.get("networkctl")
    if isinstance(daemon, Networkctl):
        daemon.seen = {}
        host.run(["networkctl", "reload"])
    net.add_route(SimRoute(4, "default", "eth0", GATEWAY4))
    net.add_route(SimRoute(6, "default", "eth0", GATEWAY6))


def _ifup(host: SimHost) -> None:
    """Do what ``ifup -a`` does: stanzas, ``up`` lines, the scripts of if-up.d."""
    net, files = host.net, host.files
    files.put(IFSTATE, "lo=lo\n")
    for path in ["/etc/network/interfaces", *files.glob("/etc/network/interfaces.d/*")]:
        for stanza in re.split(r"(?m)^(?=iface )", files.read(path) or "")[1:]:
            name, family = stanza.split()[1:3]
            if name != "lo":
                _bring_stanza_up(host, name, stanza, six=family == "inet6")
    for link in net.links:
        batch = files.read(f"/etc/network/ipalias/{link}.batch")
        hook = files.read(f"/etc/network/if-up.d/ipalias-{link}")
        if batch is not None and hook is not None:
            recorded = (files.read(IFSTATE) or "").splitlines()
            names = [line.partition("=")[0] for line in recorded if ":" in line]
            lines = [
                re.sub(rf"^#({'|'.join(names)}) " if names else r"^\0", "", line)
                for line in batch.splitlines()
            ]
            host.ip(["ip", "-force", "-batch", "-"], "".join(f"{line}\n" for line in lines))


def _bring_stanza_up(host: SimHost, name: str, stanza: str, *, six: bool) -> None:
    net, link = host.net, name.partition(":")[0]
    told = dict(re.findall(r"(?m)^\s+(\w+)\s+(\S+)", stanza))
    address, _, prefix = told["address"].partition("/")
    if not prefix:
        prefix = str(sum(bin(int(part)).count("1") for part in told["netmask"].split(".")))
    (net.add6 if six else net.add4)(link, SimAddress(address, int(prefix), "" if six else name))
    for line in re.findall(r"(?m)^\s+(?:post-)?up\s+ip (.+)$", stanza):
        host.ip(["ip", *line.split()], None)
    recorded = host.files.read(IFSTATE) or ""
    if f"{name}={name}\n" not in recorded:
        host.files.put(IFSTATE, f"{recorded}{name}={name}\n")


def _activate_profiles(host: SimHost) -> None:
    """Set the addresses of the keyfiles, as NetworkManager does when it activates them."""
    for path in host.glob("/etc/NetworkManager/system-connections/*.nmconnection"):
        name = path.rsplit("/", 1)[1].removesuffix(".nmconnection")
        for cidr in _KEYFILE_ADDRESS.findall(host.read(path) or ""):
            address, _, prefix = cidr.partition("/")
            add = host.net.add6 if ":" in address else host.net.add4
            add(name, SimAddress(address, int(prefix)))


def live_sets(net: SimNet) -> dict[str, set[str]]:
    """Return the addresses of every link."""
    return {
        name: {address.cidr for address in (*link.addresses4, *link.addresses6)}
        for name, link in net.links.items()
    }
