"""Solaris on a simulated host: logical interfaces, and the programs that show and set them.

The kernel's addresses are those of `rig.simnet`, each with the number of its logical
interface beside it. What a form does, and what it refuses in which words, is read from the
sources it cites; ``illumos`` is illumos-gate, ``solaris11`` its sibling of 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimLink
from saltext.ipalias.host import Result

IFCONFIG = "illumos cmd-inet/usr.sbin/ifconfig/ifconfig.c"
LINK = r"{link:[a-z][a-z0-9_]*[0-9]}"
LOGICAL = r"{link:[a-z][a-z0-9_]*[0-9]:[0-9]+}"
EITHER = r"{link:[a-z][a-z0-9_]*[0-9](?::[0-9]+)?}"
CIDR4 = r"{cidr:[0-9]{1,3}(?:\.[0-9]{1,3}){3}/[0-9]{1,3}}"
CIDR6 = r"{cidr:[0-9a-f:]*:[0-9a-f:]*/[0-9]{1,3}}"
ADDRESS4 = r"{address:[0-9]{1,3}(?:\.[0-9]{1,3}){3}}"
ADDRESS6 = r"{address:[0-9a-f:]*:[0-9a-f:]*}"
FLAGS4 = "flags=1000843<UP,BROADCAST,RUNNING,MULTICAST,IPv4>"
NO_ADDRESS = "Cannot assign requested address"
OK = Result(0, "", "")
Slots = dict[str, str]


class Kernel:
    """Number the addresses of a host as the Solaris kernel does.

    An address that others put there has no number yet: it gets the next free one, the first
    of a link the link's own.
    """

    def __init__(self, host: SimHost) -> None:
        self.host = host
        #: Logical interfaces that are plumbed and not up, with the address they have.
        self.idle: dict[tuple[str, int, int], tuple[str, int, bool]] = {}
        #: ``ip_addrs_per_if``.
        self.limit = 256
        #: Is told when a live address goes.
        self.gone: Callable[[SimAddress], None] = _nothing

    def addresses(self, link: SimLink, family: int) -> list[SimAddress]:
        listed = link.addresses6 if family == 6 else link.addresses4
        for address in listed:
            if not hasattr(address, "number"):
                self._number(link, family, address)
        return listed

    def _number(self, link: SimLink, family: int, address: SimAddress) -> None:
        local = family == 6 and ip_address(address.address).is_link_local
        first = family == 4 or link.loopback
        listed = link.addresses6 if family == 6 else link.addresses4
        own = local or (first and address is listed[0])
        busy = self.busy(link, family)
        free = 0 if own and 0 not in busy else self.free(link, family)
        address.number = free  # type: ignore[attr-defined]

    def busy(self, link: SimLink, family: int) -> set[int]:
        listed = link.addresses6 if family == 6 else link.addresses4
        busy = {a.number for a in listed if hasattr(a, "number")}
        return busy | {n for name, fam, n in self.idle if (name, fam) == (link.name, family)}

    def free(self, link: SimLink, family: int) -> int:
        busy, number = self.busy(link, family), 1
        while number in busy:
            number += 1
        return number

    def refuses(self, link: SimLink, address: str) -> bool:
        """Tell whether an address is up already: it comes up once (ip_if.c).

        A link-local one does so once a link. What `SimHost.refused` names never does.
        """
        everywhere = self.host.net.links.values()
        links = [link] if ip_address(address).is_link_local else everywhere
        there = {a.address for one in links for a in (*one.addresses4, *one.addresses6)}
        return address in there | self.host.refused

    def bring_up(
        self, link: SimLink, family: int, number: int, address: str, prefix: int, hidden: bool
    ) -> SimAddress:
        net = self.host.net
        made = SimAddress(address, prefix, deprecated=hidden)
        if family == 6 and ip_address(address).is_link_local:
            made.scope = "link"
        made.number = number  # type: ignore[attr-defined]
        made.ready = net.now + net.dad if net.dad else 0.0
        made.duplicate = address in net.elsewhere
        (link.addresses6 if family == 6 else link.addresses4).append(made)
        if family == 6:
            link.known6[address] = made
        return made

    def take_down(self, link: SimLink, address: SimAddress) -> None:
        listed = link.addresses6 if ":" in address.address else link.addresses4
        listed.remove(address)
        link.known6.pop(address.address, None)
        self.gone(address)

    def find(self, link: SimLink, family: int, number: int) -> SimAddress | None:
        listed = self.addresses(link, family)
        return next((a for a in listed if a.number == number), None)  # type: ignore[attr-defined]

    def state(self, address: SimAddress) -> str:
        """Return what `ipadm` calls the state of a live address."""
        if self.host.net.now < address.ready:
            return "tentative"
        return "duplicate" if address.duplicate else "ok"


def _nothing(address: SimAddress) -> None:
    return


def split(name: str) -> tuple[str, int]:
    link, _, number = name.partition(":")
    return link, int(number or 0)


class Ifconfig(Cited):
    """``ifconfig`` of illumos; on Solaris 10 an address under detection is not up yet."""

    def __init__(self, host: SimHost, kernel: Kernel, *, shows_tentative: bool) -> None:
        self.kernel, self.shows_tentative = kernel, shows_tentative
        super().__init__(host, "ifconfig", list(self._forms()), ("usage: ifconfig", 1))

    def _forms(self) -> Iterator[Form]:
        yield Form("ifconfig -a", f"{IFCONFIG}, foreachinterface, in_status, in6_status", self.dump)
        for word, cidr, address, family in (
            ("", CIDR4, ADDRESS4, 4),
            (" inet6", CIDR6, ADDRESS6, 6),
        ):
            add = f"{IFCONFIG}, addif and setifflags; ifconfig(8), addif, up"
            act = partial(self._adds, family, False)
            yield Form(f"ifconfig {LINK}{word} addif {cidr} up", add, act)
            hide = f"{add}, deprecated"
            act = partial(self._adds, family, True)
            yield Form(f"ifconfig {LINK}{word} addif {cidr} deprecated up", hide, act)
            gone = f"{IFCONFIG}, removeif; ifconfig(8), removeif"
            line = f"ifconfig {LINK}{word} removeif {address}"
            yield Form(line, gone, partial(self._removes, family))
            plumb = f"{IFCONFIG}, inetunplumb; ifconfig(8), unplumb"
            yield Form(f"ifconfig {LOGICAL}{word} unplumb", plumb, partial(self._unplumbs, family))
        flag = f"{IFCONFIG}, setifflags; ifconfig(8), deprecated"
        for word in ("deprecated", "-deprecated"):
            act = partial(self._flags, 6, word[0] != "-")
            yield Form(f"ifconfig {EITHER} inet6 {word}", flag, act)
        yield from self._boot_forms()

    def _boot_forms(self) -> Iterator[Form]:
        script = "illumos cmd/svc/shell/net_include.sh, inet_process_hostname"
        for word, cidr, family in ((" inet", CIDR4, 4), (" inet6", CIDR6, 6)):
            plumb = "" if family == 4 else word
            act = partial(self._plumbs, family)
            yield Form(f"ifconfig {EITHER}{plumb} plumb", f"{IFCONFIG}, inetplumb", act)
            act = partial(self._sets, family)
            yield Form(f"ifconfig {EITHER}{word} {cidr}", f"{script}, N-1 lines", act)
            act = partial(self._ups, family, False)
            yield Form(f"ifconfig {EITHER}{word} up", f"{script}, last line", act)
            act = partial(self._ups, family, True)
            yield Form(f"ifconfig {EITHER}{word} deprecated up", f"{script}, last line", act)
            act = partial(self._adds, family, False)
            yield Form(f"ifconfig {LINK}{word} addif {cidr} up", f"{script}; addif", act)
        line = f"ifconfig {EITHER} inet {CIDR4} up netmask + broadcast + up"
        yield Form(line, f"{script}, inet_oneline_epilogue", self._one_line)

    # -- showing ----------------------------------------------------------------------

    def dump(self, slots: Slots, stdin: str | None) -> Result:
        shown = []
        for family in (4, 6):
            for link in self.host.net.links.values():
                shown += list(self._show(link, family))
        return Result(0, "\n".join([*shown, ""]), "")

    def _show(self, link: SimLink, family: int) -> Iterator[str]:
        listed = sorted(self.kernel.addresses(link, family), key=lambda a: a.number)  # type: ignore[attr-defined]
        own = [a for a in listed if a.number == 0]  # type: ignore[attr-defined]
        if not own:
            yield f"{self._name(link, 0, family, None)}"
            yield f"\tinet{'6 ::/0' if family == 6 else ' 0.0.0.0 netmask 0'} "
            yield from self._ether(link)
        for address in listed:
            number = address.number  # type: ignore[attr-defined]
            yield self._name(link, number, family, address)
            if family == 6:
                yield f"\tinet6 {address.address}/{address.prefix} "
            else:
                mask = (0xFFFFFFFF << (32 - address.prefix)) & 0xFFFFFFFF
                cast = int(ip_address(address.address)) | (mask ^ 0xFFFFFFFF)
                end = "" if link.loopback else f"broadcast {ip_address(cast)}"
                yield f"\tinet {address.address} netmask {mask:x} {end}"
            if number == 0:
                yield from self._ether(link)

    def _ether(self, link: SimLink) -> Iterator[str]:
        if not link.loopback:
            short = ":".join(f"{int(part, 16):x}" for part in link.mac.split(":"))
            yield f"\tether {short} "

    def _name(self, link: SimLink, number: int, family: int, address: SimAddress | None) -> str:
        state = self.kernel.state(address) if address is not None else "ok"
        bits, words = 0x41, ["RUNNING"]
        up = state == "ok" or (state == "tentative" and self.shows_tentative)
        words[:0] = ["UP"] if up else []
        bits ^= 0 if up else 1
        words[1:1] = ["LOOPBACK"] if link.loopback else ["BROADCAST"] if family == 4 else []
        words += ["MULTICAST", f"IPv{family}"]
        if address is not None and address.deprecated:
            words.append("DEPRECATED")
        if state == "duplicate":
            words.append("DUPLICATE")
        suffix = f":{number}" if number else ""
        name = ",".join(words)
        return f"{link.name}{suffix}: flags={bits:x}<{name}> mtu 1500 index {link.index}"

    # -- setting ----------------------------------------------------------------------

    def _link(self, name: str, said: str) -> SimLink:
        link = self.host.net.links.get(name)
        if link is None:
            raise Refusal(f"ifconfig: {said}: {name}: no such interface")
        return link

    def _parse(self, cidr: str, family: int) -> tuple[str, int]:
        text, _, digits = cidr.partition("/")
        try:
            address = str(ip_address(text))
        except ValueError:
            raise Refusal(f"ifconfig: {text}: bad address") from None
        if int(digits) > (128 if family == 6 else 32):
            raise Refusal(f"ifconfig: Bad prefix length in {cidr}")
        return address, int(digits)

    def _adds(self, family: int, hidden: bool, slots: Slots, stdin: str | None) -> Result:
        address, prefix = self._parse(slots["cidr"], family)
        link = self._link(slots["link"], "addif: SIOCLIFADDIF")
        self.kernel.addresses(link, family)
        number = self.kernel.free(link, family)
        if number >= self.kernel.limit:
            said = "logical interface id is outside allowed range"
            raise Refusal(f"ifconfig: addif: SIOCLIFADDIF: {link.name}: {said}")
        name = f"{link.name}:{number}"
        made = f"Created new logical interface {name}\n"
        if self.kernel.refuses(link, address):
            self.kernel.idle[link.name, family, number] = (address, prefix, hidden)
            said = f"ifconfig: setifflags: SIOCSLIFFLAGS: {name}: {NO_ADDRESS}\n"
            return Result(1, made, said)
        self.kernel.bring_up(link, family, number, address, prefix, hidden)
        return Result(0, made, "")

    def _removes(self, family: int, slots: Slots, stdin: str | None) -> Result:
        link = self._link(slots["link"], "removeif")
        listed = self.kernel.addresses(link, family)
        gone = next((a for a in listed if a.address == slots["address"]), None)
        if gone is None:
            said = f"SIOCLIFREMOVEIF: {link.name}: {NO_ADDRESS}"
            raise Refusal(f"ifconfig: removeif: {said}")
        if gone.number == 0:  # type: ignore[attr-defined]
            raise Refusal(f"ifconfig: removeif: cannot remove interface: {link.name}")
        self.kernel.take_down(link, gone)
        return OK

    def _unplumbs(self, family: int, slots: Slots, stdin: str | None) -> Result:
        name, number = split(slots["link"])
        link = self._link(name, f"cannot unplumb {slots['link']}")
        live = self.kernel.find(link, family, number)
        if self.kernel.idle.pop((name, family, number), None) is None and live is None:
            said = "Interface does not exist"
            raise Refusal(f"ifconfig: cannot unplumb {slots['link']}: {said}")
        if live is not None:
            self.kernel.take_down(link, live)
        return OK

    def _flags(self, family: int, hidden: bool, slots: Slots, stdin: str | None) -> Result:
        name, number = split(slots["link"])
        link = self._link(name, "setifflags: SIOCGLIFFLAGS")
        live = self.kernel.find(link, family, number)
        if live is None:
            said = f"SIOCGLIFFLAGS: {slots['link']}: no such interface"
            raise Refusal(f"ifconfig: setifflags: {said}")
        live.deprecated = hidden
        return OK

    # -- booting ----------------------------------------------------------------------

    def _plumbs(self, family: int, slots: Slots, stdin: str | None) -> Result:
        name, number = split(slots["link"])
        link = self._link(name, "cannot plumb")
        if number and number in self.kernel.busy(link, family):
            said = f"ifconfig: cannot plumb {slots['link']}: Interface already exists\n"
            return Result(0, "", said)
        if number:
            self.kernel.idle[name, family, number] = ("", 0, False)
        return OK

    def _sets(self, family: int, slots: Slots, stdin: str | None) -> Result:
        name, number = split(slots["link"])
        address, prefix = self._parse(slots["cidr"], family)
        link = self._link(name, "SIOCSLIFADDR")
        live = self.kernel.find(link, family, number)
        if live is not None and (live.address, live.prefix) != (address, prefix):
            self.kernel.take_down(link, live)
            live = None
        if live is None:
            self.kernel.idle[name, family, number] = (address, prefix, False)
        return OK

    def _ups(self, family: int, hidden: bool, slots: Slots, stdin: str | None) -> Result:
        name, number = split(slots["link"])
        link = self._link(name, "setifflags: SIOCGLIFFLAGS")
        live = self.kernel.find(link, family, number)
        if live is not None:
            live.deprecated |= hidden
            return OK
        address, prefix, _ = self.kernel.idle.get((name, family, number), ("", 0, False))
        if family == 6 and number == 0 and not address:
            # Its link-local address, from the hardware address.
            address, prefix = "fe80::2", 64
        if not address:
            return OK
        if self.kernel.refuses(link, address):
            said = f"SIOCSLIFFLAGS: {slots['link']}: {NO_ADDRESS}"
            raise Refusal(f"ifconfig: setifflags: {said}")
        self.kernel.idle.pop((name, family, number), None)
        made = self.kernel.bring_up(link, family, number, address, prefix, hidden)
        made.ready = 0.0
        return OK

    def _one_line(self, slots: Slots, stdin: str | None) -> Result:
        self._sets(4, slots, stdin)
        return self._ups(4, False, slots, stdin)
