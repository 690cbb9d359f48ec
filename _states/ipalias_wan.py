"""
Keep a server with several ways out on the lines that the pillar describes.

.. code-block:: yaml

    ipalias-wan-managed:
      ipalias_wan.managed:
        - name: ipalias
        - pillar: ipalias
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ipalias_wan"


def __virtual__():
    if "ipalias_wan.apply" in __salt__:
        return __virtualname__
    return False, "ipalias: the execution module is not loaded; see `salt '*' ipalias_wan.owners`"


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


def managed(name, pillar="ipalias"):
    """
    Bring settings, routes, rules, NAT and the monitor to the pillar's ``wan``, in one run.

    name
        Anything.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_wan.managed ipalias
    """
    return _state(name, "ipalias_wan.apply", pillar=pillar)


def absent(name, pillar="ipalias"):
    """
    Take all of it away; the default routes of others are in force again, settings as found.

    name
        Anything.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_wan.absent ipalias
    """
    return _state(name, "ipalias_wan.clean", pillar=pillar)
