"""One member's side of a pair as ISC's dhcpd reads it, dhcpd.conf(5) of 4.4.3-P1.

What both sides have in common is written alike; the rest is crossed: address and port, peer
address and peer port. ``mclt`` and ``split`` stand on the primary alone, for dhcpd.conf(5)
reserves the first to it and has the secondary learn both from it.

Options of a subnet stand in the subnet and not in its pool, so that a client with an address
of its own has them too.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from .model import PRIMARY, DhcpConfig, Member, OmapiKey, Pair, Reservation, Subnet
from .options import isc_value

#: The server's own file, and ours, which it includes. AppArmor lets dhcpd read both.
MAIN = "/etc/dhcp/dhcpd.conf"
INCLUDED = "/etc/dhcp/ipalias.conf"
#: Ours holds the OMAPI key: root's alone. dhcpd reads it before it gives up anything.
MODE = 0o600
#: Shell variables of the init script, see `text.shellvars`.
DEFAULTS = "/etc/default/isc-dhcp-server"
INTERFACES = "INTERFACESv4"
LEASES = "/var/lib/dhcp/dhcpd.leases"
#: Of OMAPI. dhcpd listens on every address: it has no statement for another choice
#: (`omapi_protocol_listen` takes a port alone), so a rule of a firewall keeps it to loopback.
OMAPI_PORT = 7911
HEAD = "# Written from the pillar (ipalias:dhcp). What is changed here by hand is overwritten."


def path_of(config: DhcpConfig) -> str:
    """Return the file that `render_isc` is for."""
    return MAIN if config.whole else INCLUDED


def interfaces_value(config: DhcpConfig) -> str:
    """Return what ``INTERFACESv4`` says."""
    return " ".join(config.interfaces)


def render_isc(config: DhcpConfig, me: Member, omapi_key: OmapiKey | None = None) -> str:
    """Return one member's configuration.

    :param me: whose side it is.
    :param omapi_key: None: without OMAPI.
    """
    lines = [
        HEAD,
        f"# {me.name}, {me.role} of {config.pair.name}; "
        f"{config.pair.peer_of(me).name} has the mirror image.",
        "authoritative;" if config.authoritative else "not authoritative;",
        f"ddns-update-style {config.ddns_update_style};",
        *_ping(config.ping_timeout),
        "",
    ]
    if omapi_key is not None:
        lines += [
            f'key "{omapi_key.name}" {{',
            f"  algorithm {omapi_key.algorithm};",
            f"  secret {omapi_key.secret};",
            "}",
            f"omapi-port {OMAPI_PORT};",
            f'omapi-key "{omapi_key.name}";',
            "",
        ]
    lines += [*_peer(config.pair, me), ""]
    for subnet in config.subnets:
        lines += [*_subnet(subnet, config.pair), ""]
    # Outside of the subnets: dhcpd takes them as global wherever they stand, and says so.
    for subnet in config.subnets:
        for reservation in subnet.reservations:
            lines += [*_host(reservation), ""]
    return "\n".join(lines)


def _ping(timeout: float) -> list[str]:
    """Return how an address is tried before its first offer."""
    if not timeout:
        return ["ping-check false;"]
    return ["ping-check true;", f"ping-timeout-ms {round(timeout * 1000)};"]


def _peer(pair: Pair, me: Member) -> list[str]:
    """Return the declaration of the pair, as a member has it."""
    peer = pair.peer_of(me)
    lines = [
        f'failover peer "{pair.name}" {{',
        f"  {me.role};",
        f"  address {me.address};",
        f"  port {me.port};",
        f"  peer address {peer.address};",
        f"  peer port {peer.port};",
        f"  max-response-delay {pair.max_response_delay};",
        f"  max-unacked-updates {pair.max_unacked_updates};",
        f"  load balance max seconds {pair.load_balance_max_seconds};",
    ]
    if me.role == PRIMARY:
        lines += [f"  mclt {pair.mclt};", f"  split {pair.split};"]
    return [*lines, "}"]


def _subnet(subnet: Subnet, pair: Pair) -> list[str]:
    """Return a subnet with its pool."""
    network = IPv4Network(subnet.network)
    lines = [f"subnet {network.network_address} netmask {network.netmask} {{"]
    if subnet.routers:
        lines.append(f"  option routers {', '.join(subnet.routers)};")
    if subnet.domain_name_servers:
        lines.append(f"  option domain-name-servers {', '.join(subnet.domain_name_servers)};")
    if subnet.domain_name:
        lines.append(f'  option domain-name "{subnet.domain_name}";')
    for name, value in subnet.options:
        lines.append(f"  option {name} {isc_value(name, value)};")
    lines += [
        f"  default-lease-time {subnet.default_lease_time};",
        f"  max-lease-time {subnet.max_lease_time};",
    ]
    if subnet.ranges:
        lines += ["  pool {", f'    failover peer "{pair.name}";']
        lines += [f"    range {pool.first} {pool.last};" for pool in subnet.ranges]
        lines.append("  }")
    return [*lines, "}"]


def host_name_of(reservation: Reservation) -> str:
    """Return what a client's declaration is called: names are one space over all subnets."""
    return f"ipalias-{reservation.mac.replace(':', '')}-{reservation.address}"


def _host(reservation: Reservation) -> list[str]:
    """Return the declaration of a client with an address of its own."""
    lines = [
        f"host {host_name_of(reservation)} {{",
        f"  hardware ethernet {reservation.mac};",
        f"  fixed-address {reservation.address};",
    ]
    if reservation.hostname:
        lines.append(f'  option host-name "{reservation.hostname}";')
    return [*lines, "}"]
