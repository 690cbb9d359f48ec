"""Reading ifcfg files: which addresses they set on an interface, as their reader does.

Two programs read them. The network-scripts source them with bash (``ifup-eth``,
``ifup-aliases`` and ``ifup-ipv6`` of initscripts; sysconfig.txt); NetworkManager's ifcfg-rh
plugin parses them itself (``nms-ifcfg-rh-reader.c``). They differ in what an alias inherits,
in which alias files they take, and in ranges, which only the scripts know.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape

from ..errors import ParseError
from ..host import Host
from ..model import IPV4, IPV6, MAX_PREFIX, Alias, Evidence, Found, canonical_address
from ..text import shellvars
from ..text.blocks import parse_blocks
from .ifcfg_rh_forms import FOLDER, SUFFIX, alias_of, is_ours, parse_alias, slot_of

#: Who reads the files: `Evidence.facts`, key ``reader``.
SCRIPTS, PLUGIN, NOBODY = "network-scripts", "networkmanager", ""
#: Names that neither reader takes (``is_ignored_file``; ``utils_should_ignore_file``).
IGNORED = re.compile(r"(~|\.bak|\.old|\.orig|\.rpmnew|\.rpmorig|\.rpmsave)$")
#: Settings of the whole host; the scripts source it first.
NETWORK = "/etc/sysconfig/network"
SECONDARIES = "IPV6ADDR_SECONDARIES"
_PREFIXES = {str(ipaddress.IPv4Network((0, n)).netmask): n for n in range(33)}
_FALSE = frozenset(("no", "n", "false", "f", "0"))
_TRUE = frozenset(("yes", "y", "true", "t", "1"))
#: Prefix length of an IPv6 address that is written without one.
_DEFAULT6 = 64
_MOST = 256


@dataclass(frozen=True)
class Ifcfg:
    """Hold one parsed file.

    :param document: its assignments.
    :param reader: who reads it.
    """

    document: shellvars.Document
    reader: str

    @property
    def path(self) -> str:
        """Return where it lies."""
        return self.document.path

    def value(self, name: str) -> str:
        """Return the setting that counts; empty where there is none.

        :raises ParseError: where only running the file would tell.
        """
        if hidden := self.document.hidden(name):
            raise ParseError(
                self.path,
                hidden[0],
                f"whether `{name}` is set here only a shell can tell",
                way_out=f"write a plain `{name}=` line",
            )
        said = ""
        for assignment in self.document.all(name):
            if assignment.value is None:
                raise ParseError(
                    self.path,
                    assignment.line,
                    f"the value of `{name}` only a shell can tell",
                    way_out="write it out",
                )
            said = said + assignment.value if assignment.append else assignment.value
        return said

    def line(self, name: str) -> int:
        """Return the line of the assignment that counts; 1 where there is none."""
        assignment = self.document.get(name)
        return assignment.line if assignment else 1

    def fail(self, name: str, what: str, way_out: str) -> ParseError:
        """Return an error for a setting."""
        return ParseError(self.path, self.line(name), what, way_out=way_out)

    def is_false(self, name: str) -> bool:
        """Tell whether a switch is off (``is_false`` of initscripts)."""
        return self.value(name).lower() in _FALSE


def read_ifcfg(host: Host, path: str, reader: str) -> Ifcfg | None:
    """Return a file, or None where there is none.

    :raises ParseError: what bash would refuse, or read otherwise than it looks.
    """
    text = host.read(path)
    if text is None:
        return None
    if reader != PLUGIN and "\r" in text:
        _refuse_returns(text, path)
    return Ifcfg(shellvars.parse(text, path), reader)


def _refuse_returns(text: str, path: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if "\r" in line and line.strip() and not line.lstrip().startswith("#"):
            raise ParseError(
                path,
                number,
                "a carriage return, which bash takes into the value",
                way_out="give the file Unix line ends",
            )


def parents_of(host: Host, interface: str) -> list[str]:
    """Return the files that configure an interface, the one that ``ifup`` takes first.

    By ``DEVICE``, else by ``HWADDR``; a file that bears the interface's name and cannot be
    read counts as its own, so that reading it says why.
    """
    mac = (host.read(f"/sys/class/net/{interface}/address") or "").strip().lower()
    named: list[str] = []
    others: list[str] = []
    for path in host.glob(f"{FOLDER}/ifcfg-*"):
        name = path.rpartition("/ifcfg-")[2]
        if ":" in name or IGNORED.search(name) or re.search(r"-range[^/]*$", name):
            continue
        try:
            ifcfg = read_ifcfg(host, path, PLUGIN)
            device = ifcfg.value("DEVICE") if ifcfg else ""
            wired = ifcfg.value("HWADDR").lower() if ifcfg else ""
        except ParseError:
            device, wired = name, ""
        if device == interface or (not device and mac and wired == mac):
            (named if name == interface else others).append(path)
    return named + others


def alias_paths(host: Host, interface: str) -> list[str]:
    """Return the paths of an interface's alias files, ours and others', in their order."""
    found = host.glob(f"{FOLDER}/ifcfg-{escape(interface)}:*")
    return [path for path in found if not IGNORED.search(path)]


def parse_found(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the files set on the interface; its own come first.

    :raises ParseError: with file and line, for what cannot be read as its reader does.
    """
    interface, reader = evidence.interface, evidence.facts.get("reader", NOBODY)
    parent = read_ifcfg(host, evidence.file, reader) if evidence.file else None
    found: list[Found] = []
    if parent is not None:
        found += _own4(parent, interface)
        found += _own6(parent, interface)
    base = found[0].alias.prefix if found and found[0].alias.family == IPV4 else None
    seen = {item.alias.address for item in found}
    for path in alias_paths(host, interface):
        for item in _in_alias_file(host, path, parent, base, interface, reader):
            # The scripts skip an address that an earlier file has, and so does the plugin.
            if item.alias.address not in seen:
                seen.add(item.alias.address)
                found.append(item)
    if reader != PLUGIN:
        for path in host.glob(f"{FOLDER}/ifcfg-{escape(interface)}-range*"):
            if not IGNORED.search(path):
                found += [f for f in _in_range(host, path, parent, interface, reader, seen)]
    return found


def indexes(ifcfg: Ifcfg) -> list[str]:
    """Return the numbers of the parent's ``IPADDR`` settings; an empty one is plain ``IPADDR``.

    From ``IPADDR2`` on the first that is missing ends the list (``expand_config``).
    """
    found = [""] if ifcfg.value("IPADDR") else []
    for number in range(_MOST):
        if ifcfg.value(f"IPADDR{number}"):
            found.append(str(number))
        elif number >= 2:
            break
    return found


def _own4(parent: Ifcfg, interface: str) -> Iterator[Found]:
    leased = parent.value("BOOTPROTO").lower() in ("dhcp", "bootp")
    if leased and parent.reader != PLUGIN:
        return  # dhclient alone sets addresses then
    for index in indexes(parent):
        key = f"IPADDR{index}"
        address = _ip4(parent, key)
        prefix = _prefix4(parent, index)
        if prefix is None:
            prefix = _class_prefix(address)
        yield Found(Alias(address, prefix, interface), parent.path, parent.line(key), False)


def _own6(ifcfg: Ifcfg, interface: str) -> Iterator[Found]:
    """Yield the IPv6 addresses of a file; whether one of the list is ours the ledger knows."""
    block = {
        number
        for found in parse_blocks(ifcfg.document.text(), ifcfg.path)
        for number in range(found.first + 1, found.last + 2)
    }
    words = ifcfg.value("IPV6ADDR").split()[:1]
    for key, ours in (("IPV6ADDR", False), (SECONDARIES, None)):
        for word in words if key == "IPV6ADDR" else ifcfg.value(SECONDARIES).split():
            cidr = canonical6(word)
            if cidr is None:
                raise ifcfg.fail(
                    key, f"{word!r} in `{key}` is no IPv6 address", "correct it, or take it out"
                )
            address, _, prefix = cidr.partition("/")
            line = ifcfg.line(key)
            mark = True if line in block else ours
            yield Found(Alias(address, int(prefix), interface), ifcfg.path, line, mark)


def canonical6(word: str) -> str | None:
    """Return a word of an IPv6 list as ``address/prefix``; None where it is none."""
    address, slash, digits = word.partition("/")
    if (slash and not re.fullmatch(r"[0-9]{1,3}", digits)) or "%" in address:
        return None
    prefix = int(digits) if slash else _DEFAULT6
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return f"{parsed}/{prefix}" if parsed.version == IPV6 and prefix <= MAX_PREFIX[IPV6] else None


def _ip4(ifcfg: Ifcfg, key: str) -> str:
    text = ifcfg.value(key).strip()
    address = canonical_address(text)
    if address is None or ":" in address:
        raise ifcfg.fail(key, f"`{key}={text}` is no IPv4 address", "correct it")
    return address


def _prefix4(ifcfg: Ifcfg, index: str = "") -> int | None:
    """Return the prefix length that a file itself sets; ``PREFIX`` has precedence."""
    key = f"PREFIX{index}"
    if text := ifcfg.value(key).strip():
        if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > MAX_PREFIX[IPV4]:
            raise ifcfg.fail(key, f"`{key}={text}` is no prefix length", "write 0 to 32")
        return int(text)
    key = f"NETMASK{index}"
    if text := ifcfg.value(key).strip():
        if text not in _PREFIXES:
            raise ifcfg.fail(key, f"`{key}={text}` is no netmask", "write it as 255.255.255.0")
        return _PREFIXES[text]
    return None


def _class_prefix(address: str) -> int:
    """Return the prefix of an address's class: what both readers take without a mask."""
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def _alias_prefix(ifcfg: Ifcfg, parent: Ifcfg | None, base: int | None) -> int | None:
    """Return an alias's prefix length.

    ``ifup-aliases`` begins with the parent's ``PREFIX`` and ``NETMASK``, and a prefix,
    inherited or not, has precedence over the alias's own mask. The plugin takes the
    alias's own mask, else the prefix of the profile's first address.
    """
    if ifcfg.reader == PLUGIN or parent is None:
        own = _prefix4(ifcfg)
        return base if own is None else own
    if ifcfg.value("PREFIX"):
        return _prefix4(ifcfg)
    if parent.value("PREFIX"):
        return _prefix4(parent)
    own = _prefix4(ifcfg)
    return _prefix4(parent) if own is None else own


def _in_alias_file(
    host: Host, path: str, parent: Ifcfg | None, base: int | None, interface: str, reader: str
) -> list[Found]:
    """Return what an alias file sets: nothing where its reader passes it over."""
    text = host.read(path) or ""
    ours = is_ours(text, interface)
    if ours and (alias := parse_alias(text, interface)) is not None:
        return [Found(alias, path, text[: text.index("IPADDR=")].count("\n") + 1, True)]
    ifcfg = read_ifcfg(host, path, reader)
    name = path.rpartition("/ifcfg-")[2]
    device = ifcfg.value("DEVICE") if ifcfg else ""
    if ifcfg is None or (reader == PLUGIN and device != name):
        return []
    device = device or name
    if reader != PLUGIN and ifcfg.value("ONPARENT").upper() == "NO":
        return []
    link, _, suffix = device.partition(":")
    if link != interface or not SUFFIX.fullmatch(suffix):
        return []
    found: list[Found] = []
    if ifcfg.value("IPADDR"):
        address = _ip4(ifcfg, "IPADDR")
        prefix = _alias_prefix(ifcfg, parent, base)
        parts = address, _class_prefix(address) if prefix is None else prefix
        made = alias_of(interface, *parts, suffix, slot_of(text))
        alias = made if ours else Alias(*parts, interface, device)
        found.append(Found(alias, path, ifcfg.line("IPADDR"), ours))
    if reader != PLUGIN and not ifcfg.is_false("IPV6INIT"):
        found += [Found(f.alias, f.path, f.line, ours) for f in _own6(ifcfg, interface)]
    return found


def _in_range(
    host: Host, path: str, parent: Ifcfg | None, interface: str, reader: str, seen: set[str]
) -> Iterator[Found]:
    """Yield the addresses of a range file; one that the scripts refuse sets none."""
    ifcfg = read_ifcfg(host, path, reader)
    if ifcfg is None or ifcfg.value("ONPARENT").upper() == "NO" or not ifcfg.value("IPADDR_START"):
        return
    start, end = _ip4(ifcfg, "IPADDR_START"), _ip4(ifcfg, "IPADDR_END")
    network, _, first = start.rpartition(".")
    if network != end.rpartition(".")[0]:
        return  # "IPADDR_START and IPADDR_END don't agree"
    clone = ifcfg.value("CLONENUM_START")
    if not re.fullmatch(r"[0-9]{1,9}", clone):
        raise ifcfg.fail(
            "CLONENUM_START", f"`CLONENUM_START={clone}` is no number", "write the first number"
        )
    prefix = _alias_prefix(ifcfg, parent, None)
    line = ifcfg.line("IPADDR_START")
    for step, last in enumerate(range(int(first), int(end.rpartition(".")[2]) + 1)):
        address = f"{network}.{last}"
        if address in seen:
            continue
        seen.add(address)
        parts = address, _class_prefix(address) if prefix is None else prefix
        label = f"{interface}:{int(clone) + step}"
        yield Found(Alias(*parts, interface, label), path, line, False)


def ipv6_switch(host: Host, parent: Ifcfg) -> str:
    """Return what keeps IPv6 off for an interface, in words; empty where it is on.

    Without ``IPV6INIT`` in the file that of `NETWORK` counts. Without any, the scripts take
    it for on and the plugin for off.
    """
    ifcfg: Ifcfg | None = parent
    if not parent.value("IPV6INIT"):
        ifcfg = read_ifcfg(host, NETWORK, parent.reader)
    said = ifcfg.value("IPV6INIT") if ifcfg else ""
    if ifcfg is not None and said:
        on = said.lower() in _TRUE if parent.reader == PLUGIN else said.lower() not in _FALSE
        return "" if on else f"{ifcfg.path}:{ifcfg.line('IPV6INIT')} says IPV6INIT={said}"
    if parent.reader == PLUGIN:
        return f"{parent.path} has no IPV6INIT, which NetworkManager takes for no"
    return ""
