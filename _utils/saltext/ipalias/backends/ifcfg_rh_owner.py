"""Who reads the ifcfg files of an interface: network-scripts, NetworkManager, or nobody.

Both may be there. NetworkManager's ifcfg-rh plugin is the default on EL 7 and 8, and ``ifup``
itself hands what NetworkManager manages to ``nmcli`` (``source_config`` and ``ifup`` of
initscripts: unless ``NM_CONTROLLED=no``). So the daemon's own word decides where it runs, by
the file that it took the active profile from.

EL 9 has no network-scripts, and its NetworkManager only reads old ifcfg files; EL 10 has
neither. There nothing is ever written into the folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..host import NOT_FOUND, Host
from ..model import Evidence
from .ifcfg_rh_forms import FOLDER
from .ifcfg_rh_read import NOBODY, PLUGIN, SCRIPTS, parents_of

NAME = "ifcfg_rh"
#: From this release of Enterprise Linux on keyfiles are the only form.
KEYFILES_ONLY = 9
#: As of this version NetworkManager reads alias files (``read_aliases``) and nmcli can load.
READS_ALIASES = (0, 9, 10)
_LIKE_EL = frozenset(("rhel", "centos", "rocky", "almalinux", "ol", "scientific", "cloudlinux"))


@dataclass(frozen=True)
class Daemon:
    """Hold what NetworkManager says of a link.

    :param manages: a profile is active on the link.
    :param path: the file that it comes from; empty where it did not say.
    :param reasons: the same in sentences.
    """

    running: bool = False
    version: str = ""
    manages: bool = False
    path: str = ""
    reasons: tuple[str, ...] = ()


def find_owner(host: Host, interface: str) -> Evidence:
    """Return the evidence of this dialect."""
    if not host.glob(f"{FOLDER}/ifcfg-*"):
        return Evidence(NAME, interface, False, 0, (f"there is no file {FOLDER}/ifcfg-*",))
    release = release_of(host)
    parents = parents_of(host, interface)
    daemon = ask_daemon(host, interface)
    reasons = [f"{path} names {interface}" for path in parents]
    if not parents:
        reasons.append(f"no file {FOLDER}/ifcfg-* names {interface}")
    reasons += daemon.reasons
    facts = {"reader": NOBODY, "taken": " ".join(_taken(host, interface))}
    if release:
        facts["release"] = str(release)
    if daemon.running:
        facts["version"] = daemon.version
    file = parents[0] if parents else None
    strength = 0
    if daemon.manages:
        path = daemon.path or file or ""
        if path.startswith(f"{FOLDER}/"):
            file, strength, facts["reader"] = path, 3, PLUGIN
            reasons.append(f"its profile is {path}: the ifcfg-rh plugin reads it")
        elif path:
            reasons.append(f"its profile is {path}: what {FOLDER} says is not read")
    elif parents and release < KEYFILES_ONLY:
        if host.exists(f"{FOLDER}/ifup-aliases"):
            strength, facts["reader"] = 2, SCRIPTS
            reasons.append(_service(host))
        else:
            strength = 1
            reasons.append("network-scripts are not installed: nothing reads it")
    if interface == "lo" and strength == 2 and not host.glob(f"{FOLDER}/ifcfg-lo:*"):
        # "Never edit the loopback interface script ifcfg-lo by hand", says Red Hat's guide;
        # whoever has an alias file of it knows that it works there.
        strength = 1
        reasons.append("no alias file of lo is there, and lo's own is best left alone")
    if release >= KEYFILES_ONLY:
        reasons.append(f"EL {release} has no network-scripts: NetworkManager's keyfiles are used")
    return Evidence(NAME, interface, strength > 0, strength, tuple(reasons), file, facts)


def _taken(host: Host, interface: str) -> list[str]:
    """Return the numbers that files have already, in force or not.

    An alias must not get the name of a file that its reader passes over.
    """
    names = [path.rpartition(":")[2] for path in host.glob(f"{FOLDER}/ifcfg-{interface}:*")]
    return [name for name in names if name.isascii() and name.isdigit()]


def _service(host: Host) -> str:
    """Say whether the scripts run at boot."""
    if host.which("systemctl") is None:
        said = host.run(("chkconfig", "--list", "network")).out
        enabled = "on" if re.search(r"[35]:on", said) else "off"
        return f"network-scripts are installed; the service network is {enabled} at boot"
    words = [
        host.run(("systemctl", verb, "network.service")).out.strip() or "unknown"
        for verb in ("is-enabled", "is-active")
    ]
    return f"network-scripts are installed; network.service is {words[0]} and {words[1]}"


def release_of(host: Host) -> int:
    """Return the major release of Enterprise Linux or one like it; 0 for anything else."""
    text = host.read("/etc/os-release")
    if text is None:
        old = re.search(r"release ([0-9]{1,3})", host.read("/etc/redhat-release") or "")
        fedora = "Fedora" in (host.read("/etc/redhat-release") or "")
        return int(old[1]) if old and not fedora else 0
    told = dict(re.findall(r"""(?m)^([A-Z_]+)=["']?([^"'\n]*)["']?\s*$""", text))
    platform = re.fullmatch(r"platform:el([0-9]{1,3})", told.get("PLATFORM_ID", ""))
    if platform:
        return int(platform[1])
    name = told.get("ID", "")
    like = name in _LIKE_EL or ("rhel" in told.get("ID_LIKE", "").split() and name != "amzn")
    version = re.match(r"[0-9]{1,3}(?![0-9])", told.get("VERSION_ID", ""))
    return int(version[0]) if like and version else 0


def ask_daemon(host: Host, interface: str) -> Daemon:
    """Return what NetworkManager says of a link, by the words of new and old ``nmcli``."""
    asked = host.run(("nmcli", "-t", "-f", "RUNNING,VERSION", "general"))
    if asked.code == NOT_FOUND:
        return Daemon(reasons=("NetworkManager is not installed",))
    if asked.code:
        return _ask_old(host, interface)
    running, _, version = asked.out.strip().partition(":")
    if running != "running":
        return Daemon(reasons=("NetworkManager does not run",))
    said = [f"NetworkManager {version} runs"]
    shown = host.run(
        ("nmcli", "-t", "-f", "GENERAL.STATE,GENERAL.CON-UUID", "device", "show", interface)
    )
    told = dict(line.partition(":")[::2] for line in shown.out.splitlines())
    state, uuid = told.get("GENERAL.STATE", ""), told.get("GENERAL.CON-UUID", "")
    managed = bool(uuid) and not state.startswith("10 ") and "externally" not in state
    if not managed:
        said.append(f"it does not manage {interface}: {state or 'it knows no such link'}")
        return Daemon(True, version, reasons=tuple(said))
    said.append(f"it manages {interface} by the profile {uuid}")
    listed = host.run(("nmcli", "-t", "-f", "UUID,FILENAME", "connection", "show"))
    path = ""
    for line in listed.out.splitlines():
        name, _, file = line.partition(":")
        if name == uuid:
            path = re.sub(r"\\(.)", r"\1", file) or "memory"
    return Daemon(True, version, True, path, tuple(said))


def _ask_old(host: Host, interface: str) -> Daemon:
    """Ask the nmcli of NetworkManager 0.8 (EL 6), which has other words."""
    asked = host.run(("nmcli", "-t", "-f", "RUNNING", "nm"))
    if asked.code or asked.out.strip() != "running":
        return Daemon(reasons=("NetworkManager does not run",))
    shown = host.run(("nmcli", "-t", "-f", "DEVICE,STATE", "dev"))
    manages = f"{interface}:connected" in shown.out.splitlines()
    said = f"it {'manages' if manages else 'does not manage'} {interface}"
    return Daemon(True, "", manages, "", ("NetworkManager runs", said))
