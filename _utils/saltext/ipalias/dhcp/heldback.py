"""What a change leaves alone while a drill has a member's server stopped."""

from __future__ import annotations

from dataclasses import replace

from ..host import Host
from .apply import Plan
from .services import DRILL, drill_end, refuse_drill


def leave_to_drill(planned: Plan, unit: str, host: Host) -> Plan:
    """Return a plan that does not start a server which a drill has stopped.

    A highstate in the middle of a drill would end it, and the drill would tell of a takeover
    that nobody has seen. The timer, or the drill itself, brings the server back.

    Mode and owner of its files are put right all the same, for its start may hang on them.

    :param unit: the server's.
    :raises RefusedError: more than that is to be changed: it could be tried on no server.
    """
    if not planned.touches_host:
        return planned
    end = drill_end(host)
    if end is None:
        return planned
    other = [file for file in planned.files if file.path not in planned.attributes]
    if other or dict(planned.services) != {unit: "started"}:
        refuse_drill(host)
        return planned
    note = (
        f"A drill has stopped {unit}, and it is left so: {DRILL}.timer starts it again {end}, "
        "`ipalias_dhcp.drill_start` at once"
    )
    return replace(planned, states=(), wanted=(), services={}, notes=(*planned.notes, note))
