"""FreeBSD: variables of rc.conf(5), live by ``ifconfig … alias``.

rc.conf is the only owner there is: ``rc.d/netif`` configures every interface that the kernel has
from its variables, and a DHCP interface has its aliases beside the lease. An alias is
``ifconfig_nfe0_alias0`` as in the alias guide, or a section of ``ifconfig_nfe0_aliases``,
whichever the file already has; a variable bears no mark of ours, so the ledger tells which are.

Formats: rc.conf(5), ``network.subr`` (`freebsd_read`), sysrc(8), whose form of an assignment is
kept: one variable on a line, its value in double quotes.
"""

from __future__ import annotations

import re

from ..errors import OwnerError, UnsupportedError
from ..host import Host
from ..model import Activation, Alias, Change, Command, Evidence, File, Found, Wanted
from .freebsd_edit import edited
from .freebsd_files import RcConf, read_rc, variable
from .freebsd_read import Book, ipv6_missing, never_started, read_book

NAME = "freebsd"
_NO_WORD = (
    "FreeBSD has no word that keeps an IPv4 address from being a source: ifconfig(8) takes"
    " `deprecated` for inet6 alone"
)
UNSUPPORTED = {
    "label": "FreeBSD addresses have no label",
    "source4": _NO_WORD,
    "wide_source4": _NO_WORD,
}
MAX_ADDRESSES: int | None = None
NUMBERED = False
OPTIONS: dict[str, tuple[str, ...]] = {"form": ("numbered", "list")}
SYSTEMS = ("freebsd",)
STORED = False

_VERSION = re.compile(r"([0-9]+)\.([0-9]+)")
#: As of this release a missing number does not end the list of numbered aliases.
_GAPS = (12, 1)
_LEASED = ("DHCP", "SYNCDHCP", "NOSYNCDHCP")


def detect(host: Host, interface: str) -> Evidence:
    """Tell whether the interface is one that rc.conf configures: any that the kernel has."""
    links = host.run(("ifconfig", "-l")).out.split()
    release = host.run(("uname", "-r")).out.strip()
    rc = read_rc(host)
    setting = rc.last(f"ifconfig_{variable(interface)}")
    facts = {"version": release}
    reasons = [f"FreeBSD {release}".rstrip()]
    twins = [link for link in links if link != interface and variable(link) == variable(interface)]
    if twins:
        facts["twin"] = twins[0]
    if setting is not None:
        reasons.append(f"{setting.where} names {interface}")
    else:
        reasons.append(f"no file names {interface}")
    there = interface in links
    if there:
        reasons.append(f"the kernel has {interface}, and nothing but rc.conf configures it")
    return Evidence(
        NAME,
        interface,
        there or setting is not None,
        2 if there else 1 if setting is not None else 0,
        tuple(reasons),
        setting.path if setting is not None else None,
        facts,
    )


def assume(host: Host, interface: str) -> Evidence:
    """Return evidence for an interface whose backend the user named.

    :raises OwnerError: neither the kernel nor a file knows it.
    """
    evidence = detect(host, interface)
    if evidence.owns:
        return evidence
    raise OwnerError(
        f"{NAME}: {'; '.join(evidence.reasons)}; the kernel has no {interface} either",
        where=interface,
        way_out="name an interface that `ifconfig -l` lists",
    )


def _book(host: Host, evidence: Evidence, rc: RcConf | None = None) -> Book:
    found = _VERSION.match(evidence.facts.get("version", ""))
    old = found is not None and (int(found[1]), int(found[2])) < _GAPS
    return read_book(rc or read_rc(host), evidence.interface, old)


def parse(host: Host, evidence: Evidence) -> list[Found]:
    """Return every address that the variables set, as far as the release reads them.

    IPv6 aliases that the platform ignores because nothing switches IPv6 on for the interface
    (`ipv6_missing`) are among them: they can be taken out, and drift shows in the kernel.
    """
    book = _book(host, evidence)
    return [
        Found(alias, entry.setting.path, entry.setting.line, ours=None)
        for entry in book.entries
        for alias in entry.section.aliases
    ]


def render(wanted: Wanted, host: Host) -> list[File]:
    """Edit the files in which the interface's aliases stand; see `freebsd_edit`.

    :raises UnsupportedError: the platform would not read what was written, or a line holds
        more than an alias.
    """
    book = _book(host, wanted.evidence)
    if wanted.aliases:
        _check_read(book, wanted)
    return [File(path, text, owned=False) for path, text in edited(book, wanted).items()]


def _check_read(book: Book, wanted: Wanted) -> None:
    """Refuse aliases that the platform would pass over at boot.

    :raises UnsupportedError: with the way out.
    """
    interface, name = wanted.interface, variable(wanted.interface)
    if twin := wanted.evidence.facts.get("twin"):
        raise UnsupportedError(
            f"{interface} and {twin} share the variable `ifconfig_{name}`: an alias of one"
            " would come up on both",
            where=interface,
            way_out="rename one of them (`ifconfig_IF_name`)",
        )
    if setting := never_started(book):
        raise UnsupportedError(
            f"`network_interfaces` does not name {interface}: nothing configures it at boot",
            where=setting.where,
            way_out=f"add {interface} there, or take the line out",
        )
    six = next((alias for alias in wanted.aliases if alias.family == 6), None)
    missing = ipv6_missing(book) if six is not None else ""
    if six is not None and missing:
        raise UnsupportedError(
            f"{six.cidr} would be ignored at boot: {missing}",
            where=six.where or interface,
            way_out=f'`sysrc ifconfig_{name}_ipv6="inet6 auto_linklocal"` and'
            f" `ifconfig {interface} inet6 -ifdisabled auto_linklocal` switch IPv6 on there",
        )


def validate(change: Change, host: Host) -> list[Command]:
    """Return a check of each file by the shell that reads it at boot, which runs nothing."""
    return [Command(("sh", "-n", file.path)) for file in change.files if file.text is not None]


def activate(change: Change, host: Host) -> Activation:
    """Return nothing: ``ifconfig`` changes the kernel, and nobody keeps the variables in mind."""
    return Activation()


def restart(evidence: Evidence, scope: str, host: Host) -> list[Command]:
    """Return nothing for aliases, ``netif`` for the interface, the guide's last step for all.

    Taking an interface down takes the routes over it along, and ``netif`` brings back only
    those that bear its name (``rc.d/routing``, static_inet): ``routing static`` adds the
    others. It exits 1 where the last of them is there already. ``routing restart`` deletes a
    default route that came with a lease and has nothing to put in its place, so a host with a
    lease gets ``routing static`` here too.
    """
    interface = evidence.interface
    if scope == "alias":
        return []
    if scope == "interface":
        return [
            Command(("service", "netif", "restart", interface), timeout=120.0),
            Command(("service", "routing", "static"), timeout=60.0, ok=(0, 1)),
        ]
    rc = read_rc(host)
    words = rc.value(f"ifconfig_{variable(interface)}").upper().split()
    leased = any(word in _LEASED for word in words)
    routing = Command(("/etc/rc.d/routing", "restart"), timeout=60.0)
    if leased:
        routing = Command(("/etc/rc.d/routing", "static"), timeout=60.0, ok=(0, 1))
    return [Command(("/etc/rc.d/netif", "restart"), timeout=120.0), routing]


def live_label(alias: Alias, evidence: Evidence | None = None) -> str | None:
    """Return None: an address has no label."""
    return None
