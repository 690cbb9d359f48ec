"""A site with two ways out: client, second client, router, two gateways, a server beyond them.

client ── lan0 ┐          ┌ wan1 ── gateway1 ┐
               ├ router ──┤                  ├── server
other  ── lan1 ┘          └ wan2 ── gateway2 ┘
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rig import process
from rig.holder import Holder
from rig.machine import Machine
from rig.netns import CHECKOUT, NO_DAD
from rig.process import Running

#: Networks: client's, other client's, the two lines', the internet; IPv4 and IPv6.
LAN, LAN1 = "192.0.2.0/26", "192.0.2.64/26"
LAN6, LAN16 = "2001:db8:1::/64", "2001:db8:2::/64"
SERVER, SERVER6 = "203.0.113.100", "2001:db8:f::100"
CLIENT, OTHER = "192.0.2.10", "192.0.2.74"
GATEWAYS = {"wan1": "198.51.100.1", "wan2": "198.51.100.129"}
GATEWAYS6 = {"wan1": "2001:db8:a::1", "wan2": "2001:db8:b::1"}
SOURCES = {"wan1": "198.51.100.2", "wan2": "198.51.100.130"}
SOURCES6 = {"wan1": "2001:db8:a::2", "wan2": "2001:db8:b::2"}
#: What the inside is mapped to by each line.
PREFIXES = {"wan1": "2001:db8:a1::/64", "wan2": "2001:db8:b1::/64"}
#: The block ``ipalias:wan`` of this site.
PILLAR: dict[str, Any] = {
    "uplinks": {
        name: {
            "interface": name,
            "gateway": GATEWAYS[name],
            "gateway6": GATEWAYS6[name],
            "weight": weight,
            "targets": [SERVER, SERVER6],
        }
        for name, weight in (("wan1", 2), ("wan2", 1))
    },
    "lan": ["lan0", "lan1"],
    "nat": {"networks": [LAN, LAN1, LAN6], "prefixes": PREFIXES},
}

_FORWARD = "echo 1 >/proc/sys/net/ipv4/ip_forward\necho 1 >/proc/sys/net/ipv6/conf/all/forwarding\n"
#: As `Settings` of the product would set them, see `wan/kernelsettings`.
_SHARED = """
echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy
echo 1 >/proc/sys/net/ipv6/fib_multipath_hash_policy
for key in all default; do echo 1 >/proc/sys/net/ipv4/conf/$key/ignore_routes_with_linkdown; done
for key in all default; do echo 1 >/proc/sys/net/ipv6/conf/$key/ignore_routes_with_linkdown; done
"""


class Node(Machine):
    """One host of the site."""

    python = "/usr/bin/python3"

    def __init__(self, name: str, setup: str = "") -> None:
        self.name = name
        self._holder = Holder(name, NO_DAD + setup)
        self.ip("link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        """Return the process that holds the namespaces."""
        return self._holder.pid

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs a program inside."""
        return self._holder.enter(argv)

    def join(self, name: str, peer: Node, peer_name: str) -> None:
        """Make a cable between an interface here and one of another host."""
        process.run(
            self._holder.enter(["ip", "-batch", "-"], pid=False),
            f"link add name {name} type veth peer name {peer_name} netns {peer.pid}\n",
        )

    def close(self) -> None:
        """End the host with every process on it."""
        self._holder.close()


class Site:
    """The hosts, with addresses and routes; the router has no default route."""

    #: Shell commands that give the router files of its own.
    ROUTER_FILES = ""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _node(self, name: str, setup: str = "") -> Node:
        node = Node(name, setup)
        self._nodes.append(node)
        return node

    def _build(self) -> None:
        self.client, self.other = self._node("client"), self._node("other")
        self.router = self._node("router", _FORWARD + _SHARED + self.ROUTER_FILES)
        self.gateways = {name: self._node(name, _FORWARD) for name in GATEWAYS}
        self.server = self._node("server", _FORWARD)
        self.client.join("eth0", self.router, "lan0")
        self.other.join("eth0", self.router, "lan1")
        self.server.ip("link", "add", "net0", "type", "bridge", "mcast_snooping", "0")
        for number, (name, gateway) in enumerate(self.gateways.items(), 1):
            self.router.join(name, gateway, "line0")
            self._beyond(name, f"port{number}")
            self.server.ip("link", "set", f"port{number}", "master", "net0", "up")
            gateway.ip_batch(
                "link set line0 up",
                "link set net0 up",
                f"address add {GATEWAYS[name]}/25 dev line0",
                f"address add {GATEWAYS6[name]}/64 dev line0",
                f"address add 203.0.113.{number}/24 dev net0",
                f"address add 2001:db8:f::{number}/64 dev net0",
                f"route add {PREFIXES[name]} via {SOURCES6[name]}",
            )
        self.server.ip_batch(
            "link set net0 up",
            f"address add {SERVER}/24 dev net0",
            f"address add {SERVER6}/64 dev net0",
            "route add 198.51.100.0/25 via 203.0.113.1",
            "route add 198.51.100.128/25 via 203.0.113.2",
            *(
                f"route add {net} via 2001:db8:f::1"
                for net in ("2001:db8:a::/64", PREFIXES["wan1"])
            ),
            *(
                f"route add {net} via 2001:db8:f::2"
                for net in ("2001:db8:b::/64", PREFIXES["wan2"])
            ),
        )
        self.router.ip_batch(
            *(f"link set {name} up" for name in ("lan0", "lan1", "wan1", "wan2")),
            "address add 192.0.2.1/26 dev lan0",
            "address add 192.0.2.65/26 dev lan1",
            "address add 2001:db8:1::1/64 dev lan0",
            "address add 2001:db8:2::1/64 dev lan1",
            *(f"address add {SOURCES[name]}/25 dev {name}" for name in SOURCES),
            *(f"address add {SOURCES6[name]}/64 dev {name}" for name in SOURCES6),
        )
        for node, address, gateway, address6, gateway6 in (
            (self.client, CLIENT, "192.0.2.1", "2001:db8:1::10", "2001:db8:1::1"),
            (self.other, OTHER, "192.0.2.65", "2001:db8:2::10", "2001:db8:2::1"),
        ):
            node.ip_batch(
                "link set eth0 up",
                f"address add {address}/26 dev eth0",
                f"address add {address6}/64 dev eth0",
                f"route add default via {gateway}",
                f"route add default via {gateway6}",
            )
        for node in self._nodes:
            process.wait_until(lambda node=node: _is_settled(node), f"addresses of {node.name}")

    def _beyond(self, name: str, port: str) -> None:
        """Connect a gateway's ``net0`` with a port of the server."""
        self.gateways[name].join("net0", self.server, port)

    def share(self) -> None:
        """Bring both lines behind one interface of the router, ``wan``, as the guide has it."""
        self.router.ip_batch(
            "link add name wan type bridge forward_delay 0 mcast_snooping 0",
            *(f"address flush dev {name}" for name in SOURCES),
            *(f"link set {name} master wan" for name in SOURCES),
            "link set wan up",
            *(f"address add {address}/25 dev wan" for address in SOURCES.values()),
            *(f"address add {address}/64 dev wan" for address in SOURCES6.values()),
        )
        process.wait_until(lambda: _is_settled(self.router), "addresses of the router")

    # -- faults ---------------------------------------------------------------------------

    def cut(self, name: str) -> None:
        """Lose everything beyond a line's gateway; its carrier and the gateway stay."""
        self.gateways[name].run(["nft", "-f", "-"], _CUT)

    def mend(self, name: str) -> None:
        """Undo `cut`."""
        self.gateways[name].run(["nft", "delete", "table", "inet", "cut"])

    def carrier(self, name: str, *, up: bool) -> None:
        """Take a line's carrier, or give it back."""
        self.gateways[name].ip("link", "set", "line0", "up" if up else "down")

    def close(self) -> None:
        """End all hosts."""
        for node in self._nodes:
            node.close()

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_CUT = """
table inet cut {
    chain forward { type filter hook forward priority 0; policy drop; }
}
"""


def _is_settled(node: Node) -> bool:
    found = node.addresses(None, links=True)
    return not any("tentative" in a.flags for a in found)


class Program:
    """A program of the rig inside a host that answers each line of JSON with one."""

    def __init__(self, node: Node, name: str, *words: str) -> None:
        self._running: Running = node.popen(
            [node.python, "-I", f"{CHECKOUT}/test/rig/{name}", *words],
            stdin=-1,
            stdout=-1,
            stderr=-1,
        )

    def ask(self, **request: Any) -> Any:
        """Send a request and return its answer."""
        assert self._running.stdin and self._running.stdout and self._running.stderr
        self._running.stdin.write(json.dumps(request) + "\n")
        self._running.stdin.flush()
        line = self._running.stdout.readline()
        if not line:
            raise AssertionError(self._running.stderr.read())
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._running.end()


class Router(Program):
    """The product's `Switch` on the router of a site."""

    def __init__(
        self, site: Site, pillar: Mapping[str, Any] = PILLAR, *, objects: bool = True
    ) -> None:
        super().__init__(site.router, "inside_wan.py", str(CHECKOUT / "_utils"))
        self.ask(do="start", pillar=pillar, objects=objects)

    def apply(
        self, lines: Mapping[int, Mapping[str, int]], down: Sequence[tuple[str, int]] = ()
    ) -> dict[str, Any]:
        """Apply: family → uplink → weight, and the lines that are down."""
        wanted = [[family, list(listed.items())] for family, listed in lines.items()]
        answer: dict[str, Any] = self.ask(do="apply", wanted=wanted, down=list(down))
        return answer
