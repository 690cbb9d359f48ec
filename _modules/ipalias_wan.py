"""
Bring a server with several ways out to the lines that the pillar describes, and look at them.

Routes, policy rules, NAT, kernel settings and the monitor's service in one transaction, which
undoes itself when it cuts the host off. Switching between lines is the monitor's, on the host
and at once; see the formula's ``docs/wan.md``.
"""

import functools
import importlib.util
import os

from salt.exceptions import CommandExecutionError

__virtualname__ = "ipalias_wan"


def __virtual__():
    try:
        _formula().imported("wan.setup")
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
    library = formula.library("wan.setup")
    return library.make(data=block, root=pillar, **formula.surroundings())


def _ask(request):
    """Ask the monitor."""
    formula = _formula()
    places = formula.library("wan.places").Places()
    return formula.call(formula.library("wan.control").ask, places.socket, request)


def apply(pillar="ipalias", test=None):
    """
    Bring the host to the pillar's ``wan``: settings, routes, rules, NAT and the monitor.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.apply test=True
    """
    return _formula().mutate(_setup(pillar).managed, test)


def clean(pillar="ipalias", test=None):
    """
    Take all of it away: the monitor, NAT, rules, routes, and the kernel settings as found.

    The default routes of others were never touched, and are in force again.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.clean test=True
    """
    return _formula().mutate(_setup(pillar).absent, test)


def owners(pillar="ipalias"):
    """
    Show whose each default route of the host is, and how ours lives beside it.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.owners
    """
    return _formula().call(_setup(pillar).owners)


def status(pillar="ipalias"):
    """
    Show each line: its state and since when, whether it carries traffic, how much it was used.

    OpenBSD and FreeBSD; ``use`` is the column of that name of ``route show`` (OpenBSD alone).

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt fw1 ipalias_wan.status
    """
    setup = _setup(pillar)
    if not hasattr(setup, "status"):
        raise CommandExecutionError("status of lines: not on this system")
    return _formula().call(setup.status)
