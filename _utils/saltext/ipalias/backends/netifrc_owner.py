"""What netifrc's detection looks at: the services of OpenRC, the shell, the modules."""

from __future__ import annotations

from ..errors import ParseError
from ..host import Host
from ..text import shellvars
from . import netifrc_files
from .netifrc_items import IFCONFIG, IPROUTE2

_PLAIN_IFCONFIG = "the module ifconfig of netifrc has no {}; `modules=iproute2` has it"


def named(host: Host, interface: str) -> tuple[bool, str]:
    """Return whether a file has a list for the interface, and the file for it."""
    try:
        setting = netifrc_files.read_setting(host, interface, IPROUTE2)
    except ParseError as error:
        return True, error.path
    return setting.form is not None, setting.path


def is_started(host: Host, service: str) -> bool:
    """Tell whether OpenRC has started a service (``librc.c``, ``rc_service_state``)."""
    states = ("started", "inactive")
    return any(host.exists(f"{netifrc_files.RUN}/{state}/{service}") for state in states)


def facts_of(host: Host, interface: str) -> dict[str, str]:
    """Return the shell that reads the files and the module that sets the addresses."""
    shell = host.run(("readlink", "-f", "/bin/sh")).out.strip()
    facts = {"shell": shell, "module": module_of(host, interface)}
    if facts["module"] == IFCONFIG:
        facts["unsupported_label"] = _PLAIN_IFCONFIG.format("labels")
        facts["unsupported_source4"] = _PLAIN_IFCONFIG.format("scope for an address")
        facts["unsupported_source6"] = _PLAIN_IFCONFIG.format("preferred lifetime")
    return facts


def module_of(host: Host, interface: str) -> str:
    """Return which module sets addresses (``_load_modules``): iproute2 unless told otherwise.

    ``modules_IFACE`` counts before ``modules``, of an array the first item, for that is what
    the shell makes of ``$modules``. What cannot be told counts as ifconfig, which can do less.
    """
    if interface == "lo":
        return IPROUTE2  # no choice is looked at for it
    own = f"modules_{netifrc_files.shell_var(interface)}"
    chosen: dict[str, str] = {}
    for path in netifrc_files.paths(host, interface):
        try:
            document = shellvars.parse(host.read(path) or "", path)
        except ParseError:
            continue  # what is wrong there is told when the list is read
        for name in ("modules", own):
            if (found := document.get(name)) is None:
                continue
            value = found.items[0] if found.items else found.value
            before = chosen.get(name, "") if found.append else ""
            chosen[name] = IFCONFIG if found.opaque else f"{before}{value or ''}"
    words = (chosen.get(own) or chosen.get("modules", "")).split()
    liked = [word for word in words if word in (IPROUTE2, IFCONFIG)]
    return IFCONFIG if "!iproute2" in words or liked[-1:] == [IFCONFIG] else IPROUTE2
