"""The alias files that ipalias writes for the network-scripts, and how it knows them again.

The form is the alias guide's (``DEVICE``, ``ONBOOT``, ``BOOTPROTO``, ``IPADDR``, ``NETMASK``,
``BROADCAST``) and that of sysconfig.txt of initscripts, with what ``ifup-aliases`` needs for
the address to come back at boot as it was asked for:

* ``PREFIX`` beside ``NETMASK``: an alias inherits the parent's ``PREFIX``, and a prefix has
  precedence over the alias's own mask;
* ``ARPCHECK=no``: else an address that another host still answers for is left out, exit 0;
* ``NO_ALIASROUTING=yes``: else the parent's gateway becomes the default route, whatever its
  ``DEFROUTE`` says. ``DEFROUTE`` itself must not stand here: NetworkManager takes an alias's
  for that of the whole profile;
* ``IPV6INIT=no``: else ``ifup-ipv6`` sets the parent's IPv6 switches (``accept_ra``,
  ``autoconf``, ``forwarding``) by what the alias file does not say.
"""

from __future__ import annotations

import re

from ..errors import InputError
from ..model import IPV4, MAX_LABEL, Alias
from ..text import read_number

FOLDER = "/etc/sysconfig/network-scripts"
#: Suffix of an alias (``ifup-aliases``: ``invalid alias number``; NetworkManager likewise).
SUFFIX = re.compile(r"[0-9A-Za-z_]+")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_HEADER = "# Alias of {}, written by ipalias: changes made here are overwritten.\n"
_SLOT = re.compile(r"# slot ([0-9]+|none)\n")
#: A file as `render_alias` writes it: read without a shell's grammar, for there may be
#: thousands.
_OURS = re.compile(
    r"# Alias of (?P<interface>\S+), written by ipalias: changes made here are overwritten\.\n"
    r"(?:# slot (?P<slot>[0-9]+|none)\n)?"
    r'DEVICE="(?P=interface):(?P<suffix>[0-9A-Za-z_]+)"\n'
    r'ONBOOT="yes"\nONPARENT="yes"\nBOOTPROTO="[a-z]+"\n'
    r'IPADDR="(?P<address>[0-9.]+)"\nPREFIX="(?P<prefix>[0-9]{1,2})"\n'
    r'NETMASK="[0-9.]+"\nBROADCAST="[0-9.]+"\n'
    r'ARPCHECK="no"\nNO_ALIASROUTING="yes"\nIPV6INIT="no"\n'
)


def check_interface(interface: str) -> None:
    """Refuse a name that would not stand as one plain word in these files and their names.

    :raises InputError: for anything but letters, digits, ``_``, ``.`` and ``-``.
    """
    if not _INTERFACE.fullmatch(interface):
        raise InputError(
            f"interface name {interface!r} cannot be written to ifcfg files",
            way_out="letters, digits, `_`, `.` and `-` only, at most 15",
        )


def device_of(alias: Alias) -> str | None:
    """Return the name an alias has: ``eth0:failover1``, ``eth0:3``; None for IPv6.

    :raises InputError: for a label that the scripts would pass over, or a name longer than
        the kernel takes.
    """
    if alias.family != IPV4 or (alias.label is None and alias.number is None):
        return None
    suffix = str(alias.number)
    if alias.label is not None:
        suffix = alias.label.removeprefix(f"{alias.interface}:")
        if not SUFFIX.fullmatch(suffix):
            raise InputError(
                f"label {alias.label!r} on {alias.address}: the network-scripts pass over an"
                f" alias file named so",
                where=alias.where,
                way_out=f"write NAME or {alias.interface}:NAME of letters, digits and `_`",
            )
    device = f"{alias.interface}:{suffix}"
    if len(device) > MAX_LABEL:
        what = f"label {alias.label!r}" if alias.label is not None else f"alias {alias.number}"
        raise InputError(
            f"{what} becomes {device!r} in the kernel: {len(device)} characters",
            where=alias.where,
            way_out=f"a live label has at most {MAX_LABEL}"
            + ("" if alias.label is not None else "; give the alias a shorter label"),
        )
    return device


def path_of(device: str) -> str:
    """Return the path of an alias's file."""
    return f"{FOLDER}/ifcfg-{device}"


def is_ours(text: str | None, interface: str) -> bool:
    """Tell by its first line whether a file is one that we wrote."""
    return text is not None and text.startswith(_HEADER.format(interface))


def render_alias(alias: Alias, bootproto: str) -> str:
    """Render the file of an IPv4 alias.

    :param bootproto: ``none``, or ``static`` where the platform writes that.
    """
    return (
        _HEADER.format(alias.interface)
        + _slot_line(alias)
        + f'DEVICE="{device_of(alias)}"\nONBOOT="yes"\nONPARENT="yes"\nBOOTPROTO="{bootproto}"\n'
        f'IPADDR="{alias.address}"\nPREFIX="{alias.prefix}"\n'
        f'NETMASK="{alias.netmask}"\nBROADCAST="{alias.broadcast}"\n'
        'ARPCHECK="no"\nNO_ALIASROUTING="yes"\nIPV6INIT="no"\n'
    )


def _slot_line(alias: Alias) -> str:
    """Return the comment that keeps the number where the name does not show it."""
    if alias.label is None:
        return ""
    return f"# slot {'none' if alias.number is None else alias.number}\n"


def parse_alias(text: str, interface: str) -> Alias | None:
    """Return the alias of a file that is as `render_alias` wrote it; None for any other."""
    match = _OURS.fullmatch(text)
    if match is None or match["interface"] != interface:
        return None
    parts = match["address"], read_number(match["prefix"])
    return alias_of(interface, *parts, match["suffix"], match["slot"])


def alias_of(
    interface: str, address: str, prefix: int, suffix: str, slot: str | None = None
) -> Alias:
    """Return the alias that a file of ours stands for: the inverse of `render_alias`."""
    if slot is None and suffix.isdigit() and str(read_number(suffix)) == suffix:
        return Alias(address, prefix, interface, number=read_number(suffix))
    number = None if slot in (None, "none") else read_number(slot or "")
    return Alias(address, prefix, interface, suffix, number=number)


def slot_of(text: str) -> str | None:
    """Return the slot that a file of ours keeps in a comment."""
    match = _SLOT.search(text)
    return match[1] if match else None
