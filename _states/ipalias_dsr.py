"""
Keep a host a real server behind a load-balancer in direct server return mode.

.. code-block:: yaml

    ipalias-dsr:
      ipalias_dsr.managed:
        - pillar: ipalias

    web:
      ipalias_dsr.managed:
        - vips: [203.0.113.80, 2001:db8::80]
        - interfaces: [eth0]
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ipalias_dsr"


def __virtual__():
    if "ipalias_dsr.managed" in __salt__:
        return __virtualname__
    return False, "ipalias_dsr: the execution module is not loaded"


def _state(name, function, /, **kwargs):
    """Run a function of the execution module and return what a state returns."""
    ret = {"name": name, "changes": {}, "result": False, "comment": ""}
    try:
        answer = __salt__[function](test=__opts__["test"], **kwargs)
    except (CommandExecutionError, SaltInvocationError) as error:
        ret["comment"] = str(error)
        return ret
    for key in ("result", "changes", "comment"):
        ret[key] = answer[key]
    return ret


def managed(
    name,
    pillar="ipalias",
    vips=None,
    interfaces=None,
    scope=None,
    loopback=None,
    firewall=None,
    forwarding=None,
    form=None,
):
    """
    Keep the VIPs on the loopback, and the host silent for them.

    name
        Anything.

    pillar
        Pillar path of the formula's block; its ``dsr`` is read.

    vips
        The VIPs themselves, for a state that does without pillar.

    interfaces
        With ``vips``: the interfaces that receive from the balancer.

    scope
        With ``vips``: ``all`` or ``interfaces``; Linux.

    loopback
        With ``vips``: name of the loopback adapter; Windows.

    firewall
        With ``vips``: False makes no rule of the firewall; Windows.

    forwarding
        With ``vips``: True lets the host forward; OpenBSD.

    form
        With ``vips``: ``powershell`` or ``netsh``; Windows.

    CLI Example:

    .. code-block:: bash

        salt 'web*' state.single ipalias_dsr.managed dsr
    """
    given = {
        "interfaces": interfaces,
        "scope": scope,
        "loopback": loopback,
        "firewall": firewall,
        "forwarding": forwarding,
        "form": form,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if vips is None:
        if given:
            ret = {"name": name, "changes": {}, "result": False}
            ret["comment"] = f"{', '.join(given)}: only together with `vips`"
            return ret
        return _state(name, "ipalias_dsr.managed", pillar=pillar)
    return _state(name, "ipalias_dsr.managed", pillar=pillar, block={"vips": vips, **given})


def absent(name, vips=None, pillar="ipalias"):
    """
    Take VIPs away, and with the last of them the settings.

    name
        Anything.

    vips
        VIP, or several; none: all of ours.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt 'web*' state.single ipalias_dsr.absent dsr
    """
    return _state(name, "ipalias_dsr.absent", vips=vips, pillar=pillar)
