"""
Manage IP aliases (failover IPs): on disk and in the kernel, on every platform.

An alias is an extra address of an interface. Each function that changes something writes
the platform's own configuration and brings the kernel to the same state in one
transaction: the primary address, its connections, the default route and addresses that
are not ours survive it, and a failure puts everything back.

Pillar and platforms: see the formula's ``docs``.
"""

import functools
import importlib.util
import os

__virtualname__ = "ipalias"
__func_alias__ = {"list_": "list"}


def __virtual__():
    try:
        _formula().imported("engine")
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


def _library(name):
    """Return a module of the library; without one, Salt's own error and no traceback."""
    return _formula().library(name)


def _engine(pillar="ipalias", data=None, root=None, confirm=False):
    """Return the engine on this host for a pillar path, or for data given directly."""
    formula = _formula()
    if data is None:
        data, root = formula.pillar_at(pillar), pillar
    return formula.library("engine").Engine(
        data=data, root=root, **formula.surroundings(confirm=confirm)
    )


def _call(function, *args, **kwargs):
    """Call into the library; its errors become Salt's own."""
    return _formula().call(function, *args, **kwargs)


def _mutate(method, test, **kwargs):
    """Call a method that changes the host, or only shows what it would change."""
    return _formula().mutate(method, test, **kwargs)


def _listed(value):
    """Return the items of an argument: a list, or a text with commas; the library reads each."""
    if isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, list) else [value]


def _aliases(address, interface, label, source):
    """Return the aliases that arguments name."""
    addresses = _library("addresses")
    system = _library("platforms").system()
    name = _library("values").parse_interface(interface, "interface", system)
    aliases = []
    for item in _listed(address):
        if isinstance(item, str) and (label is not None or source is not None):
            item = {"address": item}
            if label is not None:
                item["label"] = label
            if source is not None:
                item["source"] = source
        aliases.extend(addresses.parse_item(item, name, "address"))
    addresses.refuse_duplicates(aliases)
    return aliases


def add(
    address,
    interface="default",
    label=None,
    source=None,
    persist=True,
    live=True,
    announce=None,
    pillar="ipalias",
    test=None,
):
    """
    Add one or more aliases by hand; highstates leave them alone.

    Without anything else: on the interface of the default route, as /32 or /128, in the
    platform's configuration and in the kernel, announced to the neighbours, noted in the
    ledger with the origin ``hand``.

    address
        Address with or without a prefix, a range ``FIRST-LAST``, or several, separated by
        commas or as a list.

    interface
        Interface, or ``default``.

    label
        Label for the one address given.

    source
        ``never``: the kernel must not choose it as a source address.

    persist
        Write it to the configuration.

    live
        Add it to the kernel.

    announce
        How often it is announced, 0 to 60; default as in the pillar, else 2.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.add 198.51.100.12
        salt web1 ipalias.add 198.51.100.12 interface=eth1 label=failover1 test=True
    """
    persist = _call(_library("values").parse_bool, persist, "persist")
    live = _call(_library("values").parse_bool, live, "live")
    if announce is not None:
        announce = _call(_library("pillar").parse_announce, announce, "announce")
    aliases = _call(_aliases, address, interface, label, source)
    return _mutate(
        _engine(pillar).add, test, aliases=aliases, persist=persist, live=live, announce=announce
    )


def remove(address, interface=None, force=None, pillar="ipalias", test=None):
    """
    Remove one or more aliases of ours, from the configuration and from the kernel.

    An address that is not ours is refused, naming who set it.

    address
        Address with or without its prefix, or several, separated by commas or as a list.

    interface
        Interface; default: the one it is on.

    force
        The address itself, once more: take it away even if the connection to the master, or
        the default route, hangs on it, or an account of a control panel uses it, or the DHCP
        server of a pair.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.remove 198.51.100.12
    """
    if interface is not None:
        system = _library("platforms").system()
        interface = _call(_library("values").parse_interface, interface, "interface", system)
    parse = _library("addresses").parse_named
    addresses = [_call(parse, item, "address") for item in _listed(address)]
    engine = _engine(pillar)
    if force is not None:
        engine.forced = frozenset(_call(parse, item, "force")[0] for item in _listed(force))
    return _mutate(engine.remove, test, addresses=addresses, interface=interface)


def apply(name=None, pillar="ipalias", block=None, confirm="auto", test=None):
    """
    Bring one interface, or all, to the whole list of the pillar, in one transaction.

    The whole pillar is checked first; an error anywhere leaves everything as it is.

    name
        Interface as in the pillar, or ``default``; none: all of them, and what left the
        pillar is taken away.

    pillar
        Pillar path of the formula's block.

    block
        The interface's block given directly instead of the pillar's.

    confirm
        ``auto``: it stands when it shows and the checks of ``guard`` pass; ``manual``: it
        is undone after the guard's timeout unless ``ipalias.confirm`` comes first.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.apply
        salt '*' ipalias.apply eth0 test=True
    """
    manual = _call(_library("values").choice, confirm, ("auto", "manual"), "confirm") == "manual"
    if block is not None:
        data = {"interfaces": {name: block}}
        engine = _engine(data=data, root=f"state {name}", confirm=manual)
        engine.whole = (_formula().pillar_at(pillar), pillar)
    else:
        engine = _engine(pillar, confirm=manual)
    return _mutate(engine.managed, test, name=name)


def plan(name=None, pillar="ipalias"):
    """
    Show what ``apply`` would do; the same diff, and no effect.

    name
        Interface as in the pillar, or ``default``; none: all of them.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.plan
    """
    return apply(name, pillar, test=True)


def prune(pillar="ipalias", test=None):
    """
    Take away what came from the pillar on interfaces that are no longer in it.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.prune
    """
    return _mutate(_engine(pillar).pruned, test)


def clean(pillar="ipalias", test=None):
    """
    Take away everything of ours, from the pillar or added by hand, and nothing else.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.clean test=True
    """
    return _mutate(_engine(pillar).clean, test)


def pin_default(pillar="ipalias", test=None):
    """
    Take ``default`` anew from the default routes of now, and keep it.

    The aliases themselves move at the next ``apply``.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.pin_default
    """
    return _mutate(_library("upkeep").pin_default, test, engine=_engine(pillar))


def list_(pillar="ipalias"):
    """
    List what is ours, interface by interface, with its origin.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.list
    """
    return _call(_library("report").ours, _engine(pillar))


def show(interface=None, pillar="ipalias"):
    """
    Show every address of the interfaces concerned: ours, the primary, foreign ones.

    interface
        Only this interface.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.show eth0
    """
    return _call(_library("report").diff_rows, _engine(pillar), interface)


def diff(interface=None, pillar="ipalias"):
    """
    Hold pillar, files and kernel against each other: a row for each address that differs.

    ``state`` is ``missing`` (neither file nor kernel), ``missing-file``, ``missing-live``,
    ``wrong`` (label, prefix, source policy, duplicate), ``extra`` (ours, not in the pillar).

    interface
        Only this interface.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.diff
    """
    quiet = ("ok", "present", "primary", "foreign")
    return [row for row in show(interface, pillar) if row["state"] not in quiet]


def verify(interface=None, pillar="ipalias"):
    """
    Tell whether files and kernel are as pillar and ledger want them.

    interface
        Only this interface.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.verify
    """
    found = _call(_library("report").problems, _engine(pillar), interface)
    return {"result": not found, "problems": found}


def detect(interface=None, pillar="ipalias"):
    """
    Tell who owns each interface, on what evidence, and what was rejected and why.

    interface
        Only this interface.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.detect eth0
    """
    return _call(_library("report").explain, _engine(pillar), interface)


def uses(backend=None, pillar="ipalias"):
    """
    Tell whether a backend owns an interface of the pillar now; a guard for states.

    A configuration file whose daemon does not run is no ownership here.

    backend
        Dialect name; none: those that do are listed.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.uses networkd
    """
    report = _library("report")
    try:
        if backend is None:
            return report.in_use(_engine(pillar))
        return report.uses(_engine(pillar), backend)
    except _library("errors").IpaliasError:
        return [] if backend is None else False


def backends():
    """
    List the configuration dialects and what each cannot express.

    CLI Example:

    .. code-block:: bash

        salt '*' ipalias.backends
    """
    return _call(_library("report").describe_backends)


def import_pillar(interface=None, pillar="ipalias"):
    """
    Return the pillar for the aliases that exist on the host, whoever made them.

    interface
        Only this interface.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.import_pillar --out=yaml
    """
    return _call(_library("report").import_pillar, _engine(pillar), interface)


def announce(address=None, interface=None, count=5, interval=0.5, pillar="ipalias"):
    """
    Announce live aliases of ours: gratuitous ARP, unsolicited neighbour advertisement.

    address
        Address, or several, separated by commas or as a list; none: all of ours.

    interface
        Only this interface.

    count
        How often, 1 to 60.

    interval
        Seconds between two rounds, 0 to 10.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.announce 198.51.100.12 count=10
    """
    how = _call(
        _library("pillar").parse_announce, {"count": count, "interval": interval}, "announce"
    )
    listed = None if address is None else _listed(address)
    _call(_library("engine").refuse_unprivileged, _library("system").is_root())
    return _call(_library("upkeep").announce, _engine(pillar), listed, interface, how)


def restart(interface="default", scope="alias", pillar="ipalias", test=None):
    """
    Make the owner of an interface read its configuration again.

    interface
        Interface, or ``default``.

    scope
        ``alias``: what concerns the aliases alone, the gentlest the platform has;
        ``interface``: the interface, which cuts its connections on most platforms;
        ``network``: the platform's whole network service.

    pillar
        Pillar path of the formula's block.

    test
        Show the commands and run nothing.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.restart eth0 scope=alias test=True
    """
    return _mutate(
        _library("upkeep").restart, test, engine=_engine(pillar), name=interface, scope=scope
    )


def restore(path=None, force=False, pillar="ipalias", test=None):
    """
    Put back the original of a file as it was before our first edit, and show the difference.

    The kernel is left alone then, and so are VIPs: what of ours the original lacks is named, and
    what it brings back with the next boot. An address on the loopback, which may have been a VIP,
    is not brought back onto a host that would answer for it.

    Where addresses lie in a store (Windows, ``ipadm``), what our changes did to that is undone,
    in one guarded change.

    path
        File, or what is kept of a store; none: every original that is kept.

    force
        Put it back even where somebody else changed the same after us.

    pillar
        Pillar path of the formula's block.

    test
        Show the difference and do nothing.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.restore /etc/network/interfaces test=True
    """
    force = _call(_library("values").parse_bool, force, "force")
    engine = _engine(pillar)
    return _mutate(_library("restore").restore, test, engine=engine, path=path, force=force)


def confirm(pillar="ipalias"):
    """
    Keep the change that ``apply confirm=manual`` made.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.confirm
    """
    _call(_library("engine").refuse_unprivileged, _library("system").is_root())
    return _call(_library("upkeep").confirm, _engine(pillar))


def rollback(pillar="ipalias", test=None):
    """
    Undo the change that waits to be confirmed or was cut short, or else the last one committed.

    One that is committed is left alone where somebody else has edited one of its files since.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be undone and do nothing.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias.rollback test=True
    """
    return _mutate(_library("upkeep").rollback, test, engine=_engine(pillar))


def journal(name=None, page=1, pillar="ipalias"):
    """
    Return the whole of a change that was too large for a return, by its id.

    name
        Id as the return gave it; none: the ids that are kept.

    page
        Part of a change that is too large for one return; each says how many there are.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt-call ipalias.journal 20260102T030405-123456789-1234
    """
    return _call(_library("upkeep").journal, _engine(pillar), name, page)
