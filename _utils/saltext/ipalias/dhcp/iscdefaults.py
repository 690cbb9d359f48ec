"""The shell variables of dhcpd's init script, ``/etc/default/isc-dhcp-server``.

The script sources the file, so a value counts that a shell would see: the last assignment
outside of functions and conditions. Everything else stays as it is, byte for byte.
"""

from __future__ import annotations

from ..errors import ParseError
from ..text import shellvars
from .isc import INTERFACES, MAIN

_CONF = "DHCPDv4_CONF"


def set_interfaces(text: str, path: str, value: str) -> str:
    """Return the file with ``INTERFACESv4`` set.

    :param value: names with blanks between them.
    :raises ParseError: the file cannot be read as a shell reads it, or sets the variable where
        it cannot be told whether it counts.
    """
    document = _document(text, path, INTERFACES)
    document.set(INTERFACES, value, quote='"')
    return document.text()


def read_interfaces(text: str, path: str) -> str:
    """Return what ``INTERFACESv4`` says; empty where it is not set.

    :raises ParseError: see `set_interfaces`; only a shell can tell the value.
    """
    return _read(text, path, INTERFACES)


def main_file(text: str, path: str) -> str:
    """Return the configuration file that the script starts dhcpd with.

    :raises ParseError: see `read_interfaces`.
    """
    return _read(text, path, _CONF) or MAIN


def _read(text: str, path: str, name: str) -> str:
    found = _document(text, path, name).get(name)
    if found is None:
        return ""
    if found.value is None:
        raise ParseError(
            path,
            found.line,
            f"only a shell can tell the value of {name}",
            way_out="write it out",
        )
    return found.value


def _document(text: str, path: str, name: str) -> shellvars.Document:
    document = shellvars.parse(text, path)
    if "\r" in text:
        # The shell that sources it takes it into the value: an interface "eth0\r" there is none.
        raise ParseError(
            path,
            text.count("\n", 0, text.index("\r")) + 1,
            "has a carriage return, which the shell takes for a part of the value",
            way_out="give the file line ends of Unix",
        )
    for line in document.hidden(name):
        raise ParseError(
            path, line, f"{name} is set under a condition", way_out="set it once, by itself"
        )
    return document
