"""Several ways out on OpenBSD: multipath default routes, hostname.if, pf, ifstated."""

from __future__ import annotations

from ..bootunit import Program
from .ifstated import Commands
from .model import Uplink, Way


def via(way: Way) -> str:
    """Return a gateway as route(8) takes and shows it, a link-local one with its link."""
    local = way.gateway.startswith("fe80:")
    return f"{way.gateway}%{way.interface}" if local else way.gateway


def _family(way: Way) -> str:
    return "-inet" if way.line.family == 4 else "-inet6"


def _add(uplink: Uplink, way: Way) -> tuple[str, ...]:
    return ("/sbin/route", "-qn", "add", _family(way), "-mpath", "default", via(way))


def _delete(uplink: Uplink, way: Way) -> tuple[str, ...]:
    return ("/sbin/route", "-qn", "delete", _family(way), "-mpath", "default", via(way))


def _ping(address: str, timeout: int, source: str) -> tuple[str, ...]:
    program = "ping6" if ":" in address else "ping"
    chosen = ("-I", source) if source else ()
    return (program, "-q", "-c", "1", "-w", str(timeout), *chosen, address)


def commands(program: Program) -> Commands:
    """Return how this system says what the machine does."""
    return Commands(_add, _delete, _ping, program)
