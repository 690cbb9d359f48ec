"""
Make a host a real server behind a load-balancer in direct server return mode.

The virtual address (VIP) goes on the loopback, and the host never answers for it on the
segment: first the settings that keep it silent, then the VIP; on removal the VIP first.

Pillar and platforms: see ``docs/dsr.md`` of the formula.
"""

import functools
import importlib.util
import os

from salt.exceptions import CommandExecutionError

__virtualname__ = "ipalias_dsr"


def __virtual__():
    try:
        _formula().imported("dsrsteps")
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


def _dsr(pillar, block=None):
    """Return the library's `Dsr` for a pillar path, or for a block given in place of it."""
    formula = _formula()
    data = formula.pillar_at(pillar)
    if block is not None:
        data = {**(data if isinstance(data, dict) else {}), "dsr": block}
    engine = formula.library("engine").Engine(data=data, root=pillar, **formula.surroundings())
    return formula.library("dsrsteps").Dsr(engine, formula.library("dsrtuning").kept(engine))


def managed(pillar="ipalias", block=None, test=None):
    """
    Bring the VIPs of the pillar about: the settings first, then the addresses.

    Without a VIP in the pillar, what is there of an earlier one is taken away.

    pillar
        Pillar path of the formula's block; its ``dsr`` is read.

    block
        The block ``dsr`` given directly instead of the pillar's.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt 'web*' ipalias_dsr.managed test=True
    """
    return _formula().mutate(_dsr(pillar, block).managed, test)


def absent(vips=None, pillar="ipalias", test=None):
    """
    Take VIPs away, and with the last of them the settings.

    vips
        VIP, or several, separated by commas or as a list; none: all of ours.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_dsr.absent 203.0.113.80
    """
    return _formula().mutate(_dsr(pillar).absent, test, vips=_listed(vips, "vips"))


def check(pillar="ipalias", prober=None, timeout=10):
    """
    Tell whether this host is a real server as it should be, and what is wrong.

    The effective settings and where each comes from, now and after a boot; each VIP with its
    prefix and scope and what brings it back at boot; reverse path filtering; rules of the
    firewall that would drop the traffic; the services that are bound to the VIP.

    pillar
        Pillar path of the formula's block.

    prober
        Id of another minion on the segment. It asks for the VIPs by ARP and neighbour
        solicitation, and this host must not answer, but must for its own addresses. Needs the
        master's ``peer`` configuration; without it run the command that the answer shows.

    timeout
        Seconds to wait for the prober.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_dsr.check
        salt web1 ipalias_dsr.check prober=web2
    """
    formula, dsr = _formula(), _dsr(pillar)
    checks = formula.library("dsrcheck")
    if prober is None:
        return formula.call(checks.check, dsr)
    prober, seconds = formula.call(checks.parse_prober, prober, timeout)
    answer = formula.call(checks.check, dsr)
    words = formula.call(checks.probe_words, dsr)
    if "publish.publish" not in __salt__:
        raise CommandExecutionError("ipalias_dsr.check: this Salt has no publish module")
    said = __salt__["publish.publish"](prober, "ipalias_dsr.probe", words, timeout=seconds)
    return formula.call(checks.with_probe, answer, prober, words, said)


def probe(vips, interface=None, real=None, macs=None):
    """
    Ask the segment who answers for VIPs; run it on another host of that segment.

    Each is asked for as a neighbour does and as one does who wants the address for himself,
    several times. The load-balancer may answer, a real server must not.

    vips
        VIP, or several, separated by commas or as a list.

    interface
        Interface to ask on; default: the one whose subnet holds ``real``.

    real
        Own address of the real server, or several: these have to answer, and who answers for
        them must not answer for a VIP. Without it, nobody may.

    macs
        More hardware addresses of the real server, in the form 02-00-00-00-00-01.

    CLI Example:

    .. code-block:: bash

        salt web2 ipalias_dsr.probe 203.0.113.80,2001:db8::80 real=192.0.2.11,2001:db8::11
        salt web2 ipalias_dsr.probe 203.0.113.80 interface=eth0
    """
    formula = _formula()
    root = formula.library("system").is_root()
    formula.call(formula.library("engine").refuse_unprivileged, root)
    return formula.call(
        formula.library("dsrprobe").probe,
        formula.surroundings()["host"],
        _listed(vips, "vips"),
        interface or None,
        _listed(real, "real") or [],
        [mac.replace("-", ":").lower() for mac in _listed(macs, "macs") or []],
    )


def _listed(value, name):
    """Return a list of words given as a list or separated by commas; None stays None."""
    if value in (None, ""):
        return None
    listed = value if isinstance(value, list) else str(value).split(",")
    if not all(isinstance(item, str) for item in listed):
        raise CommandExecutionError(f"{name}: {str(value)[:80]!r} is not a list of words")
    return [item.strip() for item in listed]
