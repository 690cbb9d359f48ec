"""
Keep IP aliases as the pillar wants them, on disk and in the kernel.

.. code-block:: yaml

    ipalias-alias-eth0:
      ipalias.managed:
        - name: eth0
        - pillar: ipalias

    failover:
      ipalias.present:
        - name: 198.51.100.12
        - interface: eth0
"""

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "ipalias"


def __virtual__():
    if "ipalias.apply" in __salt__:
        return __virtualname__
    return False, "ipalias: the execution module is not loaded; see `salt '*' ipalias.list`"


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
    if answer.get("warnings"):
        ret["warnings"] = answer["warnings"]
    return ret


def managed(name, pillar="ipalias", addresses=None, backend=None, purge=None, adopt=None):
    """
    Bring an interface's whole list of aliases about, in one change.

    name
        Interface as in the pillar, or ``default``: the interface of the default route.

    pillar
        Pillar path of the formula's block. A path, not the list: ten thousand addresses
        passed through Jinja cost half a second.

    addresses
        The list itself, for a state that does without pillar; items as in the pillar.

    backend
        With ``addresses``: dialect name, or ``auto``.

    purge
        With ``addresses``: ``owned``, ``none`` or ``all``.

    adopt
        With ``addresses``: move aliases of foreign lines into our file.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.managed eth0
    """
    given = {"backend": backend, "purge": purge, "adopt": adopt}
    given = {key: value for key, value in given.items() if value is not None}
    if addresses is None:
        if given:
            ret = {"name": name, "changes": {}, "result": False}
            ret["comment"] = f"{', '.join(given)}: only together with `addresses`"
            return ret
        return _state(name, "ipalias.apply", name=name, pillar=pillar)
    block = {"addresses": addresses, **given}
    return _state(name, "ipalias.apply", name=name, block=block)


def pruned(name, pillar="ipalias"):
    """
    Take away what came from the pillar on interfaces that are no longer in it.

    name
        Anything.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.pruned ipalias
    """
    return _state(name, "ipalias.prune", pillar=pillar)


def cleaned(name, pillar="ipalias"):
    """
    Take away everything of ours, whatever its origin, and nothing else.

    name
        Anything.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.cleaned ipalias
    """
    return _state(name, "ipalias.clean", pillar=pillar)


def present(name, interface="default", label=None, source=None, pillar="ipalias"):
    """
    Keep one alias present, on disk and live.

    name
        Address with or without a prefix.

    interface
        Interface, or ``default``.

    label
        Label.

    source
        ``never``: the kernel must not choose it as a source address.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.present 198.51.100.12
    """
    return _state(
        name,
        "ipalias.add",
        address=name,
        interface=interface,
        label=label,
        source=source,
        pillar=pillar,
    )


def absent(name, interface=None, pillar="ipalias"):
    """
    Keep one alias absent, on disk and live.

    name
        Address with or without its prefix.

    interface
        Interface; default: the one it is on.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.absent 198.51.100.12
    """
    return _state(name, "ipalias.remove", address=name, interface=interface, pillar=pillar)


def boot_service(name, services, pillar="ipalias"):
    """
    Keep the services that read the files started at boot, where their dialect owns an interface.

    Not ``service.enabled`` with an ``onlyif``: that guard alone takes Salt over a second.

    name
        Anything.

    services
        Dialect name → service. Only those count whose dialect owns an interface of the pillar.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' state.single ipalias.boot_service x services='{networkd: systemd-networkd}'
    """
    ret = {"name": name, "changes": {}, "result": True, "comment": ""}
    used = __salt__["ipalias.uses"](pillar=pillar)
    said = [_started_at_boot(services[dialect], ret) for dialect in used if services.get(dialect)]
    ret["comment"] = ". ".join(said) or f"{', '.join(used) or 'no dialect'}: no service of its own"
    return ret


def _started_at_boot(name, ret):
    """Keep one service started at boot; return a sentence on it."""
    if "service.enabled" not in __salt__:
        return f"{name}: this platform has no service module in Salt; left as it is"
    if __salt__["service.enabled"](name):
        return f"{name} is enabled"
    if __opts__["test"]:
        ret["result"] = ret["result"] and None
        return f"{name} would be enabled"
    if not __salt__["service.enable"](name):
        ret["result"] = False
        return f"{name} could not be enabled"
    ret["changes"][name] = {"old": "disabled", "new": "enabled"}
    return f"{name} was enabled: without it no alias comes back at boot"
