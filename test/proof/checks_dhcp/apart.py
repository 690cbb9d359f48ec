"""Two living servers that do not hear each other, or not one of the two ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from proof.checks_dhcp.scene import (
    MODES,
    PAIRS,
    PATIENCE,
    config_of,
    demand_files,
    demand_single,
    lease,
    normal_pair,
    renew,
)
from proof.registry import DHCP, Missed, check, demand
from proof.stage import Stage, shorten
from rig.dhcp_hosts import NORMAL, DhcpHosts, Member
from rig.dhcp_master import Bus, DhcpMaster
from rig.process import wait_until
from saltext.ipalias.dhcp.bounds import HEARTBEAT_TIMEOUT, REACTION
from saltext.ipalias.dhcp.model import HOT_STANDBY, ISC, KEA, DhcpConfig

#: Seconds in which our beacon says that the two are apart.
BEACON = 5.0
#: What it calls that.
KINDS = ("state", "silent", "blocked")
FIRST, NEW = range(1, 101), range(401, 451)


@check(301, "the two do not hear each other: beacon, the servers' own state, nothing given twice",
       over=MODES, alone=True, book=DHCP)  # fmt: skip
def split(stage: Stage) -> str:
    """Clients hear both, the two not each other. Both minions' beacons say so on the master's bus
    within 5 s, the servers themselves within their own delay; never both go on alone. 100 leases
    renewed and 50 new ones: no address twice. Together again: normal, told, both files whole.
    """
    with normal_pair(stage) as scene, DhcpMaster(scene) as master:
        bus = master.listen("salt/beacon/*/ipalias_dhcp/*")
        for member in scene.members:
            told = master.salt(member.name, "state.apply", "ipalias.dhcp")
            bad = [row["comment"] for row in told.values() if row["result"] is not True]
            demand(not bad, f"state.apply: {shorten('; '.join(bad))}")
        first = lease(scene, FIRST)
        demand_files(scene, first)
        # There was no drill ever: each beacon that looks has that to say.
        await_told(scene, bus, 0.0, "alert", ("drill",))
        began = time.monotonic()
        scene.split()
        own = own_state(scene)
        told_after = await_told(scene, bus, began, "alert", KINDS) - began
        renewed = renew(scene, first)
        new = lease(scene, NEW, "new clients")
        held = demand_single(renewed, new)
        states = [member.state() for member in scene.members]
        # In hot-standby the primary goes on alone, which takes nothing from anybody.
        may = {scene.primary.name} if standby(config_of(scene)) else set()
        alone = {each.name for each in scene.members if each.state() == "partner-down"}
        demand(alone <= may, f"the other, which lives, is dead: {states}")
        mended = time.monotonic()
        scene.heal()
        scene.await_normal(90.0)
        seconds = time.monotonic() - mended
        await_told(scene, bus, mended, "clear", KINDS)
        demand_files(scene, renewed, new)
        delay = own_delay(config_of(scene))
    text = (
        f"beacon {told_after:.1f} s, the servers' own state {own:.1f} s (delay {delay:.1f} s), "
        f"{len(held)} leases, none twice; normal again after {seconds:.1f} s"
    )
    if told_after > BEACON or own > delay:
        raise Missed(text)
    return text


def standby(config: DhcpConfig) -> bool:
    """Tell whether one of the two serves nobody as long as the other does."""
    return config.implementation == KEA and config.pair.kea.mode == HOT_STANDBY


def own_delay(config: DhcpConfig) -> float:
    """Return seconds within which a server finds for itself that it is alone."""
    if config.implementation == ISC:
        return config.pair.max_response_delay + REACTION
    kea = config.pair.kea
    return kea.max_response_delay + kea.heartbeat_delay + HEARTBEAT_TIMEOUT + REACTION


def own_state(scene: DhcpHosts) -> float:
    """Wait until both servers say that they are not in order; return seconds."""
    began = time.monotonic()
    for member in scene.members:
        wait_until(
            lambda member=member: member.state() not in NORMAL,  # type: ignore[misc]
            f"{member.name} to find itself alone",
            timeout=PATIENCE,
            step=0.1,
        )
    return time.monotonic() - began


def await_told(
    scene: DhcpHosts, bus: Bus, since: float, what: str, kinds: tuple[str, ...]
) -> float:
    """Wait until both beacons have said something since; return the moment of the later one."""

    def moments(member: Member) -> list[float]:
        tags = [f"salt/beacon/{member.name}/ipalias_dhcp/{kind}/{what}" for kind in kinds]
        return [moment for moment, tag, _ in bus.heard if moment > since and tag in tags]

    def both() -> list[float] | None:
        found = [moments(member) for member in scene.members]
        return [each[0] for each in found] if all(found) else None

    try:
        return max(wait_until(both, "both beacons", timeout=PATIENCE, step=0.05))
    except AssertionError:
        told = [tag.partition("beacon/")[2] for _, tag, _ in bus.heard]
        demand(False, f"not both beacons say {'/'.join(kinds)} {what}; told: {told[-8:]}")
        raise


@check(302, "the peer's port blocked one way: named by `status` and by `check_config`",
       over=PAIRS, book=DHCP)  # fmt: skip
def one_way(stage: Stage) -> str:
    """Blocked from the one to the other, then the other way round: the member that it begins on
    names this way and no other one, with nothing blocked none.
    """
    with normal_pair(stage) as scene:
        for start, end in ((None, None), scene.members, scene.members[::-1]):
            named = ""
            if start and end:
                scene.block_port(start, end)
                named = f"{start.name} to {end.name}"
            asked = start or scene.primary
            for function in ("status", "check_config"):
                told = asked.host.salt_call(f"ipalias_dhcp.{function}")
                demand(isinstance(told, Mapping), shorten(f"{function}: {told}"))
                _demand_named(function, blocked_ways(told), named)
            if start:
                scene.heal()
                scene.await_normal()
    return "each way named, none where none is blocked"


def blocked_ways(told: Any) -> list[str]:
    """Return what an answer says is blocked, wherever in it that stands."""
    if isinstance(told, Mapping):
        if isinstance(told.get("blocked"), list):
            return [str(each) for each in told["blocked"]]
        return [way for each in told.values() for way in blocked_ways(each)]
    return []


def _demand_named(function: str, ways: list[str], named: str) -> None:
    right: Callable[[str], bool] = lambda way: named in way  # noqa: E731
    if named:
        demand(any(map(right, ways)), f"{function} does not name {named}: {ways}")
    demand(all(map(right, ways)) if named else not ways, f"{function} names {ways}, not {named}")
