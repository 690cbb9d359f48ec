"""The words of a DHCP pair: what the pillar says of it, and what is seen of its two sides.

One block describes both servers; `config` reads it, and a renderer (`isc`, `kea`) writes one
member's side of it, which is the other's mirror image. Nothing here reads or changes a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ISC: Final = "isc"
KEA: Final = "kea"
IMPLEMENTATIONS: Final = (ISC, KEA)

PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"
ROLES: Final = (PRIMARY, SECONDARY)

#: Kea's two ways of sharing, see the hook ``libdhcp_ha``.
HOT_STANDBY: Final = "hot-standby"
LOAD_BALANCING: Final = "load-balancing"
KEA_MODES: Final = (LOAD_BALANCING, HOT_STANDBY)

#: What a side can be in, in words that both implementations are told in. ISC's numbers are
#: those of ``omapi``'s failover-state object, Kea's words those of ``ha-heartbeat``.
NORMAL: Final = "normal"
INTERRUPTED: Final = "communications-interrupted"
PARTNER_DOWN: Final = "partner-down"
RECOVERING: Final = "recovering"
WAITING: Final = "waiting"
STOPPED: Final = "stopped"
UNKNOWN: Final = "unknown"
STATES: Final = (NORMAL, INTERRUPTED, PARTNER_DOWN, RECOVERING, WAITING, STOPPED, UNKNOWN)


@dataclass(frozen=True)
class Member:
    """Hold one server of a pair.

    :param name: minion id, or any name where the address tells who it is.
    :param address: IPv4 address that the other one connects to.
    :param port: TCP port it listens on for the other one.
    """

    name: str
    address: str
    port: int
    role: str


MEMFILE: Final = "memfile"
MYSQL: Final = "mysql"
POSTGRESQL: Final = "postgresql"
LEASE_STORES: Final = (MEMFILE, MYSQL, POSTGRESQL)


@dataclass(frozen=True)
class LeaseStore:
    """Hold where Kea keeps its leases; what a file needs not is empty.

    :param name: of the database.
    :param port: 0: the database's own.
    :param replicated: what one member writes is in the other one's database by the database's own
        means: both have one, or two that agree before either answers.
    """

    kind: str = MEMFILE
    name: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    replicated: bool = False

    @property
    def is_database(self) -> bool:
        """Tell whether leases are in a database."""
        return self.kind != MEMFILE

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Return what tells it from another one."""
        return self.kind, self.name, self.host, self.port


@dataclass(frozen=True)
class OmapiKey:
    """Hold the key that dhcpd wants of who asks for its state.

    :param secret: base64.
    """

    name: str
    algorithm: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class KeaSettings:
    """Hold what Kea's hook has and ISC's failover has not; times in seconds.

    :param heartbeat_delay: between two heartbeats.
    :param max_response_delay: without an answer, communication counts as interrupted.
    :param max_ack_delay: a client that has waited longer counts as not served by the peer.
    :param max_unacked_clients: more such clients, and the peer is taken for dead; 0: at once.
    :param control_socket: the daemon's own socket.
    :param leases: where leases are kept.
    """

    mode: str = LOAD_BALANCING
    heartbeat_delay: float = 10.0
    max_response_delay: float = 60.0
    max_ack_delay: float = 10.0
    max_unacked_clients: int = 10
    control_socket: str = "/run/kea/kea4-ctrl-socket"
    leases: LeaseStore = field(default_factory=LeaseStore)


@dataclass(frozen=True)
class Pair:
    """Hold what two members agree on; times in seconds.

    :param members: the primary, then the secondary.
    :param max_response_delay: silence on the connection after which it counts as cut.
    :param max_unacked_updates: updates under way at once.
    :param load_balance_max_seconds: a client that says it has waited longer is answered by
        either server (``secs`` of its message).
    :param mclt: how far a lease may run ahead of what the peer knows, on the primary alone.
    :param split: of 256 hash buckets, those the primary answers.
    """

    name: str
    members: tuple[Member, Member]
    max_response_delay: int = 60
    max_unacked_updates: int = 10
    load_balance_max_seconds: int = 3
    mclt: int = 3600
    split: int = 128
    kea: KeaSettings = field(default_factory=KeaSettings)
    where: str = "ipalias:dhcp:pair"

    @property
    def primary(self) -> Member:
        """Return the primary."""
        return self.members[0]

    def peer_of(self, member: Member) -> Member:
        """Return the other one."""
        return self.members[1] if member == self.members[0] else self.members[0]


@dataclass(frozen=True)
class Range:
    """Hold the first and the last address of a pool."""

    first: str
    last: str


@dataclass(frozen=True)
class Reservation:
    """Hold a client's own address.

    :param mac: hardware address, six pairs of hex digits with colons.
    """

    mac: str
    address: str
    hostname: str = ""


@dataclass(frozen=True)
class Subnet:
    """Hold a subnet; lease times in seconds.

    :param network: with prefix length.
    :param options: name (as ISC calls it, without ``option``) → value as text, in order.
    :param where: pillar path.
    """

    network: str
    ranges: tuple[Range, ...]
    routers: tuple[str, ...] = ()
    domain_name_servers: tuple[str, ...] = ()
    domain_name: str = ""
    default_lease_time: int = 600
    max_lease_time: int = 7200
    options: tuple[tuple[str, str], ...] = ()
    reservations: tuple[Reservation, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Limits:
    """Hold from when on the beacon speaks; times in seconds.

    :param skew: between the two clocks.
    :param silence: of the peer's port.
    :param used: share of a pool's addresses in use.
    :param balance: share by which the free addresses of both sides may differ.
    :param drill: since the last good drill.
    """

    skew: float = 30.0
    silence: float = 5.0
    used: float = 0.9
    balance: float = 0.5
    drill: float = 92 * 86400.0


@dataclass(frozen=True)
class PartnerDown:
    """Hold when a reaction may declare the peer dead, if ever.

    :param after: seconds of proven silence; 0: never, an operator does.
    :param witness: minion id of the second place that must find it dead.
    """

    after: float = 0.0
    witness: str = ""


@dataclass(frozen=True)
class DhcpConfig:
    """Hold the block ``ipalias:dhcp``.

    :param whole: write the server's own main file; else a file of ours that it includes.
    :param firewall: let the peer's port in by an nftables table of our own.
    :param ping_timeout: seconds that ISC's server waits for an answer to its ping before it
        offers an address for the first time; 0: it does not ping.
    """

    implementation: str
    pair: Pair
    interfaces: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    authoritative: bool = True
    ddns_update_style: str = "none"
    whole: bool = False
    firewall: bool = False
    ping_timeout: float = 0.5
    profile: str = "guide"
    limits: Limits = field(default_factory=Limits)
    partner_down: PartnerDown = field(default_factory=PartnerDown)
    where: str = "ipalias:dhcp"


#: States of a lease, as ISC calls them; Kea's numbers are told in the same words.
ACTIVE: Final = "active"
FREE: Final = "free"
BACKUP: Final = "backup"
GONE: Final = "expired"
RELEASED: Final = "released"
ABANDONED: Final = "abandoned"
RESET: Final = "reset"
LEASE_STATES: Final = (ACTIVE, FREE, BACKUP, GONE, RELEASED, ABANDONED, RESET)


@dataclass(frozen=True)
class Lease:
    """Hold a lease as one server's file has it; times in seconds since 1970, UTC.

    :param state: of `LEASE_STATES`.
    :param ends: None: never.
    :param client: client id as hex where the client gave one, else empty.
    :param heard: when the client was heard last.
    :param where: ``file:line``; not part of its identity.
    """

    address: str
    state: str
    mac: str = ""
    client: str = ""
    hostname: str = ""
    starts: float | None = None
    ends: float | None = None
    heard: float | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True)
class PeerStates:
    """Hold what dhcpd has written of a pair; its own words, seconds since 1970.

    :param mine: state of this side, `mine_since` from when on.
    """

    mine: str = ""
    mine_since: float | None = None
    partner: str = ""
    partner_since: float | None = None


@dataclass(frozen=True)
class LeaseFile:
    """Hold what one lease file says.

    :param leases: every entry, in the order of the file: later ones win.
    :param problems: sentences with ``file:line``: what is cut off, or cannot be read.
    :param pairs: by the pair's name, where the file says anything of one.
    """

    path: str
    leases: tuple[Lease, ...] = ()
    problems: tuple[str, ...] = ()
    pairs: Mapping[str, PeerStates] = field(default_factory=dict)

    def last(self) -> dict[str, Lease]:
        """Return the last word on each address."""
        return {lease.address: lease for lease in self.leases}
