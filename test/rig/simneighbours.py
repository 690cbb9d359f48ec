"""``ping``, ``arp`` and ``ndp`` of a simulated BSD: who else is on the segment, and who is known.

Others are ``host.taken`` (hardware address by address) and the gateways of the default routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimLink
from saltext.ipalias.host import Result

GATEWAY_MAC = "02:00:00:00:00:01"
FOUR = r"{address:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"
SIX = "{address:[0-9a-f:]*:[0-9a-f:]*(?:%[a-z]+[0-9]+)?}"
Slots = dict[str, str]


class Neighbour(NamedTuple):
    """Hold a line of the kernel's table; `own` is an address of this host."""

    address: str
    mac: str
    link: str
    own: bool


class Segment:
    """Hold who answers on a segment, and what the kernel remembers of it.

    :param silence: exit code of a ping that nobody answered.
    """

    def __init__(self, host: SimHost, silence: int) -> None:
        self.host, self.silence = host, silence
        #: Who answers no ping, but ARP.
        self.silent: set[str] = set()
        #: By address: link and hardware address, None while it is asked for.
        self.table: dict[str, tuple[str, str | None]] = {}
        #: False where nobody may open a raw socket (a jail without `allow.raw_sockets`).
        self.raw = True

    def there(self) -> dict[str, str]:
        """Return who can be asked: hardware address by address."""
        gateways = [r.gateway for r in self.host.net.routes if r.destination == "default"]
        others = {str(gateway).partition("%")[0]: GATEWAY_MAC for gateway in gateways if gateway}
        others |= self.host.taken
        return {address: mac for address, mac in others.items() if address not in self.host.gone}

    def way(self, address: str) -> SimLink | None:
        """Return the link whose subnet holds an address; None: it goes to the gateway."""
        parsed = ip_address(address)
        for link in self.host.net.links.values():
            for own in (*link.addresses4, *link.addresses6):
                wide = own.prefix < parsed.max_prefixlen
                if parsed.version == own.network.version and wide and parsed in own.network:
                    return link
        return None

    def ping(self, slots: Slots, stdin: str | None) -> Result:
        address = slots["address"].partition("%")[0]
        if not self.raw:
            raise Refusal("ping: socket: Operation not permitted", 71)
        link = self.way(address)
        if link is not None:
            known = self.table.get(address, ("", None))[1]
            self.table[address] = (link.name, known or self.there().get(address))
        if link is None or address not in self.there() or address in self.silent:
            return Result(self.silence, "1 packets transmitted, 0 packets received\n", "")
        return Result(0, "1 packets transmitted, 1 packets received\n", "")

    def forget(self, slots: Slots, stdin: str | None) -> Result:
        if self.table.pop(slots["address"], None) is None:
            raise Refusal(f"arp: delete: cannot locate {slots['address']}")
        return Result(0, f"{slots['address']} ({slots['address']}) deleted\n", "")

    def _known(self, family: int) -> Iterator[Neighbour]:
        for address, (link, mac) in self.table.items():
            if ip_address(address).version == family:
                yield Neighbour(address, mac or "(incomplete)", link, False)
        for each in self.host.net.links.values():
            for own in each.addresses4 if family == 4 else each.addresses6:
                if not each.loopback:
                    yield Neighbour(own.address, each.mac, each.name, True)

    def show_arp(self, slots: Slots, stdin: str | None) -> Result:
        lines = []
        for address, mac, link, own in self._known(4):
            left = "permanent" if own else "expired" if "(" in mac else "expires in 1196 seconds"
            lines.append(f"? ({address}) at {mac} on {link} {left} [ethernet]")
        return Result(0, "".join(f"{line}\n" for line in lines), "")

    def show_columns(self, slots: Slots, stdin: str | None) -> Result:
        return Result(0, self._columns(4), "")

    def show_ndp(self, slots: Slots, stdin: str | None) -> Result:
        return Result(0, self._columns(6), "")

    def _columns(self, family: int) -> str:
        head = ("Neighbor", "Linklayer Address") if family == 6 else ("Host", "Ethernet Address")
        lines = [f"{head[0]:36} {head[1]:17} {'Netif':>6} Expire    Flags"]
        for address, mac, link, own in self._known(family):
            local = family == 6 and ip_address(address).is_link_local
            shown = f"{address}%{link}" if local else address
            left = "permanent l" if own else "expired" if "(" in mac else "19m56s"
            lines.append(f"{shown:36} {mac:17} {link:>6} {left}")
        return "".join(f"{line}\n" for line in lines)

    def arping(self, slots: Slots, stdin: str | None) -> Result:
        if not self.raw:
            raise Refusal("arping: libnet_init(LIBNET_LINK, eth0): Operation not permitted")
        mac = self.there().get(slots["address"])
        return Result(0, f"{mac}\n", "") if mac else Result(1, "", "")


def programs(host: SimHost, segment: Segment) -> dict[str, Cited]:
    """Return what asks, as the system has it."""
    forms: dict[str, list[Form]] = {}
    forget = Form(f"arp -d {FOUR}", "arp(8), -d; arp.c, delete", segment.forget)
    if host.system == "freebsd":
        cite = "ping(8), -n, -c, -t, exit status 2: no responses; other numbers sysexits.h"
        forms["ping"] = [Form(f"ping -n -c 1 -t 1 {FOUR}", cite, segment.ping)]
        cite = "ping6(8) of 9 to 12, ping(8) of 13 and later by that name: -n, -c"
        forms["ping6"] = [Form(f"ping6 -n -c 1 {SIX}", cite, segment.ping)]
        cite = "arp(8), -a, -n; usr.sbin/arp/arp.c, print_entry"
        forms["arp"] = [Form("arp -an", cite, segment.show_arp), forget]
    else:
        cite = "ping(8), -n, -c, -w: seconds to wait for a reply; ping.c: 0 where one came, else 1"
        forms["ping"] = [Form(f"ping -n -c 1 -w 1 {FOUR}", cite, segment.ping)]
        forms["ping6"] = [Form(f"ping6 -n -c 1 -w 1 {SIX}", cite, segment.ping)]
        cite = "man.openbsd.org/OpenBSD-7.5/arp.8, -a: Host, Ethernet Address, Netif, Expire, Flags"
        forms["arp"] = [Form("arp -an", cite, segment.show_columns), forget]
    forms["ndp"] = [Form("ndp -an", "ndp(8), -a, -n; ndp.c, dump", segment.show_ndp)]
    return {name: Cited(host, name, made, (f"usage: {name}", 64)) for name, made in forms.items()}


def add_arping(host: SimHost) -> None:
    """Install net/arping."""
    line = f"arping -0 -r -c 1 -i {{link:[a-z]+[0-9]+}} {FOUR}"
    cite = "arping(8) of net/arping: -0 from 0.0.0.0, -r shows the address alone, 1: no answer"
    form = Form(line, cite, segment_of(host).arping)
    host.programs["arping"] = Cited(host, "arping", [form], ("usage: arping", 64))


def segment_of(host: SimHost) -> Segment:
    """Return the segment behind a host's programs."""
    program = host.programs["ping"]
    assert isinstance(program, Cited)
    act = getattr(program.forms[0].act, "__self__", None)
    assert isinstance(act, Segment)
    return act
