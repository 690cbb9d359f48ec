"""
Keep a host as a member of the DHCP pair that the pillar describes.

.. code-block:: yaml

    ipalias-dhcp-pair:
      ipalias_dhcp.pair:
        - name: ipalias
        - pillar: ipalias
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ipalias_dhcp"


def __virtual__():
    if "ipalias_dhcp.apply" in __salt__:
        return __virtualname__
    return False, "ipalias: the execution module is not loaded; see `salt '*' ipalias_dhcp.status`"


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


def pair(name, pillar="ipalias"):
    """
    Bring this host to its side of the pillar's ``dhcp``, in one run.

    name
        Anything.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' state.single ipalias_dhcp.pair ipalias
    """
    return _state(name, "ipalias_dhcp.apply", pillar=pillar)


def absent(name, pillar="ipalias"):
    """
    Take our configuration away; what was there before is back, and leases stay.

    name
        Anything.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' state.single ipalias_dhcp.absent ipalias
    """
    return _state(name, "ipalias_dhcp.clean", pillar=pillar)


def reported(name, pillar="ipalias"):
    """
    Have this minion tell the master of the pair: its beacon.

    name
        Anything.

    pillar
        Pillar path of the formula's block; without ``dhcp`` in it, the beacon is removed.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' state.single ipalias_dhcp.reported ipalias
    """
    return _state(name, "ipalias_dhcp.report", pillar=pillar)


def unreported(name):
    """
    Have this minion tell nothing of the pair any more.

    name
        Anything.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' state.single ipalias_dhcp.unreported ipalias
    """
    return _state(name, "ipalias_dhcp.unreport")
