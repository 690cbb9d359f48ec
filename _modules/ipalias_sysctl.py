"""
Keep kernel settings (sysctls): live and after a boot, until nobody wants them any more.

Each function that changes something writes the file that the system reads last and sets the
kernel to the same value in one transaction, or says which line of which file would win. The
value found before comes back when a setting is given up. A setting of an interface that is
not there yet is written, and set the moment it appears.

See the formula's ``docs/sysctl.md``.
"""

import functools
import importlib.util
import os

__virtualname__ = "ipalias_sysctl"
__func_alias__ = {"list_": "list"}


def __virtual__():
    try:
        _formula().imported("tuning")
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


def _tuner(pillar):
    """Return the engine of settings, under the guard of the pillar's block."""
    formula = _formula()
    block = formula.block_at(pillar)
    parse = formula.library("checks").parse_guard
    guard = formula.call(parse, block.get("guard"), f"{pillar}:guard")
    return formula.library("tuning").Tuner(**formula.surroundings(guard=guard))


def _keys(name):
    """Return the canonical keys that an argument names."""
    formula = _formula()
    system = formula.library("platforms").system()
    listed = name.split(",") if isinstance(name, str) else name
    listed = listed if isinstance(listed, list) else [listed]
    parse = formula.library("tuning").parse_key
    return [formula.call(parse, key, "name", system) for key in listed]


def present(name, value, pillar="ipalias", test=None):
    """
    Keep a setting at a value, by hand; highstates leave it alone.

    name
        Setting as ``sysctl -a`` names it; one of an interface with dots in its name with
        slashes: ``net/ipv4/conf/eth0.10/arp_ignore``.

    value
        Value as the kernel takes it.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing; file and kernel are told apart.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_sysctl.present net.ipv4.conf.all.arp_ignore 1
    """
    formula = _formula()
    system = formula.library("platforms").system()
    parse = formula.library("tuning").parse_setting
    setting = formula.call(parse, name, value, "name", system)
    return formula.mutate(_tuner(pillar).present, test, settings=[setting])


def absent(name, pillar="ipalias", test=None):
    """
    Give up settings that were set by hand; what was there before comes back.

    One that the pillar or another component wants as well stays, and the comment says so.

    name
        Setting, or several, separated by commas or as a list.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_sysctl.absent net.ipv4.conf.all.arp_ignore
    """
    return _formula().mutate(_tuner(pillar).absent, test, keys=_keys(name))


def apply(pillar="ipalias", test=None):
    """
    Bring about all settings of the pillar, in one change; what left the pillar is given up.

    pillar
        Pillar path of the formula's block; its ``sysctl`` is a mapping of settings and values.

    test
        Show what would be done and do nothing; file and kernel are told apart.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias_sysctl.apply test=True
    """
    formula = _formula()
    tuner = _tuner(pillar)
    system = formula.library("platforms").system()
    parse = formula.library("tuning").parse_settings
    data = formula.pillar_at(pillar).get("sysctl")
    settings = formula.call(parse, data, f"{pillar}:sysctl", system)
    return formula.mutate(tuner.managed, test, settings=settings)


def clean(pillar="ipalias", test=None):
    """
    Give up every setting from the pillar or set by hand; those of other components stay.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias_sysctl.clean test=True
    """
    return _formula().mutate(_tuner(pillar).clean, test)


def effective(name=None, pillar="ipalias"):
    """
    Show what is live, what a boot makes of it, and which line of which file says so.

    name
        Setting, or several, separated by commas or as a list; none: all of ours.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_sysctl.effective net.ipv4.conf.all.rp_filter
    """
    keys = None if name is None else _keys(name)
    return _formula().call(_tuner(pillar).effective, keys)


def list_(pillar="ipalias"):
    """
    List the settings that are ours: value, who wants them, what was found before.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_sysctl.list
    """
    entries = _formula().call(_tuner(pillar).entries)
    return {
        key: {
            "value": entry.value,
            "wanted_by": list(entry.wanted_by),
            "found": entry.found.live,
        }
        for key, entry in entries.items()
    }
