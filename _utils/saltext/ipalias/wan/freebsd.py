"""Several ways out on FreeBSD 13 and 14: multipath default routes, rc.conf, pf, ifstated.

The monitor of Linux cannot run here: there is no mark to a packet, no rule that asks it, and
netlink of 13.2 and later does not have what it needs. So ifstated, the package net/ifstated,
watches by routes to each target, as on OpenBSD. With ``net.route.multipath`` the kernel takes
a second default route as it stands, and weights (``route add … -weight``, route_ctl.c).
"""

from __future__ import annotations

from ..backends.freebsd_files import MAIN, read_rc
from ..bootunit import Program
from ..errors import RefusedError, UnsupportedError
from ..host import Host
from ..live import Route
from ..model import Command, File
from ..text import blocks, shellvars
from . import pf
from .bsdroutes import boot_defaults, default_of, host_routes
from .ifstated import Commands
from .model import Uplink, WanConfig, Way

IFSTATED = "/usr/local/etc/ifstated.conf"
PF = "/etc/pf.conf"
BLOCK = "wan"
#: Our names among static_routes, rc.conf(5).
_NAME = "ipaliaswan"
_LISTS = {4: "static_routes", 6: "ipv6_static_routes"}
_ROUTES = {4: "route_", 6: "ipv6_route_"}
_ROUTERS = {4: "defaultrouter", 6: "ipv6_defaultrouter"}
_GATEWAY = {4: "gateway_enable", 6: "ipv6_gateway_enable"}
#: First words of a filter rule, before which every ``nat`` rule must stand.
_FILTER = ("block", "pass", "antispoof", "anchor", "match")


def via(way: Way) -> str:
    """Return a gateway as route(8) takes and shows it, a link-local one with its link."""
    local = way.gateway.startswith("fe80:")
    return f"{way.gateway}%{way.interface}" if local else way.gateway


def _family(family: int) -> str:
    return "-inet" if family == 4 else "-inet6"


def _add(uplink: Uplink, way: Way) -> tuple[str, ...]:
    weight = ("-weight", str(uplink.weight)) if uplink.weight != 1 else ()
    return ("/sbin/route", "-qn", "add", _family(way.line.family), "default", via(way), *weight)


def _delete(uplink: Uplink, way: Way) -> tuple[str, ...]:
    return ("/sbin/route", "-qn", "delete", _family(way.line.family), "default", via(way))


def _ping(address: str, timeout: int, source: str) -> tuple[str, ...]:
    """Return ping(8): ``-t`` is the time to wait (13 and later have one ping for both)."""
    chosen = ("-S", source) if source else ()
    return ("ping", "-q", "-c", "1", "-t", str(timeout), *chosen, address)


def _forget(config: WanConfig, way: Way) -> tuple[str, ...]:
    """Return pfctl(8), ``-i`` and ``-k``: what went out by a line with its own address.

    Of a state that goes out the address behind NAT is its source, and from 13.1 on a floating
    one is of the interface that made it (pf_ioctl.c, pf_killstates_row); 13.0 finds none. Not
    ``-F states``: that would end what comes in by the line as well, an operator's session.
    """
    if not (way.source and pf.is_told_apart(config, way)):
        return ()
    return ("/sbin/pfctl", "-q", "-i", way.interface, "-k", way.source)


def commands(program: Program) -> Commands:
    """Return how this system says what the machine does."""
    return Commands(_add, _delete, _ping, program, _forget, again=True)


def default_argv(verb: str, route: Route, weight: int) -> tuple[str, ...]:
    """Return the command that adds a default route beside others, or takes it away: route(8)."""
    more = ("-weight", str(weight)) if weight != 1 else ()
    return ("route", "-n", verb, _family(route.family), "default", route.gateway or "", *more)


def host_argv(verb: str, route: Route) -> tuple[str, ...]:
    """Return the command for the route to a target."""
    return ("route", "-n", verb, _family(route.family), route.destination, route.gateway or "")


def settings(config: WanConfig) -> list[tuple[str, str]]:
    """Return kernel settings: routes beside each other (route(8), 13 and later), forwarding."""
    found = [("net.route.multipath", "1")]
    if config.lan or config.nat.networks or config.nat.networks6:
        for family in sorted({way.line.family for _, way in config.ways()}):
            found.append((f"net.inet{'6.ip6' if family == 6 else '.ip'}.forwarding", "1"))
    return found


def refuse(host: Host, config: WanConfig) -> None:
    """Refuse what this system cannot do, or what stands in the way on this host.

    :raises UnsupportedError: a release without multipath routes.
    :raises RefusedError: rc.conf has another default router, or pf is not to run.
    """
    release = host.run(("uname", "-r")).out.strip()
    major = release.partition(".")[0]
    if not major.isdigit() or int(major) < 13:
        raise UnsupportedError(
            f"FreeBSD {release or 'of an unknown release'} has no scalable multipath routes",
            where=config.where,
            way_out="13 or later has (ROUTE_MPATH in GENERIC)",
        )
    pf.refuse_ambiguous(config)
    rc = read_rc(host)
    if config.nat.networks and rc.value("pf_enable").upper() != "YES":
        raise RefusedError(
            "pf does not run here, and NAT is its work",
            where=f"{config.where}:nat",
            way_out='set pf_enable="YES" in rc.conf and start it (`service pf start`)',
        )
    for family, name in _ROUTERS.items():
        ours = {via(way) for _, way in config.ways() if way.line.family == family}
        router = rc.value(name)
        if ours and router and router.upper() != "NO" and router not in ours:
            setting = rc.last(name)
            raise RefusedError(
                f"`{name}` is {router}, a default route beside the lines",
                where=setting.where if setting is not None else MAIN,
                way_out="take it out, or make it the gateway of an uplink",
            )


def boot_files(
    host: Host, config: WanConfig | None, former: WanConfig | None
) -> tuple[list[File], list[str]]:
    """Return rc.conf with static routes of ours, and what there is to know.

    A default router of rc.conf that is a line's gateway stays: the kernel refuses ours as a
    second one (EEXIST), and it is the same route.

    :raises ParseError: see `text.shellvars`.
    """
    text = host.read(MAIN)
    rc = shellvars.parse(text or "", MAIN)
    known = [
        name
        for name in rc.names()
        if name.startswith(tuple(f"{r}{_NAME}" for r in _ROUTES.values()))
    ]
    routes = _static_routes(config) if config is not None else {}
    for name in known:
        if name not in {f"{_ROUTES[f]}{n}" for f, rows in routes.items() for n in rows}:
            rc.remove(name)
    for family, listing in _LISTS.items():
        held = rc.get(listing)
        words = (held.value or "").split() if held is not None else []
        others = [word for word in words if not word.startswith(_NAME)]
        names = [*others, *routes.get(family, ())]
        if names:
            rc.set(listing, " ".join(names), quote='"')
        elif held is not None and words:
            rc.remove(listing)
        for name, value in routes.get(family, {}).items():
            rc.set(f"{_ROUTES[family]}{name}", value, quote='"')
    _switches(rc, config)
    after = rc.text()
    return [File(MAIN, after if text is not None or after else None, owned=False)], []


def _static_routes(config: WanConfig) -> dict[int, dict[str, str]]:
    from . import freebsd

    weights = {default_of(freebsd, way): uplink.weight for uplink, way in config.ways()}
    found: dict[int, dict[str, str]] = {4: {}, 6: {}}
    for at, route in enumerate([*boot_defaults(freebsd, config), *host_routes(freebsd, config)], 1):
        weight = weights.get(route, 1)
        more = f" -weight {weight}" if weight != 1 else ""
        found[route.family][f"{_NAME}{at}"] = f"{route.destination} {route.gateway}{more}"
    return found


def _switches(rc: shellvars.Document, config: WanConfig | None) -> None:
    """Let ifstated be started at boot, and no longer once it is not ours.

    ``gateway_enable`` is left alone: forwarding is a kernel setting of ours, which rc.d/routing
    does not take back.
    """
    if config is not None:
        rc.set("ifstated_enable", "YES", quote='"')
    elif rc.get("ifstated_enable") is not None:
        rc.remove("ifstated_enable")


def pf_text(text: str, config: WanConfig | None) -> str | None:
    """Return pf.conf with our rules before the first filter rule: their order is fixed."""
    rules = pf.rules_freebsd(config) if config is not None else ""
    if not rules:
        return blocks.remove_block(text, BLOCK, PF)
    at = None
    if blocks.find_block(text, BLOCK, PF) is None:
        rows = text.split("\n")
        at = next(
            (n for n, row in enumerate(rows) if row.split()[:1] and row.split()[0] in _FILTER), None
        )
    return blocks.replace_block(text, BLOCK, rules, PF, at=at)


def is_running(host: Host) -> bool:
    """Tell whether ifstated runs, service(8)."""
    return host.run(("service", "ifstated", "status")).code == 0


def pausing() -> Command:
    """Return what ends ifstated while routes change under it; it may not run."""
    return Command(("service", "ifstated", "onestop"), ok=(0, 1), timeout=60.0)


def starting() -> Command:
    """Return what starts it, or starts it again."""
    return Command(("service", "ifstated", "restart"), timeout=60.0)
