"""Several ways out on OpenBSD: multipath default routes, hostname.if, pf, ifstated.

The kernel takes a second default route with ``-mpath`` alone, and the same one twice never
(``rtable.c``, rtable_insert: EEXIST). It has no weights. netstart(8) runs the ``!`` lines of
hostname.if(5) after the interface is up, and adds the routes of mygate(5) last, without
``-mpath``.
"""

from __future__ import annotations

from ..backends import openbsd as backend
from ..backends import openbsd_netstart as netstart
from ..bootunit import Program
from ..errors import ParseError, RefusedError, UnsupportedError
from ..host import Host
from ..live import Route
from ..model import Command, File
from ..text import blocks
from . import pf
from .bsdroutes import boot_defaults, host_routes
from .ifstated import Commands
from .model import Uplink, WanConfig, Way

IFSTATED = "/etc/ifstated.conf"
PF = "/etc/pf.conf"
MYGATE = "/etc/mygate"
RC = "/etc/rc.conf.local"
#: Of our block in each file.
BLOCK = "wan"
_MODE = 0o640
_FLAGS = 'ifstated_flags=""\n'


def via(way: Way) -> str:
    """Return a gateway as route(8) takes and shows it, a link-local one with its link."""
    local = way.gateway.startswith("fe80:")
    return f"{way.gateway}%{way.interface}" if local else way.gateway


def _family(family: int) -> str:
    return "-inet" if family == 4 else "-inet6"


def _run_argv(verb: str, way: Way) -> tuple[str, ...]:
    return ("/sbin/route", "-qn", verb, _family(way.line.family), "-mpath", "default", via(way))


def _add(uplink: Uplink, way: Way) -> tuple[str, ...]:
    return _run_argv("add", way)


def _delete(uplink: Uplink, way: Way) -> tuple[str, ...]:
    return _run_argv("delete", way)


def _ping(address: str, timeout: int, source: str) -> tuple[str, ...]:
    """Return ping(8): one packet, so many seconds for its answer."""
    program = "ping6" if ":" in address else "ping"
    chosen = ("-I", source) if source else ()
    return (program, "-q", "-c", "1", "-w", str(timeout), *chosen, address)


def _forget(config: WanConfig, way: Way) -> tuple[str, ...]:
    """Return pfctl(8), ``-k label``: the states that a rule with the label has made."""
    if not pf.is_told_apart(config, way):
        return ()
    return ("/sbin/pfctl", "-q", "-k", "label", "-k", pf.label_of(way))


def commands(program: Program) -> Commands:
    """Return how this system says what the machine does."""
    return Commands(_add, _delete, _ping, program, _forget)


def default_argv(verb: str, route: Route, weight: int) -> tuple[str, ...]:
    """Return the command that adds a default route beside others, or takes it away: route(8)."""
    return ("route", "-n", verb, _family(route.family), "-mpath", "default", route.gateway or "")


def host_argv(verb: str, route: Route) -> tuple[str, ...]:
    """Return the command for the route to a target."""
    return ("route", "-n", verb, _family(route.family), route.destination, route.gateway or "")


def settings(config: WanConfig) -> list[tuple[str, str]]:
    """Return kernel settings, sysctl(2): several routes to one place, and forwarding."""
    inside = bool(config.lan or config.nat.networks or config.nat.networks6)
    found = [(f"{name}.multipath", "1") for name in ("net.inet.ip", "net.inet6.ip6")]
    for family in sorted({way.line.family for _, way in config.ways()}):
        if inside:
            found.append((f"net.inet{'6.ip6' if family == 6 else '.ip'}.forwarding", "1"))
    return found


def refuse(host: Host, config: WanConfig) -> None:
    """Refuse what this system cannot do, or what stands in the way on this host.

    :raises UnsupportedError: weights.
    :raises RefusedError: another gateway in mygate; pf turned off.
    """
    for uplink in config.uplinks:
        if uplink.weight != 1:
            raise UnsupportedError(
                "OpenBSD's routes have no weights: each line gets an equal share",
                where=f"{uplink.where}:weight",
                way_out="leave it out",
            )
    pf.refuse_ambiguous(config)
    rows = [row.partition("#")[0].strip() for row in (host.read(RC) or "").splitlines()]
    if config.nat.networks and "pf=NO" in rows:
        raise RefusedError(
            "pf is turned off, and NAT is its work",
            where=f"{RC}:{rows.index('pf=NO') + 1}",
            way_out="take the line out and run `pfctl -e`",
        )
    families = {way.line.family for _, way in config.ways()}
    ours = {via(way) for _, way in config.ways()}
    for gateway in _mygate(host):
        if (6 if ":" in gateway else 4) in families and gateway not in ours:
            raise RefusedError(
                f"netstart sets a default route by {gateway}, without -mpath and beside no other",
                where=MYGATE,
                way_out="take it out, or make it the gateway of an uplink",
            )


def _mygate(host: Host) -> list[str]:
    rows = (row.partition("#")[0].split() for row in (host.read(MYGATE) or "").splitlines())
    return [words[0] for words in rows if words]


def boot_files(
    host: Host, config: WanConfig | None, former: WanConfig | None
) -> tuple[list[File], list[str]]:
    """Return hostname.if files and rc.conf.local, and what there is to know.

    :raises ParseError: a file whose last line our block would bring to life.
    :raises RefusedError: an interface without a file; a default route set without ``-mpath``.
    """
    notes = []
    wanted = _lines(host, config) if config is not None else {}
    every = dict.fromkeys([*wanted, *_paths(host, former)])
    files = [
        File(path, _hostname(host, path, wanted.get(path, "")), _MODE, False) for path in every
    ]
    files.append(_rc(host, config is not None))
    if config is not None:
        ours = {via(way) for _, way in config.ways()}
        notes += [
            f"{MYGATE}: {gateway} stands there as well; netstart's second attempt is refused by "
            "the kernel (File exists), so it may stay or go"
            for gateway in _mygate(host)
            if gateway in ours
        ]
    return files, notes


def _path(host: Host, interface: str) -> str:
    return backend.detect(host, interface).facts["path"]


def _paths(host: Host, config: WanConfig | None) -> list[str]:
    return [_path(host, u.interface) for u in config.uplinks] if config is not None else []


def _lines(host: Host, config: WanConfig) -> dict[str, str]:
    """Return the block of each file, in the guide's form."""
    from . import openbsd

    defaults = boot_defaults(openbsd, config)
    found: dict[str, str] = {}
    for uplink in config.uplinks:
        path = _path(host, uplink.interface)
        if host.read(path) is None:
            raise RefusedError(
                f"there is no {path}, so netstart brings nothing up on {uplink.interface}",
                where=f"{uplink.where}:interface",
                way_out="write the interface's hostname.if file first",
            )
        found.setdefault(path, "")
    for route in defaults:
        path, six = _path(host, route.interface), "-inet6 " if route.family == 6 else ""
        found[path] += f"!route add {six}-mpath default {route.gateway}\n"
    for route in host_routes(openbsd, config):
        path, six = _path(host, route.interface), "-inet6 " if route.family == 6 else ""
        found[path] += f"!route add {six}{route.destination} {route.gateway}\n"
    return found


def _hostname(host: Host, path: str, body: str) -> str | None:
    """Return a hostname.if file with our block, at the end where it is new."""
    text = host.read(path)
    if not body:
        return blocks.remove_block(text, BLOCK, path) if text is not None else None
    _refuse_lines(text or "", path)
    return blocks.replace_block(text, BLOCK, body, path)


def _refuse_lines(text: str, path: str) -> None:
    lines = netstart.read_lines(text)
    if blocks.newline_of(text) == "\r\n" and lines:
        raise netstart.carriage_return(path, lines[0])
    if lines and lines[-1].effective and not lines[-1].ended:
        raise ParseError(
            path,
            lines[-1].first + 1,
            "netstart does not come to a last line that has no newline: this one does nothing",
            way_out="end the line with a newline, or take it out",
        )
    block = blocks.find_block(text, BLOCK, path)
    for line in lines:
        words = line.words
        inside = block is not None and block.first < line.first < block.last
        plain = words[:2] == ["!route", "add"] and "default" in words and "-mpath" not in words
        if plain and not inside:
            raise RefusedError(
                "a default route without -mpath, beside which no other can be",
                where=f"{path}:{line.first + 1}",
                way_out="take the line out: the uplink's own comes in its place",
            )


def _rc(host: Host, runs: bool) -> File:
    """Return rc.conf.local, in which the last assignment counts (rc.subr, _rc_parse_conf)."""
    text = host.read(RC)
    if runs:
        return File(RC, blocks.replace_block(text, BLOCK, _FLAGS, RC), owned=False)
    return File(RC, None if text is None else blocks.remove_block(text, BLOCK, RC), owned=False)


def pf_text(text: str, config: WanConfig | None) -> str | None:
    """Return pf.conf with our anchor as its last rule, for the last one that matches counts."""
    rules = pf.rules_openbsd(config) if config is not None else ""
    if rules:
        return blocks.replace_block(text, BLOCK, f'anchor "ipalias_wan" {{\n{rules}}}\n', PF)
    return blocks.remove_block(text, BLOCK, PF)


def is_running(host: Host) -> bool:
    """Tell whether ifstated runs, rcctl(8)."""
    return host.run(("rcctl", "check", "ifstated")).code == 0


def pausing() -> Command:
    """Return what ends ifstated while routes change under it; it may not run."""
    return Command(("rcctl", "stop", "ifstated"), ok=(0, 1), timeout=60.0)


def starting() -> Command:
    """Return what starts it, or starts it again."""
    return Command(("rcctl", "restart", "ifstated"), timeout=60.0)
