"""Direct server return on a simulated host: requests, and what is looked at afterwards."""

from __future__ import annotations

import json
from typing import Any

from rig.simengine import engine
from rig.simhost import STATE, SimHost
from saltext.ipalias import dsrtuning
from saltext.ipalias.dsrsteps import Dsr
from saltext.ipalias.tuning import Tuner

VIP, SECOND, VIP6 = "203.0.113.80", "203.0.113.81", "2001:db8::80"


def dsr(host: SimHost, *vips: str, **block: object) -> Dsr:
    """Return a request whose pillar block ``dsr`` has these VIPs."""
    asked = engine(host, {"dsr": {"vips": list(vips), **block}})
    return Dsr(asked, dsrtuning.kept(asked))


def tuner(host: SimHost) -> Tuner:
    """Return the engine of settings on a host, as an operator asks it."""
    return Tuner(host, new_id=engine(host).new_id)


def kept(host: SimHost) -> dict[str, Any]:
    """Return the ledger of settings, by key."""
    text = host.files.read(f"{STATE}/sysctl.json")
    found: dict[str, Any] = json.loads(text)["settings"] if text else {}
    return found


def on(host: SimHost, interface: str) -> set[str]:
    """Return what a link has beside its own addresses."""
    link = host.net.links.get(interface)
    listed = (*link.addresses4, *link.addresses6) if link is not None else ()
    own = ("127.", "::1/", "fe80:", "169.254.")
    return {a.cidr for a in listed if not a.cidr.startswith(own)}


def picture(host: SimHost) -> dict[str, Any]:
    """Return a host's state, without our own and without the order of its addresses."""
    state = host.state()
    state["files"] = {p: n for p, n in state["files"].items() if not STATE.startswith(p)}
    state["files"] = {p: n for p, n in state["files"].items() if not p.startswith(STATE)}
    state["addresses"] = {
        name: sorted(str(a) for a in (*link.addresses4, *link.addresses6))
        for name, link in host.net.links.items()
    }
    state.pop("ledger")
    return state
