"""A Gentoo host with a given list, and the backend alone at work on it."""

from __future__ import annotations

from rig.plat import netifrc as plat
from rig.simhost import SimHost
from saltext.ipalias.backends import load
from saltext.ipalias.model import Alias, Wanted

BACKEND = load("netifrc")
CONF = plat.CONF
DASH, BASH = "/usr/bin/dash", "/usr/bin/bash"
ONE = 'config_eth0="192.0.2.2/24"\n'


def alias(cidr: str, label: str | None = None, source: str = "auto") -> Alias:
    """Return an alias of eth0."""
    address, prefix = cidr.split("/")
    return Alias(address, int(prefix), "eth0", label, source)


A, B, SIX = alias("198.51.100.10/32"), alias("198.51.100.11/32"), alias("2001:db8:1::10/128")


def host(text: str, shell: str = BASH) -> SimHost:
    """Return a host with this `/etc/conf.d/net`."""
    made = plat.host(text="#", sh=shell)
    made.files.put(CONF, text)
    return made


def render(
    made: SimHost, *aliases: Alias, former: tuple[Alias, ...] = (), form: str | None = None
) -> str | None:
    """Render the list, store it and return the file's text."""
    options = {"form": form} if form else {}
    evidence = BACKEND.assume(made, "eth0")
    for file in BACKEND.render(Wanted("eth0", aliases, evidence, former, options=options), made):
        if file.text is None:
            made.files.drop(file.path)
        else:
            made.files.put(file.path, file.text)
    return made.files.read(CONF)


def read(made: SimHost, interface: str = "eth0") -> list[tuple[str, int]]:
    """Return each address that is found, and its line."""
    found = BACKEND.parse(made, BACKEND.assume(made, interface))
    return [(item.alias.cidr, item.line) for item in found]
