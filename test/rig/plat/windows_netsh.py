"""`netsh` and `ipconfig` of a simulated Windows, form by form.

Forms: learn.microsoft.com/windows-server/administration/windows-commands/netsh-interface and
what ``netsh interface ipv4 add address`` and its kin print as their usage (quoted in
OpenVPN/openvpn3, openvpn/tun/win/client/tunsetup.hpp). Of its answers only the exit code counts:
the words are in the system's language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from ipaddress import IPv4Address, ip_interface

from rig.plat import windows_settings
from rig.plat import windows_stores as stores
from rig.plat.windows_cited import ACTIVE, PERSISTENT
from rig.simforms import Cited, Form, Refusal
from rig.simhost import SimHost
from rig.simnet import SimRoute
from rig.simowners import Program
from saltext.ipalias.host import Result

_DOC = "netsh-interface"
#: Octets of an address that is no mask; masks are the 255… of a prefix.
_IP4 = r"(?!255\.)(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
_MASK = r"255\.(?:[0-9]{1,3}\.){2}[0-9]{1,3}"
_IP6 = r"[0-9a-f:]*:[0-9a-f:]*"
USAGE = "The syntax supplied for this command is not valid. Check help for the correct syntax."
EXISTS = "The object already exists."
ABSENT = "Element not found."


class Netsh:
    """Do to a host what lines of netsh do; a connection is known from the moment it is there."""

    def __init__(self, host: SimHost) -> None:
        self.host = host

    def forms(self) -> list[Form]:
        names = "|".join(re.escape(name).replace(r"\ ", r"\s") for name in self.host.net.links)
        name, tagged = f"{{name:{names}}}", f"{{name:name=(?:{names})}}"
        ip, mask, six = f"{{ip:{_IP4}}}", f"{{mask:{_MASK}}}", f"{{ip:{_IP6}}}"
        gateway = f"{{gateway:{_IP4}|none}}"
        more = ("", " store=active", " skipassource=true", " store=active skipassource=true")
        v4, v6 = "netsh interface ipv4", "netsh interface ipv6"
        forms = [
            Form(
                f"{v4} set address {tagged} static {ip} {mask} {gateway}",
                "the alias guide; usage of `set address`",
                self.set_static,
            ),
            Form(f"{v4} set address {tagged} dhcp", "usage of `set address`: source", self.dhcp),
            Form(
                f"{v4} set dns {tagged} static {ip}",
                "the alias guide; usage of `set dnsservers`",
                self.set_dns,
            ),
            Form(f"{v4} set dns {tagged} dhcp", "usage of `set dnsservers`: source", self.no_dns),
            Form(
                f"{v4} add dnsservers {name} {ip} {{index:index=[2-9]}}",
                "usage of `add dnsservers`",
                self.add_dns,
            ),
            Form(f"{v4} dump", "netsh interface ipv4 dump", self.dump),
        ]
        switch = "{switch:weakhost(?:receive|send)=(?:enabled|disabled)}"
        for head, family in ((v4, "IPv4"), (v6, "IPv6")):
            forms.append(
                Form(
                    f"{head} set interface {name} {switch}",
                    "the DSR guide, Windows 2008; usage of `set interface`: weakhostsend, "
                    "weakhostreceive, store=persistent by default",
                    partial(self.set_weak_host, family),
                )
            )
        for tail in more:
            words = f"{v4} add address {name} {ip} {mask}{tail}"
            forms.append(Form(words, f"the alias guide; usage of `add address`{tail}", self.add))
            words = f"{v6} add address {name} {{cidr:{_IP6}/[0-9]{{1,3}}}}{tail}"
            forms.append(Form(words, f"usage of ipv6 `add address`{tail}", self.add))
            # The act of a form gets its slots alone: so each tail has a name.
            forms[-2:] = [self._tailed(form, tail) for form in forms[-2:]]
        for tail in ("", " store=active"):
            for family, address in ((v4, ip), (v6, six)):
                words = f"{family} delete address {name} {address}{tail}"
                made = Form(words, f"usage of `delete address`{tail}", self.delete)
                forms.append(self._tailed(made, tail))
        return forms

    def _tailed(self, form: Form, tail: str) -> Form:
        """Return a form whose last literal words are slots, so that its act sees them."""
        words = form.words.removesuffix(tail)
        for number, word in enumerate(tail.split()):
            words += f" {{tail{number}:{word}}}"
        return Form(words, form.cite, form.act)

    # -- acts -------------------------------------------------------------------------

    def set_static(self, slots: dict[str, str], stdin: str | None) -> Result:
        """Make an interface static: every other IPv4 address of it goes."""
        name, stored = slots["name"].removeprefix("name="), self.host.stored
        prefix = int(IPv4Address(slots["mask"])).bit_count()
        self._forget(name)
        stored["dhcp"][name] = False
        stored["addresses"].setdefault(name, {})[slots["ip"]] = (prefix, False)
        stores.make_active(self.host, name, slots["ip"], prefix, False)
        if slots["gateway"] != "none":
            stored["gateways"].setdefault(name, []).insert(0, slots["gateway"])
            self.host.net.add_route(SimRoute(4, "default", name, slots["gateway"]))
        return Result(0, "\n", "")

    def dhcp(self, slots: dict[str, str], stdin: str | None) -> Result:
        name, stored = slots["name"].removeprefix("name="), self.host.stored
        if stored["dhcp"].get(name):
            raise Refusal("DHCP is already enabled on this interface.")
        self._forget(name)
        stored["dhcp"][name] = True
        return Result(0, "\n", "")

    def _forget(self, name: str) -> None:
        """Lose every IPv4 address and gateway of an interface, in both stores."""
        stored, link = self.host.stored, self.host.net.links[name]
        rows = stored["addresses"].get(name, {})
        stored["addresses"][name] = {a: form for a, form in rows.items() if ":" in a}
        stored["gateways"][name] = [g for g in stored["gateways"].get(name, []) if ":" in g]
        stores.drop_lease(self.host, name)
        link.addresses4 = []

    def set_weak_host(self, family: str, slots: dict[str, str], stdin: str | None) -> Result:
        """Set one switch of the weak host model, in both stores."""
        word, _, value = slots["switch"].partition("=")
        for store in (ACTIVE, PERSISTENT):
            row = windows_settings.settings(self.host, slots["name"], store)[family]
            row[word] = value.capitalize()
        return Result(0, "Ok.\n", "")

    def set_dns(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.host.stored["dns"][slots["name"].removeprefix("name=")] = [slots["ip"]]
        return Result(0, "\n", "")

    def no_dns(self, slots: dict[str, str], stdin: str | None) -> Result:
        self.host.stored["dns"].pop(slots["name"].removeprefix("name="), None)
        return Result(0, "\n", "")

    def add_dns(self, slots: dict[str, str], stdin: str | None) -> Result:
        listed = self.host.stored["dns"].setdefault(slots["name"], [])
        if slots["ip"] in listed:
            raise Refusal(EXISTS)
        listed.insert(int(slots["index"].removeprefix("index=")) - 1, slots["ip"])
        return Result(0, "\n", "")

    def add(self, slots: dict[str, str], stdin: str | None) -> Result:
        address, prefix = slots.get("ip", ""), 0
        if "cidr" in slots:
            try:
                told = ip_interface(slots["cidr"])
            except ValueError:
                raise Refusal("The parameter is incorrect.") from None
            address, prefix = str(told.ip), told.network.prefixlen
        else:
            prefix = int(IPv4Address(slots["mask"])).bit_count()
        name, rows = slots["name"], self.host.stored["addresses"].setdefault(slots["name"], {})
        tail = set(slots.values())
        active = "store=active" in tail
        if stores.find(self.host, name, address) or (address in rows and not active):
            raise Refusal(EXISTS)
        skip = "skipassource=true" in tail
        if not active:
            rows[address] = (prefix, skip)
        stores.make_active(self.host, name, address, prefix, skip)
        return Result(0, "\n", "")

    def delete(self, slots: dict[str, str], stdin: str | None) -> Result:
        name, address = slots["name"], slots["ip"]
        rows = self.host.stored["addresses"].get(name, {})
        live = stores.find(self.host, name, address) is not None
        active = "store=active" in slots.values()
        if not live and (active or address not in rows):
            raise Refusal(ABSENT)
        if not active:
            rows.pop(address, None)
        if live:
            stores.drop_active(self.host, name, address)
        return Result(0, "\n", "")

    def dump(self, slots: dict[str, str], stdin: str | None) -> Result:
        lines = ["pushd interface ipv4", "", "reset"]
        for name, rows in self.host.stored["addresses"].items():
            for address, (prefix, _) in rows.items():
                lines.append(f'add address name="{name}" address={address}/{prefix}')
        return Result(0, "\r\n".join([*lines, "", "popd", ""]), "")


class NetshProgram(Cited):
    """`netsh`, whose forms have the names that the connections have now."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        self.forms = tuple(Netsh(self.host).forms())
        return super().__call__(argv, stdin)


def netsh_of(host: SimHost) -> Cited:
    """Return netsh for a host."""
    return NetshProgram(host, "netsh", Netsh(host).forms(), (USAGE, 1))


class Ipconfig(Program):
    """`ipconfig /renew NAME`, ipconfig of windows-commands: asks for a lease and waits."""

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        match list(argv):
            case ["ipconfig", "/renew", name] if name in self.host.net.links:
                if self.host.stored["dhcp"].get(name):
                    stores.take_lease(self.host, name)
                    return Result(0, "\n", "")
        return Result(1, "The operation failed as no adapter is in the state permissible\n", "")
