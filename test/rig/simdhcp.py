"""A Debian host with DHCP servers in memory, and scenes of a change of theirs for the matrices."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from rig.simhost import SimHost
from rig.simowners import Program, machine
from saltext.ipalias.dhcp import drill, firewall
from saltext.ipalias.dhcp.model import OmapiKey
from saltext.ipalias.dhcp.services import SERVERS, Server
from saltext.ipalias.dhcp.setup import Setup
from saltext.ipalias.engine import Answer
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import Result

#: `away` and not `clean`, for the tests of each sync take minutes of one as long as this.
SCENES = ("first", "other", "away", "switch", "store")
#: The table, among what runs.
RULES = "table"
#: When the timer of a drill is over.
MOMENT = "Sat 2026-11-28 14:32:10 UTC"
_ids = itertools.count(1)
DEFAULTS = '# kept\nINTERFACESv4=""\nINTERFACESv6=""\n'
MAIN = '# kept\noption domain-name "example.org";\n'
KEA = '{"Dhcp4": {"interfaces-config": {"interfaces": []}}} // kept\n'
#: One that a client holds for good.
LEASES = """lease 192.0.2.150 {
  starts epoch 1700000000;
  ends never;
  binding state active;
  hardware ethernet 02:00:00:00:00:aa;
}
"""
MEMBERS = {
    "dhcp1": {"address": "192.0.2.2", "port": 647, "role": "primary"},
    "dhcp2": {"address": "192.0.2.3", "port": 647, "role": "secondary"},
}
DATABASE = {"type": "mysql", "name": "kea", "user": "kea", "password": "example"}
BLOCK: dict[str, Any] = {
    "implementation": "isc",
    "pair": {"name": "pair1", "members": MEMBERS},
    "interfaces": ["eth0"],
    "subnets": [{"subnet": "192.0.2.0/24", "ranges": ["192.0.2.100-192.0.2.199"]}],
}


def block(**keys: Any) -> dict[str, Any]:
    """Return a block ``dhcp`` with some keys changed."""
    return {**copy.deepcopy(BLOCK), **keys}


def setup(host: SimHost, dhcp: Any = None, **settings: Any) -> Setup:
    """Return the request's engine on a host, the pillar having a block ``dhcp``."""
    data = {"guard": False, "dhcp": block() if dhcp is None else dhcp}
    key = OmapiKey("ipalias-omapi", "hmac-sha256", "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcywgc28u")
    ids = lambda: f"dhcp-{next(_ids):06d}"  # noqa: E731
    around: dict[str, Any] = {"new_id": ids, "new_key": lambda: key, "ask_peer": nobody}
    return Setup(host, data, minion="dhcp1", **{**around, **settings})


def nobody(address: str, port: int, command: str) -> Any:
    """Answer as a peer does that is not there."""
    raise EffectError("connection refused", where=f"{address}:{port}")


def running(host: SimHost, what: str) -> str | None:
    """Return the text that a server, or the table, has been loaded with; None: it does not run.

    Among the services, which a power cut ends, and which are compared.
    """
    found = [text for text in host.services if text.startswith(f"{what}\n")]
    return found[0].partition("\n")[2] if found else None


def run_by(host: SimHost, what: str, text: str | None) -> None:
    """Let a server, or the table, run by a text; None: let it end."""
    host.services -= {one for one in host.services if one.startswith(f"{what}\n")}
    if text is not None:
        host.services.add(f"{what}\n{text}")


def pids_of(host: SimHost) -> dict[str, int]:
    """Return the process of each program; each start has another, and none is compared."""
    pids: dict[str, int] = host.__dict__.setdefault("pids", {})
    return pids


def server_of(unit: str) -> Server | None:
    """Return whose unit it is."""
    name = unit.removesuffix(".service")
    return next((s for s in SERVERS.values() if s.unit == f"{name}.service"), None)


def complaint(host: SimHost, path: str) -> str:
    """Return what a server has against a file and what that includes; empty: nothing."""
    text = host.files.read(path)
    if text is None:
        return f"Can't open {path}: No such file or directory"
    for included in re.findall(r'(?m)^include "([^"]+)";', text):
        if said := complaint(host, included):
            return said
    lines = enumerate(text.splitlines(), 1)
    return next((f"{path} line {n}: semicolon expected." for n, w in lines if "bogus" in w), "")


class Checks(Program):
    """``dhcpd -t``, and ``kea-dhcp4 -t`` as another user."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        said = complaint(self.host, argv[-1])
        return Result(1 if said else 0, "", f"Copyright\n{said}\n" if said else "")


class Sockets(Program):
    """``ss`` for what runs, and for what a test lets others have (`SimHost.stored`)."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        lines = list(self.host.stored["sockets"])
        for server in SERVERS.values():
            if running(self.host, server.unit) is None:
                continue
            who = f'users:(("{server.program}",pid={pids_of(self.host)[server.program]},fd=8))'
            lines.append(f"udp UNCONN 0 0 0.0.0.0:67 0.0.0.0:* {who}")
            for address, port in self._listening(server):
                lines.append(f"tcp LISTEN 0 5 {address}:{port} 0.0.0.0:* {who}")
        return Result(0, "\n".join(lines) + "\n", "")

    def _listening(self, server: Server) -> list[tuple[str, str]]:
        text = running(self.host, server.unit) or ""
        if server.implementation == "isc":
            found = re.search(r"(?m)^  address (\S+);\n  port (\d+);", text)
            return [found.group(1, 2)] if found else []
        found = re.search(r'"name": "dhcp1",\s+"url": "http://([\d.]+):(\d+)/"', text)
        return [found.group(1, 2)] if found else []


class Systemctl(Program):
    """`systemctl` as far as servers and the table's unit ask it."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        verb, *units = [word for word in argv[1:] if not word.startswith("--")]
        host = self.host
        if verb == "daemon-reload":
            return Result(0, "", "")
        unit = units[0]
        if unit == firewall.UNIT_NAME:
            return self._table(verb)
        if unit == f"{drill.GUARD}.timer":
            if verb == "is-active":
                return Result(3 if running(host, unit) is None else 0, "", "")
            if verb == "list-timers":
                left = f"{MOMENT} 1min 40s left - - {unit} {drill.GUARD}.service\n"
                return Result(0, "" if running(host, unit) is None else left, "")
            run_by(host, unit, None)
            return Result(0, "", "")
        server = server_of(unit)
        assert server is not None, argv
        enabled: list[str] = host.stored["enabled"]
        match verb:
            case "is-failed":
                return Result(1, "", "")
            case "is-enabled":
                return Result(0 if unit in enabled else 1, "", "")
            case "enable" if unit not in enabled:
                host.stored["enabled"] = sorted([*enabled, unit])
            case "disable":
                host.stored["enabled"] = [name for name in enabled if name != unit]
            case "stop":
                run_by(host, server.unit, None)
            case "show":
                return Result(0, "start-limit-hit\n" if self._held(unit) else "success\n", "")
            case "reset-failed":
                host.stored["held"] = []
            case "restart" if self._held(unit):
                return Result(1, "", "To force a start use reset-failed\n")
            case "restart":
                return start(host, server)
        return Result(0, "", "")

    def _held(self, unit: str) -> bool:
        """Tell whether systemd holds a unit back for having been started too often."""
        return unit in self.host.stored.get("held", [])

    def _table(self, verb: str) -> Result:
        rules = self.host.files.read(firewall.RULES)
        known = self.host.files.read(firewall.UNIT) is not None
        run_by(self.host, RULES, None)
        if verb == "restart":
            if rules is None or not known:
                return Result(1, "", "no such file\n")
            run_by(self.host, RULES, rules)
        return Result(0 if known else 5, "", "")


class SystemdRun(Program):
    """``systemd-run`` as far as a drill's timer asks it."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        [unit] = [word.partition("=")[2] for word in argv if word.startswith("--unit=")]
        if running(self.host, f"{unit}.timer") is not None:
            return Result(1, "", "Unit was already loaded\n")
        run_by(self.host, f"{unit}.timer", " ".join(argv))
        return Result(0, "", "")


class Nft(Program):
    """``nft`` as far as the table asks it."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        if "list" in argv:
            return Result(0, json.dumps({"nftables": self.host.stored["chains"]}), "")
        there = running(self.host, RULES) is not None
        run_by(self.host, RULES, None)
        return Result(0 if there else 1, "", "")


def start(host: SimHost, server: Server) -> Result:
    """Do what a server does at its start: read its files, and serve, or end."""
    run_by(host, server.unit, None)
    if complaint(host, server.main):
        return Result(1, "", f"Job for {server.unit} failed.\n")
    text = host.files.read(server.main) or ""
    for included in re.findall(r'(?m)^include "([^"]+)";', text):
        text += host.files.read(included) or ""
    run_by(host, server.unit, text)
    pids = pids_of(host)
    pids[server.program] = max(pids.values(), default=500) + 1
    return Result(0, "", "")


def linux() -> SimHost:
    """Return a Debian host with both packages, none of them configured."""
    host = machine(
        {
            "/etc/debian_version": "12.5\n",
            "/etc/group": "root:x:0:\n_kea:x:105:\n",
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\n_kea:x:101:105::/var/lib/kea:/bin/false\n",
            "/var/lib/dhcp/dhcpd.leases": LEASES,
            "/etc/default/isc-dhcp-server": DEFAULTS,
            "/etc/dhcp/dhcpd.conf": MAIN,
            "/etc/kea/kea-dhcp4.conf": KEA,
            "/etc/unrelated": "kept\n",
        }
    )
    for folder in ("/run/systemd/system", "/etc/systemd/system", "/var/lib/kea"):
        host.files.make_folders(folder)
    host.programs |= {
        "systemctl": Systemctl(host),
        "systemd-run": SystemdRun(host),
        "dhcpd": Checks(host),
        "setpriv": Checks(host),
        "kea-dhcp4": Checks(host),
        "ss": Sockets(host),
        "nft": Nft(host),
        "journalctl": lambda argv, stdin: Result(0, "it says why\n", ""),
    }
    host.stored |= {"enabled": [], "sockets": [], "chains": []}
    host.owner = "dhcp"
    return host


def boot(host: SimHost) -> None:
    """Do what a boot does: the table, and the servers that are enabled."""
    host.services.clear()
    rules = host.files.read(firewall.RULES)
    if rules is not None and host.files.read(firewall.WANTED) is not None:
        run_by(host, RULES, rules)
    for server in SERVERS.values():
        if server.unit in host.stored["enabled"]:
            start(host, server)


def bring(data: dict[str, Any] | None) -> Callable[[SimHost], Answer]:
    """Return the request that brings a host to a block, or takes all of it away."""

    def request(host: SimHost) -> Answer:
        made = setup(host, data)
        return made.absent() if data is None else made.managed()

    return request


def has_database(host: SimHost) -> None:
    """Give a host a client of a database that has Kea's tables and takes everything."""

    def answer(argv: Sequence[str], stdin: str | None) -> Result:
        return Result(0, "22\t2\n" if "schema_version" in " ".join(argv) else "", "")

    host.programs["mariadb"] = answer
    host.programs["kea-dhcp4"] = lambda argv, stdin: Result(0, "- MySQL backend 22.2, x\n", "")


def scene_of(name: str) -> tuple[SimHost, Callable[[SimHost], Answer]]:
    """Return a host as it is before a change of its configuration, and the request for it."""
    host = linux()
    request = bring(block())
    if name == "store":
        has_database(host)
        request = bring(block(implementation="kea"))
    if name != "first":
        request(host)
        others: dict[str, dict[str, Any] | None] = {
            "away": None,
            "other": block(whole=True, firewall=True, authoritative=False),
            "switch": block(implementation="kea"),
            "store": block(implementation="kea", kea={"lease_database": DATABASE}),
        }
        request = bring(others[name])
    host.log.clear()
    return host, request
