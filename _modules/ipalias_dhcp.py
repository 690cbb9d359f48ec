"""
Keep a host as a member of a DHCP pair: ISC failover or Kea's high availability.

One block of the pillar, ``ipalias:dhcp``, describes both servers; each minion finds itself in
it and gets its side. Files, service and ports change in one transaction, which the server's
own check can still refuse before anything is replaced. See the formula's ``docs/dhcp.md``.
"""

import functools
import importlib.util
import os

from salt.exceptions import CommandExecutionError

__virtualname__ = "ipalias_dhcp"


def __virtual__():
    try:
        _formula().imported("dhcp.setup")
    except (ImportError, OSError) as error:
        return False, f"ipalias: {error}"
    return __virtualname__


@functools.cache
def _shared():
    """Return what our modules share; the loader passes over its name, so it lies beside us."""
    path = os.path.join(os.path.dirname(__file__), "_ipalias.py")
    spec = importlib.util.spec_from_file_location("ipalias_shared", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _formula():
    """Return the way to the library, with what the loader has given this module."""
    return _shared().Formula(__opts__, __pillar__)


def _setup(pillar):
    """Return the engine of the configuration, under the guard of the pillar's block."""
    formula = _formula()
    block = formula.pillar_at(pillar)
    if not isinstance(block, dict):
        raise CommandExecutionError(f"{pillar}: is not a mapping")
    library = formula.library("dhcp.setup")
    minion = str(__opts__.get("id") or "")
    return library.make(data=block, root=pillar, minion=minion, **formula.surroundings())


def apply(pillar="ipalias", test=None):
    """
    Bring the host to its side of the pillar's ``dhcp``: files, the server, the ports.

    The server looks at its new files before they take the place of the old ones; one that
    refuses them goes on with the old. It is started anew only where its text has changed.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.apply test=True
    """
    return _formula().mutate(_setup(pillar).managed, test)


def clean(pillar="ipalias", test=None):
    """
    Take our configuration away: files and service are as they were found.

    Leases, backups and the reports of drills stay, and so does the package.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.clean test=True
    """
    return _formula().mutate(_setup(pillar).absent, test)
