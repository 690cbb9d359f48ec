"""A Solaris 11 host: its addresses are persistent objects of ``ipadm``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from rig import simsunhost, simtune
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimAddress, SimLink
from rig.simsun import CIDR4, CIDR6, LINK, OK, Kernel, Slots
from saltext.ipalias.host import Result

OBJECT = r"{object:[a-z][a-z0-9_]*[0-9]/[A-Za-z][A-Za-z0-9]{0,30}}"
SOURCE = "Solaris 11 cmd-inet/usr.sbin/ipadm/ipadm.c"
LIBRARY = "Solaris 11 and illumos libipadm/common/ipadm_addr.c"
#: What the two siblings say: of creating, of deleting, of an absent interface.
WORDS = {
    "solaris11": ("cannot create address", "cannot delete address", "No such interface"),
    "illumos": ("Could not create address", "could not delete address", "Interface does not exist"),
}
RELEASES = {
    "solaris11": "                             Oracle Solaris 11.4 X86\n",
    "illumos": "  OmniOS v11 r151054\n",
}


class Ipadm(Cited):
    """``ipadm``; what it keeps between boots is the host's `stored`."""

    def __init__(self, host: SimHost, kernel: Kernel, flavour: str) -> None:
        self.kernel = kernel
        self.creating, self.deleting, self.absent = WORDS[flavour]
        #: Object of each live address that `ipadm` made.
        kernel.gone = self._gone
        properties = simtune.Properties(host)
        forms = [*self._forms(), *properties.forms()]
        super().__init__(host, "ipadm", forms, ("usage:\tipadm <subcommand>", 1))

    @property
    def objects(self) -> dict[str, list[Any]]:
        """Return the persistent objects: kind, address/prefix, up, deprecated."""
        found: dict[str, list[Any]] = self.host.stored["objects"]
        return found

    def _forms(self) -> Iterator[Form]:
        show = f"{SOURCE}, do_show_addr, print_sa_cb; ipadm(8), show-addr -p -o"
        rows = "ipadm show-addr -p -o addrobj,type,state,persistent,addr"
        yield Form(rows, show, self.show_addresses)
        yield Form("ipadm show-addr -p -o state,addr", show, self.show_states)
        show = f"{SOURCE}, do_show_if, print_si_cb; ipadm(8), show-if -p -o"
        yield Form("ipadm show-if -p -o ifname,state,persistent", show, self.show_interfaces)
        for cidr in (CIDR4, CIDR6):
            local = cidr.replace("{cidr:", "{cidr:local=")
            create = f"{SOURCE}, do_create_addr; {LIBRARY}, ipadm_create_addr"
            line = f"ipadm create-addr -T static -a {local} {OBJECT}"
            yield Form(line, create, partial(self._creates, True))
            line = f"ipadm create-addr -T static -d -a {local} {OBJECT}"
            yield Form(line, f"{create}; -d", partial(self._creates, False))
        delete = f"{SOURCE}, do_delete_addr; {LIBRARY}, ipadm_delete_addr"
        yield Form(f"ipadm delete-addr {OBJECT}", delete, self.delete)
        prop = f"{SOURCE}, set_addrprop; {LIBRARY}, i_ipadm_set_addr_flag"
        line = f"ipadm set-addrprop -p {{prop:deprecated=o(?:n|ff)}} {OBJECT}"
        yield Form(line, prop, self.hide)
        yield Form(f"ipadm up-addr {OBJECT}", f"{SOURCE}, do_up_addr; ipadm_up_addr", self.raise_)
        line = f"ipadm disable-if -t {LINK}"
        yield Form(line, f"{SOURCE}, do_disable_if; net-physical, default_stop", self.disable)
        line = f"ipadm enable-if -t {LINK}"
        yield Form(line, f"{SOURCE}, do_enable_if; net-physical", self.enable)

    # -- showing ----------------------------------------------------------------------

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        seen = set()
        for link in self.host.net.links.values():
            for family in (4, 6):
                for address in self.kernel.addresses(link, family):
                    name = getattr(address, "object", None)
                    kept = self.objects.get(name) if name else None
                    seen.add(name)
                    kind = kept[0] if kept else "static"
                    lasting = _flags(kept) if kept else "---"
                    state = self.kernel.state(address)
                    yield (name or f"{link.name}/?", kind, state, lasting, address.cidr)
        for name, kept in self.objects.items():
            if name not in seen:
                yield (name, kept[0], "disabled", _flags(kept), kept[1])

    def show_addresses(self, slots: Slots, stdin: str | None) -> Result:
        lines = [":".join(each.replace(":", r"\:") for each in row) for row in self._rows()]
        return Result(0, "".join(f"{line}\n" for line in lines), "")

    def show_states(self, slots: Slots, stdin: str | None) -> Result:
        rows = [(row[2], row[4]) for row in self._rows()]
        lines = [":".join(each.replace(":", r"\:") for each in row) for row in rows]
        return Result(0, "".join(f"{line}\n" for line in lines), "")

    def show_interfaces(self, slots: Slots, stdin: str | None) -> Result:
        lines = []
        for name, link in self.host.net.links.items():
            lasting = "46--" if name in self.host.stored["interfaces"] else "----"
            state = "ok" if _active(link) else "disabled"
            if _active(link) or name in self.host.stored["interfaces"]:
                lines.append(f"{name}:{state}:{lasting}\n")
        return Result(0, "".join(lines), "")

    # -- changing ---------------------------------------------------------------------

    def _validated(self, name: str) -> SimLink:
        """Return the link of an object; ``i_ipadm_validate_create_addr``."""
        link = self.host.net.links.get(name.partition("/")[0])
        lasts = link is not None and link.name in self.host.stored["interfaces"]
        if link is None or not (_active(link) or lasts):
            raise Refusal(f"ipadm: {self.creating}: {self.absent}")
        if not _active(link):
            said = "Operation not supported on disabled object"
            raise Refusal(f"ipadm: {self.creating}: {said}")
        if not lasts:
            said = "Persistent operation on temporary object"
            raise Refusal(f"ipadm: {self.creating}: {said}")
        return link

    def _creates(self, up: bool, slots: Slots, stdin: str | None) -> Result:
        cidr = slots["cidr"].removeprefix("local=")
        address, _, digits = cidr.partition("/")
        family = 6 if ":" in address else 4
        if int(digits) > (128 if family == 6 else 32):
            raise Refusal("ipadm: cannot set local address: Invalid argument provided")
        name = slots["object"]
        link = self._validated(name)
        if name in self.objects:
            raise Refusal(f"ipadm: {self.creating}: Address object already exists")
        listed = self.kernel.addresses(link, family)
        local = family == 4 or any(a.number == 0 for a in listed)  # type: ignore[attr-defined]
        if (up and self.kernel.refuses(link, address)) or not local:
            raise Refusal(f"ipadm: {self.creating}: Can't assign requested address")
        self.objects[name] = ["static", cidr, up, False]
        if up:
            self._bring_up(link, name)
        return OK

    def _bring_up(self, link: SimLink, name: str) -> None:
        kind, cidr, up, hidden = self.objects[name]
        address, _, digits = cidr.partition("/")
        family = 6 if ":" in address else 4
        if not up or self.kernel.refuses(link, address):
            return
        listed = self.kernel.addresses(link, family)
        own = kind == "addrconf" or (family == 4 and not listed)
        number = 0 if own else self.kernel.free(link, family)
        made = self.kernel.bring_up(link, family, number, address, int(digits), hidden)
        made.object = name  # type: ignore[attr-defined]

    def _live(self, name: str) -> tuple[SimLink, SimAddress] | None:
        for link in self.host.net.links.values():
            for address in (*link.addresses4, *link.addresses6):
                if getattr(address, "object", None) == name:
                    return link, address
        return None

    def _known(self, name: str, said: str) -> list[Any]:
        if name not in self.objects:
            raise Refusal(f"ipadm: {said}: Object not found")
        return self.objects[name]

    def delete(self, slots: Slots, stdin: str | None) -> Result:
        name = slots["object"]
        self._known(name, self.deleting)
        live = self._live(name)
        del self.objects[name]
        if live is not None:
            self.kernel.take_down(*live)
        return OK

    def hide(self, slots: Slots, stdin: str | None) -> Result:
        kept = self._known(slots["object"], "set-addrprop: deprecated")
        kept[3] = slots["prop"] == "deprecated=on"
        live = self._live(slots["object"])
        if live is not None:
            live[1].deprecated = kept[3]
        return OK

    def raise_(self, slots: Slots, stdin: str | None) -> Result:
        name = slots["object"]
        kept = self._known(name, "cannot mark the address up")
        address = kept[1].partition("/")[0]
        link = self.host.net.links[name.partition("/")[0]]
        live = self._live(name)
        if live is None and self.kernel.refuses(link, address):
            said = "Can't assign requested address"
            raise Refusal(f"ipadm: cannot mark the address up: {said}")
        kept[2] = True
        if live is None:
            self._bring_up(link, name)
        return OK

    def disable(self, slots: Slots, stdin: str | None) -> Result:
        link = self.host.net.links.get(slots["link"])
        if link is None or not _active(link):
            raise Refusal(f"ipadm: cannot disable {slots['link']}: {self.absent}")
        for address in [*link.addresses4, *link.addresses6]:
            self.kernel.take_down(link, address)
        return OK

    def enable(self, slots: Slots, stdin: str | None) -> Result:
        name = slots["link"]
        link = self.host.net.links.get(name)
        if link is None or name not in self.host.stored["interfaces"]:
            raise Refusal(f"ipadm: cannot enable {name}: {self.absent}")
        if _active(link):
            raise Refusal(f"ipadm: cannot enable {name}: Interface already exists")
        for each in list(self.objects):
            if each.startswith(f"{name}/"):
                self._bring_up(link, each)
        for address in (*link.addresses4, *link.addresses6):
            address.ready = 0.0
        return OK

    def bring_loop_up(self) -> None:
        """Bring up what is kept of lo0, which the boot has up before: network/loopback."""
        for name in self.objects:
            if name.startswith("lo0/"):
                self._bring_up(self.host.net.links["lo0"], name)

    def _gone(self, address: SimAddress) -> None:
        """Forget which object a live address had: in the store it is disabled now."""
        if hasattr(address, "object"):
            del address.object


def _active(link: SimLink) -> bool:
    return bool(link.addresses4 or link.addresses6)


def _flags(kept: list[Any]) -> str:
    return f"{'U' if kept[2] else '-'}-{'d' if kept[3] else '-'}"


def host(*, links: Sequence[str] = ("eth0",), flavour: str = "solaris11") -> SimHost:
    """Return a host whose interfaces ``ipadm`` keeps.

    :param flavour: whose words it says: ``solaris11`` or ``illumos``.
    """
    made = simsunhost.sun({"/etc/release": RELEASES[flavour]}, links=links, shows_tentative=True)
    made.owner = "ipadm"
    # network/loopback makes lo0 for the running system alone on illumos.
    kept = ["lo0", *links] if flavour == "solaris11" else list(links)
    made.stored = {"interfaces": kept, "objects": {}}
    made.programs["ipadm"] = Ipadm(made, simsunhost.kernel_of(made), flavour)
    profile = "DefaultFixed" if flavour == "solaris11" else None
    simsunhost.services(made, Again(made), profile=profile)
    for number, name in enumerate(links):
        link = made.net.links[name]
        if number:
            link.addresses6.append(SimAddress(f"fe80::{number + 2}", 64, scope="link"))
        for address in (*link.addresses4, *link.addresses6):
            if address.scope == "link":
                keep(made, name, "v6", address, kind="addrconf")
            else:
                keep(made, name, "v6a" if ":" in address.address else "v4", address)
    return made


def keep(host: SimHost, link: str, name: str, address: SimAddress, *, kind: str = "static") -> None:
    """Put a live address into the store."""
    host.stored["objects"][f"{link}/{name}"] = [kind, address.cidr, True, False]
    address.object = f"{link}/{name}"  # type: ignore[attr-defined]


class Again:
    """What ``svcadm restart`` comes to: stop disables each interface, start enables it."""

    def __init__(self, host: SimHost) -> None:
        self.host = host

    def __call__(self) -> None:
        for name in self.host.stored["interfaces"]:
            self.host.run(["ipadm", "disable-if", "-t", name])
            self.host.run(["ipadm", "enable-if", "-t", name])


def forget(host: SimHost, address: str) -> None:
    """Let somebody take an address out of the store; it stays live."""
    objects = host.stored["objects"]
    for name in [name for name, kept in objects.items() if kept[1].startswith(f"{address}/")]:
        del objects[name]
        for link in host.net.links.values():
            for live in (*link.addresses4, *link.addresses6):
                if getattr(live, "object", None) == name:
                    del live.object  # type: ignore[attr-defined]


def FOREIGN(host: SimHost) -> None:  # noqa: N802 (the name that every platform gives)
    """Let somebody keep 192.0.2.20/24 under a name of his own."""
    link = host.net.links["eth0"]
    live = next((a for a in link.addresses4 if a.address == "192.0.2.20"), None)
    if live is not None:
        keep(host, "eth0", "fo1", live)
    else:
        host.stored["objects"]["eth0/fo1"] = ["static", "192.0.2.20/24", True, False]


def bring_up(host: SimHost) -> None:
    """Do what a boot does: enable what is not enabled yet."""
    simsunhost.loop_anew(host)
    simtune.boot_properties(host)
    ipadm = host.programs["ipadm"]
    assert isinstance(ipadm, Ipadm)
    ipadm.bring_loop_up()
    for name in host.stored["interfaces"]:
        if not _active(host.net.links[name]):
            host.run(["ipadm", "enable-if", "-t", name])
    if "lo0" not in host.stored["interfaces"]:
        # illumos alone reads files: cmd/svc/milestone/net-physical.
        simsunhost.process_files(host)
    simsunhost.boot_routes(host)
