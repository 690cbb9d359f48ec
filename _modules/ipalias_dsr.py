"""
Make a host a real server behind a load-balancer in direct server return mode.

The virtual address (VIP) goes on the loopback, and the host never answers for it on the
segment: first the settings that keep it silent, then the VIP; on removal the VIP first.

Pillar and platforms: see ``docs/dsr.md`` of the formula.
"""

from salt.exceptions import CommandExecutionError

__virtualname__ = "ipalias_dsr"


def __virtual__():
    if "ipalias.detect" in __salt__:
        return __virtualname__
    return False, "ipalias_dsr: the execution module `ipalias` is not loaded"


def _shared(name):
    """
    Return a function of the execution module ``ipalias`` that Salt does not show.

    How the library is found, checked and loaded anew after a sync is said there, once.
    """
    function = __salt__["ipalias.detect"]
    return getattr(function, "func", function).__globals__[name]


def _dsr(pillar, block=None):
    """Return the library's `Dsr` for a pillar path, or for a block given in place of it."""
    library = _shared("_library")
    engine = _shared("_engine")(pillar)
    if block is not None:
        data = engine.data if isinstance(engine.data, dict) else {}
        engine.data = {**data, "dsr": block}
    return library("dsrsteps").Dsr(engine, library("dsrtuning").kept(engine))


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
    return _shared("_mutate")(_dsr(pillar, block).managed, test)


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
    listed = _listed(vips, "vips")
    return _shared("_mutate")(_dsr(pillar).absent, test, vips=listed)


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
    checks = _shared("_library")("dsrcheck")
    call = _shared("_call")
    dsr = _dsr(pillar)
    answer = call(checks.check, dsr)
    if prober is None:
        return answer
    words = call(checks.probe_words, dsr)
    if "publish.publish" not in __salt__:
        raise CommandExecutionError("ipalias_dsr.check: this Salt has no publish module")
    said = __salt__["publish.publish"](prober, "ipalias_dsr.probe", words, timeout=timeout)
    return call(checks.with_probe, answer, str(prober), words, said)


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
    system = _shared("_library")("system")
    _shared("_call")(_shared("_library")("engine").refuse_unprivileged, system.is_root())
    return _shared("_call")(
        _shared("_library")("dsrprobe").probe,
        _shared("_engine")().host,
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
