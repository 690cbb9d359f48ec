"""What the lines of a DHCP pair share: its hosts, its leases, and what both files say of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from proof.registry import Case, demand
from proof.stage import Stage
from rig.dhcp_hosts import DhcpHosts, Member
from rig.process import wait_until
from rig.roots import DATABASES
from saltext.ipalias.dhcp.config import parse_dhcp
from saltext.ipalias.dhcp.model import HOT_STANDBY, DhcpConfig

#: Debian's releases of the primary and of the secondary. Kea's of both are a pair as well.
SUITES: Mapping[str, tuple[str, str]] = {
    "bookworm": ("bookworm", "bookworm"),
    "trixie": ("trixie", "trixie"),
    "mixed": ("bookworm", "trixie"),
}
PAIRS = [
    Case("bookworm", "isc"),
    Case("trixie", "isc"),
    Case("mixed", "isc"),
    Case("bookworm", "kea"),
    Case("trixie", "kea"),
]
#: Word of a case for the mode of Kea's that is not its default here.
STANDBY = "standby"
#: All of them, with both modes of Kea's.
MODES = [*PAIRS, Case("bookworm", f"kea-{STANDBY}"), Case("trixie", f"kea-{STANDBY}")]
#: Words of a case for where Kea has its leases.
STORES = ("mysql", "postgresql")
#: Clients that are there from the beginning, and that come while one server serves alone.
FIRST = range(1, 201)
NEW = range(401, 451)
#: Seconds for what has no bound of its own.
PATIENCE = 60.0

Rows = Mapping[int, Mapping[str, Any]]


def pairs(*setups: str, suites: Sequence[str] = tuple(SUITES)) -> list[Case]:
    """Return the combinations of these implementations, or words for them, and releases."""
    return [Case(suite, setup) for setup in setups for suite in suites]


@contextmanager
def pair(stage: Stage, **keys: Any) -> Iterator[DhcpHosts]:
    """Give the two members of a case, not configured yet."""
    implementation, _, profile = stage.setup.partition("-")
    told = {"profile": profile or "short", **keys}
    if profile.startswith(STANDBY):
        told |= {"profile": "short", "kea": {"mode": HOT_STANDBY}}
    if profile == f"{STANDBY}-guide":
        told["profile"] = "guide"
    more = DATABASES if profile in STORES else ()
    if more:
        told["profile"] = "short"
    with ExitStack() as stack:
        suites = SUITES[stage.case.suite]
        yield DhcpHosts(stack, stage.segment, suites, implementation, stage.source, more, **told)


@contextmanager
def normal_pair(stage: Stage, **keys: Any) -> Iterator[DhcpHosts]:
    """Give the two members of a case, both normal by a run of the formula on each."""
    with pair(stage, **keys) as scene:
        scene.apply_both()
        scene.await_normal()
        yield scene


def config_of(scene: DhcpHosts) -> DhcpConfig:
    """Return the pair as the product reads it; of this checkout, whatever the members run."""
    return parse_dhcp(scene.pillar["ipalias"]["dhcp"])


def lease(scene: DhcpHosts, who: Iterable[int], what: str = "clients", **keys: Any) -> Rows:
    """Have clients get a lease each; demand that all have one."""
    rows: Rows = scene.clients.run("lease", who, PATIENCE, **{"again": 1.0, **keys})
    demand_served(rows, what)
    return rows


def demand_served(rows: Rows, what: str) -> None:
    """Demand that each client of an answer has got what it wanted."""
    without = [number for number, row in rows.items() if row["seconds"] is None]
    demand(not without, f"{len(without)} of {len(rows)} {what} are not served")


def demand_single(*answers: Rows) -> dict[str, str]:
    """Demand that no address is two clients'; return hardware addresses by them."""
    held: dict[str, str] = {}
    for rows in answers:
        for row in rows.values():
            other = held.setdefault(row["address"], row["mac"])
            demand(other == row["mac"], f"{row['address']} is {other}'s and {row['mac']}'s")
    return held


def renew(scene: DhcpHosts, before: Rows) -> Rows:
    """Have clients renew; demand that each one keeps its address."""
    rows: Rows = scene.clients.run("renew", before, PATIENCE, again=1.0, width=100)
    demand_served(rows, "renewals")
    moved = [row for number, row in rows.items() if row["address"] != before[number]["address"]]
    demand(not moved, f"{len(moved)} of {len(rows)} clients lost their address by a renewal")
    return rows


def hashed_to(scene: DhcpHosts, member: Member, count: int, first: int) -> list[int]:
    """Return new clients that a member answers, and the other one does not."""
    # Not all at one moment: what does not fit into a server's buffer is lost, each time the same.
    pace = {"every": 0.01, "width": 5 * count}
    told: Rows = scene.clients.run("ask", range(first, first + 5 * count), 2.5, **pace)
    demand(all(row["offers"] for row in told.values()), "a client's question has no answer")
    both = [number for number, row in told.items() if len(row["offers"]) > 1]
    demand(not both, f"{len(both)} of {len(told)} clients are answered by both servers")
    chosen = [number for number, row in told.items() if row["offers"] == [member.address]]
    demand(len(chosen) >= count, f"{member.name} answers {len(chosen)} of {len(told)} clients")
    return chosen[:count]


def demand_files(scene: DhcpHosts, *answers: Rows, limit: float = 20.0) -> float:
    """Demand that both lease files come to hold exactly these leases; return seconds."""
    held = demand_single(*answers)
    began = time.monotonic()

    def same() -> bool:
        return all(member.leases() == held for member in scene.members)

    try:
        wait_until(same, "both files", timeout=limit, step=0.3)
    except AssertionError:
        for member in scene.members:
            found = member.leases()
            lost = sorted(set(held) - set(found))
            stray = sorted(set(found) - set(held))
            other = sorted(key for key in {*held, *found} if held.get(key) != found.get(key))
            demand(
                not other,
                f"{member.name}'s file: {len(lost)} of {len(held)} leases lost ({lost[:3]}), "
                f"{len(stray)} nobody has ({stray[:3]}), {len(other) - len(lost) - len(stray)} "
                "somebody else's",
            )
    return time.monotonic() - began
