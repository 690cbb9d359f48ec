"""A load balancer in direct server return mode, and a client behind a router.

    client ── router, bridge ─┬─ balancer   has the VIPs, rewrites the destination MAC
                              ├─ real server
                              └─ real server   answers the client without the balancer

The balancer is a kernel that answers ARP and neighbour solicitations for the VIPs, and an
nftables rule at its ingress that sends what comes for them on: by the source port to one of
the real servers, with a new pair of MACs and nothing else changed. The bridge counts by MAC.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import ip_address
from types import TracebackType
from typing import NamedTuple

from rig.machine import Machine
from rig.netns import NetHost, Segment

#: The client's own network, behind the router.
CLIENT4, CLIENT6 = "198.51.100.2", "2001:db8:51::2"
#: Where the servers listen, TCP and UDP.
PORT = 8080


class Vip(NamedTuple):
    """Hold a virtual IP of each family."""

    v4: str
    v6: str


FIRST = Vip("203.0.113.80", "2001:db8::80")
SECOND = Vip("203.0.113.81", "2001:db8::81")


def mac_of(number: int) -> str:
    """Return the hardware address that `Segment.plug` gives a host of this number."""
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


class Counts(NamedTuple):
    """Hold how many frames the bridge has seen since the counters were made.

    :param to_balancer: from the router, for a VIP, to the balancer.
    :param past_balancer: from the router, for a VIP, to anyone else: then a neighbour entry of
        the router's is wrong.
    :param on: from the balancer, for a VIP, to a real server.
    :param direct: with a VIP as source, by the MAC of the real server that sent it.
    :param through_balancer: with a VIP as source, from the balancer or to it.
    :param claims: ARP with a VIP as the sender's address, or neighbour advertisements of one,
        from anyone but the balancer; neither has to be an answer.
    """

    to_balancer: int
    past_balancer: int
    on: int
    direct: dict[str, int]
    through_balancer: int
    claims: int


class DsrNetwork:
    """The balancer and the client on a segment that real servers are on.

    :param servers: host numbers of the real servers; `Segment.plug` makes their MACs of them.
    :param vips: what the balancer has.
    """

    def __init__(
        self, segment: Segment, servers: Sequence[int], vips: Sequence[Vip] = (FIRST, SECOND)
    ) -> None:
        self.segment = segment
        self.servers = [mac_of(number) for number in servers]
        self.vips = list(vips)
        self._made: list[NetHost] = []
        try:
            self.balancer = self._host(NetHost(segment))
            self.client = self._host(NetHost(segment, configure=False))
            self._route()
            self._balance()
            self._count()
        except BaseException:
            self.close()
            raise

    def _host(self, made: NetHost) -> NetHost:
        self._made.append(made)
        return made

    def _route(self) -> None:
        """Take the client from the bridge and make a router of what stands there."""
        router, port = self.segment, self.client.port
        write_sysctl(router, "net/ipv4/ip_forward", 1)
        write_sysctl(router, "net/ipv6/conf/all/forwarding", 1)
        router.ip_batch(
            "route del 198.51.100.0/24 dev br0",
            f"link set {port} nomaster",
            f"address add 198.51.100.1/24 dev {port}",
            f"address add 2001:db8:51::1/64 dev {port} nodad",
        )
        self.client.ip_batch(
            "link set eth0 up",
            f"address add {CLIENT4}/24 dev eth0",
            f"address add {CLIENT6}/64 dev eth0 nodad",
            "route add default via 198.51.100.1 dev eth0",
            "route add default via 2001:db8:51::1 dev eth0",
        )

    @property
    def _sets(self) -> tuple[str, str]:
        v4 = ", ".join(vip.v4 for vip in self.vips)
        v6 = ", ".join(vip.v6 for vip in self.vips)
        return v4, v6

    def _balance(self) -> None:
        for vip in self.vips:
            self.balancer.ip("address", "add", f"{vip.v4}/32", "dev", "eth0")
            self.balancer.ip("address", "add", f"{vip.v6}/128", "dev", "eth0", "nodad")
        turns = ", ".join(f"{turn} : {mac}" for turn, mac in enumerate(self.servers))
        v4, v6 = self._sets
        rules = "".join(
            f"{family} daddr {{ {addresses} }} meta l4proto {{ tcp, udp }} ether daddr set "
            f"jhash {family} saddr . th sport mod {len(self.servers)} map {{ {turns} }} "
            f"ether saddr set {mac_of(self.balancer.number)} fwd to eth0\n"
            for family, addresses in (("ip", v4), ("ip6", v6))
        )
        nft(
            self.balancer,
            "table netdev balance { chain ingress {\n"
            f"type filter hook ingress device eth0 priority 0\n{rules}}}\n}}\n",
        )

    def _count(self) -> None:
        balancer = mac_of(self.balancer.number)
        v4, v6 = self._sets
        lines = []
        for family, addresses in (("ip", v4), ("ip6", v6)):
            to, source = f"{family} daddr {{ {addresses} }}", f"{family} saddr {{ {addresses} }}"
            flow = f"meta l4proto {{ tcp, udp }} {to}"
            for turn, mac in enumerate(self.servers):
                lines += [
                    f"pre ether saddr {balancer} ether daddr {mac} {flow} counter name on",
                    f"pre ether saddr {mac} {source} meta l4proto {{ tcp, udp }} "
                    f"counter name direct{turn}",
                ]
            lines += [
                f"out ether daddr {balancer} {flow} counter name to_balancer",
                f"out ether daddr != {balancer} {flow} counter name past_balancer",
                f"pre ether saddr {balancer} {source} meta l4proto {{ tcp, udp }} "
                "counter name through_balancer",
                f"pre ether daddr {balancer} {source} meta l4proto {{ tcp, udp }} "
                "counter name through_balancer",
            ]
        # RFC 826: the sender's address; RFC 4861, 4.4: the target, behind type, code, sum, flags.
        lines.append(
            f"pre ether saddr != {balancer} arp saddr ip {{ {v4} }} counter name claims",
        )
        for vip in self.vips:
            target = int(ip_address(vip.v6))
            lines.append(
                f"pre ether saddr != {balancer} icmpv6 type nd-neighbor-advert "
                f"@th,64,128 {target:#034x} counter name claims"
            )
        names = ["on", "to_balancer", "past_balancer", "through_balancer", "claims"]
        names += [f"direct{turn}" for turn in range(len(self.servers))]
        text = "table bridge seen {\n" + "".join(f"counter {name} {{ }}\n" for name in names)
        for chain, hook in (("pre", "prerouting"), ("out", "output")):
            rules = [line.removeprefix(f"{chain} ") for line in lines if line.startswith(chain)]
            text += f"chain {chain} {{\ntype filter hook {hook} priority 0\n"
            text += "\n".join(rules) + "\n}\n"
        nft(self.segment, text + "}\n")

    def counts(self) -> Counts:
        """Return what the bridge has counted so far."""
        done = self.segment.run(["nft", "-j", "list", "counters", "table", "bridge", "seen"])
        found = {
            row["counter"]["name"]: int(row["counter"]["packets"])
            for row in json.loads(done.out)["nftables"]
            if "counter" in row
        }
        direct = {mac: found[f"direct{turn}"] for turn, mac in enumerate(self.servers)}
        names = [name for name in Counts._fields if name != "direct"]
        return Counts(**{name: found[name] for name in names}, direct=direct)

    def close(self) -> None:
        """End balancer and client."""
        for host in self._made:
            host.close()

    def __enter__(self) -> DsrNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def nft(machine: Machine, rules: str) -> None:
    """Load nftables rules on a machine."""
    machine.run(["nft", "-f", "-"], rules)


def write_sysctl(machine: Machine, key: str, value: int) -> None:
    """Set a kernel parameter, its key with slashes."""
    machine.run(["sh", "-c", 'echo "$2" >"/proc/sys/$1"', "sh", key, str(value)])


def read_sysctl(machine: Machine, key: str) -> str:
    """Return a kernel parameter as the kernel holds it, its key with slashes."""
    return machine.run(["cat", f"/proc/sys/{key}"]).out.strip()


def silence(machine: Machine) -> None:
    """Set what keeps a real server silent, by hand: for what shows the rig alone."""
    write_sysctl(machine, "net/ipv4/conf/all/arp_ignore", 1)
    write_sysctl(machine, "net/ipv4/conf/all/arp_announce", 2)


def put_vip(machine: Machine, vip: Vip, interface: str = "lo") -> None:
    """Add a VIP by hand: for what shows the rig alone."""
    machine.ip("address", "add", f"{vip.v4}/32", "dev", interface)
    machine.ip("address", "add", f"{vip.v6}/128", "dev", interface, "nodad")
