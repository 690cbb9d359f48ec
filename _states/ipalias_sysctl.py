"""
Keep kernel settings (sysctls) as the pillar wants them, live and after a boot.

.. code-block:: yaml

    ipalias-sysctl-managed:
      ipalias_sysctl.managed:
        - name: ipalias
        - pillar: ipalias

    silent:
      ipalias_sysctl.present:
        - name: net.ipv4.conf.all.arp_ignore
        - value: 1
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ipalias_sysctl"


def __virtual__():
    if "ipalias_sysctl.apply" in __salt__:
        return __virtualname__
    return False, "ipalias: the execution module is not loaded; see `salt '*' ipalias_sysctl.list`"


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
    Bring all settings of the pillar about in one change; what left the pillar is given up.

    name
        Anything.

    pillar
        Pillar path of the formula's block; its ``sysctl`` is a mapping of settings and values.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_sysctl.managed ipalias
    """
    return _state(name, "ipalias_sysctl.apply", pillar=pillar)


def present(name, value, pillar="ipalias"):
    """
    Keep one setting at a value, beside those of the pillar.

    name
        Setting as ``sysctl -a`` names it; one of an interface with dots in its name with
        slashes.

    value
        Value as the kernel takes it.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_sysctl.present net.ipv4.conf.all.arp_ignore value=1
    """
    return _state(name, "ipalias_sysctl.present", name=name, value=value, pillar=pillar)


def absent(name, pillar="ipalias"):
    """
    Give one setting up; what was there before comes back.

    name
        Setting as ``sysctl -a`` names it.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_sysctl.absent net.ipv4.conf.all.arp_ignore
    """
    return _state(name, "ipalias_sysctl.absent", name=name, pillar=pillar)


def cleaned(name, pillar="ipalias"):
    """
    Give up every setting from the pillar or set by hand; those of other components stay.

    name
        Anything.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias_sysctl.cleaned ipalias
    """
    return _state(name, "ipalias_sysctl.clean", pillar=pillar)
