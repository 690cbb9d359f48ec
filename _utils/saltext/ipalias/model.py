"""The one model: an address is parsed here once, into a frozen `Alias`.

No dialect parses an address again; backends receive `Alias` objects and render
text from their attributes.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

IPV4 = 4
IPV6 = 6
MAX_PREFIX = {IPV4: 32, IPV6: 128}
#: Linux IFNAMSIZ less the final NUL: the limit of an interface name and of a live label.
MAX_LABEL = 15

SOURCE_AUTO = "auto"
SOURCE_NEVER = "never"

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CANONICAL4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")


def canonical_address(text: str) -> str | None:
    """Return an address in canonical form, or None where only `ipaddress` can tell.

    Ten thousand addresses take `ipaddress` a fifth of a second, and this a tenth of that.
    """
    if _CANONICAL4.fullmatch(text):
        return text
    try:
        written = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return None
    # The C library writes an embedded IPv4 address with dots, `ipaddress` does not.
    return None if "." in written else written


@dataclass(frozen=True)
class Alias:
    """Hold one extra address of one interface.

    :param address: canonical text form, without a prefix.
    :param prefix: prefix length, 0-32 or 0-128.
    :param interface: real interface name (never ``default``).
    :param label: label the user asked for, as written in the pillar; ``None``: none.
    :param source: ``auto``, or ``never``: the kernel must not choose it as a source.
    :param number: slot among the interface's aliases, for dialects that number them
        (``eth0:0``); kept in the ledger so that it never changes. ``None``: not numbered.
    :param where: pillar path or argument it came from; not part of its identity.
    """

    address: str
    prefix: int
    interface: str
    label: str | None = None
    source: str = SOURCE_AUTO
    number: int | None = None
    where: str = field(default="", compare=False)

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return IPV6 if ":" in self.address else IPV4

    @property
    def cidr(self) -> str:
        """Return ``address/prefix``: the key under which the ledger knows it."""
        return f"{self.address}/{self.prefix}"

    def numbered(self, number: int | None) -> Alias:
        """Return the same alias in another slot; `dataclasses.replace` takes twice as long."""
        if number == self.number:
            return self
        return Alias(
            self.address,
            self.prefix,
            self.interface,
            self.label,
            self.source,
            number,
            self.where,
        )

    @property
    def single(self) -> bool:
        """Tell whether the prefix covers this one address only (/32, /128)."""
        return self.prefix == MAX_PREFIX[self.family]

    @property
    def never_source(self) -> bool:
        """Tell whether the kernel must never choose it as a source address."""
        return self.source == SOURCE_NEVER

    @cached_property
    def network_object(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        """Return the network the prefix spans."""
        return ipaddress.ip_network(self.cidr, strict=False)

    @property
    def netmask(self) -> str:
        """Return the netmask in dotted (IPv4) or full (IPv6) form."""
        if self.family == IPV4 and self.prefix == MAX_PREFIX[IPV4]:
            return "255.255.255.255"
        return str(self.network_object.netmask)

    @property
    def network(self) -> str:
        """Return the network address; a /32's is the address itself."""
        return self.address if self.single else str(self.network_object.network_address)

    @property
    def broadcast(self) -> str | None:
        """Return the IPv4 broadcast address; a /32's is the address itself, as in the guides."""
        if self.family == IPV6:
            return None
        return self.address if self.single else str(self.network_object.broadcast_address)


@dataclass(frozen=True)
class Found:
    """Hold an address that a configuration file of the host sets.

    :param alias: the address as the platform reads it.
    :param path: file it stands in.
    :param line: first line of it, counted from 1; 0 where the form has no line.
    :param ours: True when it stands in a file or marked block wholly ours, False in a
        foreign one, None where the file cannot tell (a NetworkManager keyfile): the
        ledger decides then.
    """

    alias: Alias
    path: str
    line: int = 0
    ours: bool | None = False

    @property
    def where(self) -> str:
        """Return the place for a message: ``file:line``, or what has no lines alone."""
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class Stored:
    """Hold what a store had of one interface before our first change; see `stores`.

    :param aliases: the addresses that lasted, by address.
    :param dhcp: True where the IPv4 address came from a lease.
    :param dns: name servers that a person had set beside a lease.
    """

    aliases: Mapping[str, Alias]
    dhcp: bool = False
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """Say why a backend owns, or does not own, an interface.

    :param backend: dialect name.
    :param interface: real interface name.
    :param owns: True when the dialect owns the interface now.
    :param strength: larger wins when several own it: 4 a control panel sets the aliases of an
        interface, whoever set that up, 3 a running daemon manages the link, 2 a
        configuration that needs no daemon names it, 1 a file names it but its daemon does
        not run.
    :param reasons: sentences for `ipalias.detect`.
    :param file: configuration file that names the interface, where there is one.
    :param facts: what the backend learned on the way (daemon version, section, flavour);
        plain data only.
    """

    backend: str
    interface: str
    owns: bool
    strength: int = 0
    reasons: tuple[str, ...] = ()
    file: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """Hold the whole text a file shall have.

    :param path: absolute path.
    :param text: content; undecodable bytes as surrogates (``surrogateescape``), line ends
        kept. ``None``: the file shall not exist.
    :param mode: permission bits for a file made anew; an existing file keeps its own
        unless `owned`.
    :param owned: True when the file is wholly ours (no backup is needed).
    """

    path: str
    text: str | None
    mode: int = 0o644
    owned: bool = True


@dataclass(frozen=True)
class Command:
    """Hold a command to run, never through a shell.

    :param argv: program and arguments.
    :param stdin: text for its standard input.
    :param timeout: seconds until it counts as hung.
    :param ok: exit codes that count as success.
    :param acts_on: ``address/prefix`` of each change that it makes, in their order, where a
        command changes a store (`Backend.STORED`).
    :param told: what it does, for a person, where the line itself is no reading.
    """

    argv: tuple[str, ...]
    stdin: str | None = None
    timeout: float = 30.0
    ok: tuple[int, ...] = (0,)
    acts_on: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True)
class Wanted:
    """Hold what a backend needs to render one interface's files.

    :param interface: real interface name.
    :param aliases: the whole list that our part of the files shall hold, in order.
    :param former: what the ledger says our part holds now; only these may be taken out of
        a file that cannot mark our lines.
    :param adopt: foreign lines to take out because their aliases move into our part.
    :param evidence: what `detect` found.
    :param options: dialect options of the pillar, already checked.
    :param unsaved: aliases that shall be live and in no file, for a dialect whose system
        cannot have them without more.
    """

    interface: str
    aliases: tuple[Alias, ...]
    evidence: Evidence
    former: tuple[Alias, ...] = ()
    adopt: tuple[Found, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    unsaved: tuple[Alias, ...] = ()


@dataclass(frozen=True)
class Change:
    """Hold what changes on one interface, for a backend's `activate`.

    Where a store lasts (`Backend.STORED`), `added` and `removed` are what it shall hold and no
    longer hold: an alias of another form stands in both.

    :param added: aliases new in the files.
    :param removed: aliases no longer in the files.
    :param files: files that differ from what is on disk.
    :param foreign_live: addresses live on the interface that the owner did not set; while
        there is one, the owner must not be told to reload or reapply.
    :param live: every ``address/prefix`` live on the interface before the change.
    :param options: dialect options of the pillar, already checked.
    :param live_after: of the aliases, the ``address/prefix`` that shall be live afterwards; one
        that is added and not among them is for the store alone.
    :param back: True on the way back from a change that was not finished.
    :param to_dhcp: True where an interface that we made static gets its address by DHCP again.
    """

    interface: str
    evidence: Evidence
    added: tuple[Alias, ...] = ()
    removed: tuple[Alias, ...] = ()
    files: tuple[File, ...] = ()
    foreign_live: tuple[str, ...] = ()
    live: frozenset[str] = frozenset()
    options: Mapping[str, object] = field(default_factory=dict)
    live_after: frozenset[str] = frozenset()
    back: bool = False
    to_dhcp: bool = False


@dataclass(frozen=True)
class Activation:
    """Hold the owner's part of an activation, in the order it runs.

    The transaction runs: `before` → write files → validate → `up` → one ``ip -batch`` for
    whatever is still missing or left over → `tell` → `derive` → verify.

    :param before: commands that need the old files (``ifdown eth0:3``).
    :param up: commands that bring aliases up by the new files (``ifup eth0:3``).
    :param tell: commands that make the owner read its files, run when the kernel is
        already as wanted (``networkctl reload``).
    :param derive: commands by which the owner makes files of its own anew from what there
        is now. `render` returns those files too, so that the way back has them as they were;
        there these commands do not run.
    :param note: sentence for the comment when the owner is left untold, and why.
    """

    before: tuple[Command, ...] = ()
    up: tuple[Command, ...] = ()
    tell: tuple[Command, ...] = ()
    derive: tuple[Command, ...] = ()
    note: str = ""
