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


# --- order ----------------------------------------------------------------------------------


def member(pillar="ipalias"):
    """
    Return which member of the pair this host is.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt -L dhcp1,dhcp2 ipalias_dhcp.member
    """
    config, me = _formula().call(_setup(pillar).member)
    peer = config.pair.peer_of(me)
    return {
        "pair": config.pair.name,
        "member": me.name,
        "role": me.role,
        "address": me.address,
        "peer": peer.name,
        "peer_address": peer.address,
    }


def wait(state="normal", limit=60, pillar="ipalias"):
    """
    Wait until this side of the pair is in a state; what the orchestration goes by.

    state
        ``serving``: the server takes clients' messages; ``listening``: and it listens for its
        peer;
        ``normal``: and both sides say that they are in order.

    limit
        Seconds, or ``2m``, up to an hour; after it the answer is an error that says what it
        is in.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt -L dhcp1,dhcp2 ipalias_dhcp.wait normal limit=2m
    """
    formula, setup = _formula(), _setup(pillar)
    drill = formula.library("dhcp.drill")
    limit = _seconds(formula, limit, "limit", 0.0)
    config, me = formula.call(setup.member)
    return formula.call(
        drill.await_state, lambda: drill.read_standing(setup, config, me), state, limit
    )


def _seconds(formula, value, where, least, most=3600.0):
    """Return a span of time in seconds."""
    return formula.call(formula.library("values").parse_duration, value, where, least, most)


# --- the drill's steps ----------------------------------------------------------------------


def drill_stop(limit=300, pillar="ipalias", test=None):
    """
    Stop this member's server for a drill; systemd starts it again when the limit is over.

    Refused where the pair is not in order. ``salt-run ipalias.dhcp_drill`` calls it.

    limit
        Seconds, or ``5m``, from 30 s to an hour.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.drill_stop limit=2m test=True
    """
    formula, setup = _formula(), _setup(pillar)
    drill = formula.library("dhcp.drill")
    limit = _seconds(formula, limit, "limit", drill.SHORTEST, drill.LONGEST)
    return formula.mutate(functools.partial(drill.stop, setup, limit), test)


def drill_start(pillar="ipalias", test=None):
    """
    Start this member's server after a drill; one that runs is left alone.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.drill_start
    """
    formula, setup = _formula(), _setup(pillar)
    drill = formula.library("dhcp.drill")
    return formula.mutate(functools.partial(drill.start, setup), test)


def drill_report(result, report, moment, pillar="ipalias", test=None):
    """
    Keep a drill's report on this member; the beacon and ``status`` tell its age.

    result
        Whether the drill went well.

    report
        Its lines.

    moment
        When it was, in seconds since 1970.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.drill_report True '["by hand, dhcp1 pulled"]' 1764322800
    """
    formula, setup = _formula(), _setup(pillar)
    drill = formula.library("dhcp.drill")
    keep = functools.partial(
        drill.keep_report, setup, *formula.call(drill.parse_told, result, report, moment)
    )
    return formula.mutate(keep, test)
