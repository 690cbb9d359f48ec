"""The words of multi-WAN: uplinks, lines, targets, probes, outcomes, transitions.

A *line* is one family of one uplink: IPv6 can be dead where IPv4 is not, so each has a
verdict and a default route of its own. Everything here is data; who reads the pillar, who
decides, who sends and who sets routes agree on these and on nothing else of each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ICMP, TCP, HTTP, DNS, ARP = "icmp", "tcp", "http", "dns", "arp"
#: Kinds of target.
KINDS = (ICMP, TCP, HTTP, DNS, ARP)
BALANCE, TIER = "balance", "tier"
POLICIES = (BALANCE, TIER)
ANY, ALL, MAJORITY = "any", "all", "majority"
REQUIRE = (ANY, ALL, MAJORITY)
LOCAL, EVENT, REPORT = "local", "event", "report"
#: Who acts on a transition.
REACT = (LOCAL, EVENT, REPORT)
UP, DOWN = "up", "down"
#: The name of an uplink, and the id of a transition: both travel in events, whose reader takes
#: nothing else for one.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,19}")
IDENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


@dataclass(frozen=True)
class Target:
    """Hold what is asked through a line to learn whether the line works.

    :param kind: one of `KINDS`; ``arp`` asks for the gateway's hardware address (ARP, or
        neighbour solicitation), which says nothing of what lies behind it.
    :param host: address to probe, or the name in an http URL or of a DNS server; names are
        looked up through the line itself.
    :param port: TCP or UDP port; 0 for kinds without one.
    :param path: path of an http target, query name of a DNS target.
    :param expect: status that an http target must answer; 0: any below 400.
    :param tls: True for https.
    :param where: pillar path; no part of its identity.
    """

    kind: str
    host: str
    port: int = 0
    path: str = ""
    expect: int = 0
    tls: bool = False
    where: str = field(default="", compare=False)

    def text(self) -> str:
        """Return its name in status, journal and messages."""
        if self.kind == HTTP:
            return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"
        if self.kind == TCP:
            return f"tcp {self.host}:{self.port}"
        if self.kind == DNS:
            return f"dns {self.path} @{self.host}"
        return f"{self.kind} {self.host}"


@dataclass(frozen=True)
class Threshold:
    """Hold a measured limit with hysteresis over a window (seconds).

    :param down: at or above it the line is down (loss: 0-1; latency: seconds).
    :param up: at or below it the line may come back.
    """

    down: float
    up: float
    window: float = 60.0


class Silence(NamedTuple):
    """Say how long a line must have been silent to be taken for dead (seconds).

    :param least: on a line that shows no bursts of loss.
    :param most: on a line that shows them; between the two it follows what was seen.
    """

    least: float
    most: float


@dataclass(frozen=True)
class ProbeConfig:
    """Say how a line is watched; all times in seconds.

    There are two ways. With `confirm` targets are asked in turn, the first late answer is
    followed at once by a burst of questions, and the line is down when it stayed silent for
    as long as `silence` and the loss seen demand. Without, all targets are asked once in each
    round, and `fall` bad rounds in a row take the line down.

    :param interval: between two calm probes of one target.
    :param timeout: after which a probe without answer is a miss; with `adaptive` the most
        it can be, for it then follows the measured round trip and its variance.
    :param silence: how long it must be silent; only with `confirm`.
    :param fall: rounds in a row without enough answers until the line is down; only without
        `confirm`.
    :param rise: rounds in a row with enough answers until it is up again.
    :param hold_down: the least time between a line's going down and its coming back.
    :param adaptive: let the timeout follow the round trip.
    """

    interval: float = 0.5
    timeout: float = 2.0
    fall: int = 2
    rise: int = 3
    hold_down: float = 5.0
    confirm: bool = True
    silence: Silence = field(default_factory=lambda: Silence(0.3, 2.5))
    adaptive: bool = True
    loss: Threshold | None = None
    latency: Threshold | None = None
    profile: str = "default"


class Line(NamedTuple):
    """Name one family of one uplink: what has a verdict, a table and a default route."""

    uplink: str
    family: int

    def text(self) -> str:
        """Return ``wan1`` for IPv4 and ``wan1/6`` for IPv6."""
        return self.uplink if self.family == 4 else f"{self.uplink}/6"


@dataclass(frozen=True)
class Way:
    """Hold one family of an uplink.

    :param gateway: address of the router.
    :param source: address that traffic over this line must have; empty: the interface's
        own at the moment, looked up anew at each use.
    :param targets: of this family, `arp` among them.
    """

    line: Line
    interface: str
    gateway: str
    source: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Uplink:
    """Hold one internet connection.

    :param index: its place in the pillar, from 1; marks and tables are numbered by it.
    :param weight: share of new flows among the lines of one tier that are up, 1-255.
    :param tier: smaller is preferred; a tier is used when no smaller one has a line up.
    :param require: how many of the targets must answer in a round.
    """

    name: str
    index: int
    interface: str
    ways: tuple[Way, ...]
    weight: int = 1
    tier: int = 1
    require: str = ANY
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class Numbers:
    """Hold what we claim of the kernel's number spaces (Linux); a collision is refused.

    :param mark_shift: lowest bit of the uplink's index in packet and connection marks.
    :param mark_bits: bits of it.
    :param table: routing table of the first uplink; the next follow.
    :param priority: of the first policy rule.
    :param protocol: of our routes, rules and nexthops.
    :param nexthop: id of the first nexthop object.

    Ours are: a table for each uplink and one for the default routes behind them; five
    priorities; a group for each family and, behind them, a nexthop object for each line.
    """

    mark_shift: int = 16
    mark_bits: int = 8
    table: int = 18600
    priority: int = 18600
    protocol: int = 186
    nexthop: int = 18600

    @property
    def mask(self) -> int:
        """Return the bits of a mark that are ours."""
        return ((1 << self.mark_bits) - 1) << self.mark_shift

    def mark(self, index: int) -> int:
        """Return an uplink's mark."""
        return index << self.mark_shift

    def table_of(self, index: int) -> int:
        """Return an uplink's routing table."""
        return self.table + index - 1

    @property
    def indexes(self) -> int:
        """Return how many uplinks can be numbered, with 0 for none."""
        return 1 << min(self.mark_bits, 11)

    @property
    def default_table(self) -> int:
        """Return the table of our default routes: behind that of the last possible uplink."""
        return self.table + self.indexes - 1

    def group_of(self, family: int) -> int:
        """Return the nexthop group of a family's default route."""
        return self.nexthop + (family == 6)

    def nexthop_of(self, index: int, family: int) -> int:
        """Return the nexthop object of a line."""
        return self.nexthop + 2 * index + (family == 6)


@dataclass(frozen=True)
class Nat:
    """Say whose traffic leaves with an uplink's address.

    :param networks: IPv4 networks behind this host.
    :param prefixes: uplink → IPv6 prefix that `networks6` are mapped to (NPT); an uplink
        without one gets no IPv6 translation.
    """

    networks: tuple[str, ...] = ()
    networks6: tuple[str, ...] = ()
    prefixes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WanConfig:
    """Hold the block ``ipalias:wan``, checked.

    :param react: who acts on a transition.
    :param react_timeout: seconds after which the monitor acts itself with `react: event`.
    :param failback: ``keep`` lets flows live on where they are when a line returns,
        ``flush`` forgets them.
    :param lan: interfaces towards the inside; none of them can be an uplink's.
    """

    uplinks: tuple[Uplink, ...] = ()
    policy: str = BALANCE
    react: str = LOCAL
    react_timeout: float = 5.0
    failback: str = "keep"
    nat: Nat = field(default_factory=Nat)
    numbers: Numbers = field(default_factory=Numbers)
    lan: tuple[str, ...] = ()
    where: str = field(default="ipalias:wan", compare=False)

    def ways(self) -> tuple[tuple[Uplink, Way], ...]:
        """Return every line with its uplink, in the pillar's order."""
        return tuple((uplink, way) for uplink in self.uplinks for way in uplink.ways)


class Probe(NamedTuple):
    """Hold one question to send.

    :param seq: number of it, unique in the life of the monitor.
    :param timeout: seconds after which it is a miss.
    """

    line: Line
    target: Target
    seq: int
    timeout: float


class Outcome(NamedTuple):
    """Hold what became of a probe.

    :param sent: boot clock, seconds.
    :param rtt: seconds by the kernel's own receive time; None: a miss.
    :param error: what the system said (``ENETUNREACH``), or what was wrong with the answer.
    :param late: True when our own loop ran late meanwhile: a miss then proves nothing.
    """

    line: Line
    target: Target
    seq: int
    sent: float
    rtt: float | None
    error: str = ""
    late: bool = False


class Transition(NamedTuple):
    """Hold one change of a line's verdict, as journal and events carry it.

    :param ident: unique for ever: boot id, counter.
    :param at: wall clock, seconds, for people; `boot_at` for computing.
    :param reason: for people: which targets missed what, carrier, an operator's word.
    :param outage: seconds since the last answer, as far as measured.
    :param bound: worst-case detection time that the settings promise (seconds).
    :param acted: who changed the kernel: ``monitor``, ``reaction``, ``operator``, ``nobody``.
    """

    ident: str
    line: Line
    state: str
    at: float
    boot_at: float
    reason: str
    outage: float
    bound: float
    acted: str = ""


class Wanted(NamedTuple):
    """Hold what the default route of each family shall be: lines with weights, best tier only.

    :param lines: family → lines that carry it, with their weights; never empty for a
        family that had a default route of ours before. A family that is left out has had
        none, and what stands there is left alone.
    :param because: for the log: why these.
    """

    lines: Mapping[int, tuple[tuple[Line, int], ...]]
    because: str = ""


FAIL, RESTORE, DRAIN = "fail", "restore", "drain"
#: What an operator may say of a line.
VERBS = (FAIL, RESTORE, DRAIN)


class Carrier(NamedTuple):
    """Hold what the kernel says of an interface: whether it can carry packets."""

    interface: str
    up: bool


class Command(NamedTuple):
    """Hold an operator's word about an uplink.

    :param verb: ``fail`` takes its lines down, ``drain`` gives them no new flows, ``restore``
        takes either back.
    :param until: boot clock at which it ends by itself; None: at `restore` only.
    :param family: one family of it, or None for all.
    :param by: who said so, for the journal.
    """

    verb: str
    uplink: str
    until: float | None = None
    family: int | None = None
    by: str = ""


class Decision(NamedTuple):
    """Hold what follows from what happened: what to send, to write down and to route.

    :param probes: to send now.
    :param transitions: to write down, in this order; `acted` is left to who acts.
    :param wanted: the default routes from now on; None: as before.
    :param warnings: for the log.
    :param wake: boot clock at which to ask again, if nothing happens before.
    """

    probes: tuple[Probe, ...]
    transitions: tuple[Transition, ...]
    wanted: Wanted | None
    warnings: tuple[str, ...]
    wake: float
