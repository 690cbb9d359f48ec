"""
Keep a host as a member of a DHCP pair: ISC failover or Kea's high availability.

One block of the pillar, ``ipalias:dhcp``, describes both servers; each minion finds itself in
it and gets its side. Files, service and ports change in one transaction, which the server's
own check can still refuse before anything is replaced. See the formula's ``docs/dhcp.md``.
"""

import functools
import glob
import importlib.util
import os
import time

import salt.utils.yaml
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
    block = formula.block_at(pillar)
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


def check_config(pillar="ipalias"):
    """
    Look whether this member is as it shall be, and can reach its peer; nothing is changed.

    The server's own check of its file as it stands, what an apply would write, both directions
    of the peer's port with the one that is blocked, Kea's releases here and there, and how long
    a takeover may take by the pair's numbers.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt -L dhcp1,dhcp2 ipalias_dhcp.check_config
    """
    formula = _formula()
    return formula.call(formula.library("dhcp.checkconfig").check_config, _setup(pillar))


def leases(pillar="ipalias"):
    """
    Return what this member's server has in its lease files, for who has both sides'.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.leases
    """
    formula, setup = _formula(), _setup(pillar)
    library = formula.library("dhcp.leases")
    config, _ = formula.call(setup.member)
    return library.render_told(formula.call(library.read_side, setup.host, config))


def conflicts(peer=None, grace=None, pillar="ipalias", timeout=20):
    """
    Look through the lease files for what a pair must never do: one address given twice, lost.

    Without ``peer`` through this member's own. ``salt-run ipalias.dhcp_conflicts`` looks through
    both, and needs nothing of the master's configuration.

    peer
        Minion id of the other member, which is asked for its leases; needs the master's ``peer``
        configuration. Or what its ``ipalias_dhcp.leases`` has returned.

    grace
        Seconds for which one side alone may know of a lease; without it the pair's ``mclt``.

    pillar
        Pillar path of the formula's block.

    timeout
        Seconds to wait for the other member.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.conflicts peer=dhcp2
    """
    formula, setup = _formula(), _setup(pillar)
    library, find = formula.library("dhcp.leases"), formula.library("dhcp.conflicts").find
    timeout = _seconds(formula, timeout, "timeout", 1.0)
    config, me = formula.call(setup.member)
    sides = {me.name: [formula.call(library.read_side, setup.host, config)]}
    if isinstance(peer, str):
        if "publish.publish" not in __salt__:
            raise CommandExecutionError("ipalias_dhcp.conflicts: this Salt has no publish module")
        told = __salt__["publish.publish"](peer, "ipalias_dhcp.leases", timeout=timeout)
        if not isinstance(told, dict) or not isinstance(told.get(peer), dict):
            raise CommandExecutionError(
                f"{peer} does not tell its leases; the master's `peer` must allow "
                "ipalias_dhcp.leases, or ask by `salt-run ipalias.dhcp_conflicts`"
            )
        peer = told[peer]
    if peer is not None:
        sides[config.pair.peer_of(me).name] = [formula.call(library.parse_told, peer, "peer")]
    if grace is not None:
        grace = _seconds(formula, grace, "grace", 0.0, 7 * 86400.0)
    found = formula.call(find, sides, config, time.time(), grace=grace)
    return {
        "result": not found,
        "sides": {name: len(files[0].leases) for name, files in sides.items()},
        "conflicts": [finding.row() for finding in found],
    }


def convert(pillar="ipalias"):
    """
    Return what of this host's dhcpd.conf a block ``dhcp`` can have, and what it cannot.

    For a server that is to become a member, and for one whose pair is to be Kea's.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.convert
    """
    formula, setup = _formula(), _setup(pillar)
    library = formula.library("dhcp.iscfile")
    ours, main = formula.library("dhcp.isc").INCLUDED, formula.library("dhcp.conffiles").main_path
    path = formula.call(main, "isc", setup.host)
    statements = formula.call(library.standing, setup.host.read, path, [ours])
    found = formula.call(formula.library("dhcp.convert").convert, statements)
    return {"block": found.block, "left": list(found.left)}


# --- the beacon -----------------------------------------------------------------------------


def report(pillar="ipalias", test=None):
    """
    Have this minion tell the master of the pair: its beacon, without a restart.

    pillar
        Pillar path of the formula's block; without ``dhcp`` in it, the beacon is removed.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.report test=True
    """
    block = _formula().pillar_at(pillar)
    return _report(isinstance(block, dict) and bool(block.get("dhcp")), test)


def unreport(test=None):
    """
    Have this minion tell nothing of the pair any more.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.unreport
    """
    return _report(False, test)


def _report(wanted, test):
    """Bring the minion's configuration to what it shall be."""
    formula = _formula()
    ours, shared = formula.library("dhcp.reporting"), formula.library("wan.reporting")
    wanted = ours.reporting(wanted)
    main = __opts__.get("conf_file") or ""
    if wanted.keys:
        wanted = formula.call(shared.beside, wanted, _yaml_of(main), main)
    included = os.path.dirname(__opts__.get("default_include") or "minion.d/*.conf")
    differing = ours.changes(wanted, os.path.join(os.path.dirname(main), included))
    answer = shared.answer(differing, False, formula.test_mode(test))
    if answer["result"] is not None and answer["changes"]:
        system = formula.library("system")
        formula.call(formula.library("engine").refuse_unprivileged, system.is_root())
        formula.call(shared.write, differing)
        answer["notes"] = [note for note in [_beacon(ours, wanted)] if note]
    answer["comment"] = ". ".join([answer["comment"], *answer["notes"]])
    return answer


def _yaml_of(path):
    """Return what stands in the minion's main file alone."""
    try:
        with open(path, encoding="utf-8") as file:
            found = salt.utils.yaml.safe_load(file)
    except OSError:
        found = None
    return found if isinstance(found, dict) else {}


def _beacon(ours, wanted):
    """Give the beacon to the running minion, or take it; return what is to be said of it."""
    folder = __opts__.get("sock_dir") or ""
    if not glob.glob(os.path.join(folder, "minion_event_*_pull.ipc")):
        return "No minion runs here: the beacon comes with it"
    there = ours.BEACON in (__opts__.get("beacons") or {})
    if not wanted.keys and not there:
        return ""
    verb = ("modify" if there else "add") if wanted.keys else "delete"
    told = __salt__[f"beacons.{verb}"](ours.BEACON, *([ours.beacon_of()] if wanted.keys else []))
    done = told.get("result") or there
    return "" if done else f"The beacon comes with the minion's next start: {told['comment']}"


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
        Seconds, or ``2m``, up to 25 hours; after it the answer is an error that says what it
        is in.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt -L dhcp1,dhcp2 ipalias_dhcp.wait normal limit=2m
    """
    formula, setup = _formula(), _setup(pillar)
    drill = formula.library("dhcp.drill")
    # The longest `mclt`, a day, after which dhcpd serves again by old leases; and an hour.
    limit = _seconds(formula, limit, "limit", 0.0, 90000.0)
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


def lease(interface=None, clients=1, limit=30, server="", pillar="ipalias", test=None):
    """
    Get leases with new clients on an interface, say from whom, and give them back.

    The drill's own step, on a member or on any other minion of the segment. The clients have
    hardware addresses of their own; nothing of this host is configured.

    interface
        On the clients' segment; on a member the first one of the pillar, if none is named.

    clients
        How many, up to 200.

    limit
        Seconds, or ``2m``, for all of them.

    server
        Address of the server that they have to come from; without it any.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt web3 ipalias_dhcp.lease eth0 clients=4 server=192.0.2.3
    """
    formula = _formula()
    values, client = formula.library("values"), formula.library("dhcp.client")
    if interface is None:
        config, _ = formula.call(_setup(pillar).member)
        interface = config.interfaces[0]
    clients = formula.call(values.parse_int, clients, "clients", 1, 200)
    limit = _seconds(formula, limit, "limit", 1.0)
    if server != "":
        server = formula.call(formula.library("dhcp.options").parse_ipv4, server, "server")
    get = functools.partial(client.lease, interface, clients, limit, server)
    return formula.mutate(get, test)


# --- backups --------------------------------------------------------------------------------


def backup(keep=14, pillar="ipalias", test=None):
    """
    Keep this side's leases and configuration, each file whole, and the last of former backups.

    As the guide advises, from a schedule of the minion's; see ``docs/dhcp.md`` of the formula.

    keep
        How many there shall be at most, this one among them; up to 1000.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' ipalias_dhcp.backup keep=30
    """
    formula, setup = _formula(), _setup(pillar)
    keep = formula.call(formula.library("values").parse_int, keep, "keep", 1, 1000)
    make = formula.library("dhcp.backup").backup
    return formula.mutate(functools.partial(make, setup, keep), test)


def backups(pillar="ipalias"):
    """
    Return the backups that this member has, oldest first.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' ipalias_dhcp.backups
    """
    formula, setup = _formula(), _setup(pillar)
    kept = formula.library("dhcp.backup").kept
    there = formula.call(kept, setup.host, setup.places.backups, time.time())
    return [one.row() for one in there]


def restore(name=None, what="all", stop=False, sync=True, pillar="ipalias", test=None):
    """
    Put a backup back, as one change that is undone when something fails.

    What the server has by now is kept as a backup first. It is refused while the server runs,
    unless it may be stopped.

    name
        Of the backup, as ``ipalias_dhcp.backups`` shows them; without one the newest.

    what
        ``leases``, ``configuration``, or ``all``.

    stop
        Stop a server that runs, and start it again.

    sync
        Have dhcpd ask its peer for all leases before it serves; False only where there is no
        peer any more that knows better.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.restore what=leases stop=True test=True
    """
    formula, setup = _formula(), _setup(pillar)
    parse = formula.library("values").parse_bool
    ways = {
        "stop": formula.call(parse, stop, "stop"),
        "sync": formula.call(parse, sync, "sync"),
    }
    put = formula.library("dhcp.restore").restore
    return formula.mutate(functools.partial(put, setup, name, what, **ways), test)


# --- live: what the pair is, and a dead peer --------------------------------------------------


def _side(pillar):
    """Return host, block, member and state folder, as what looks at a pair takes them."""
    setup = _setup(pillar)
    config, me = _formula().call(setup.member)
    return (setup.host, config, me), {"state": setup.settings.paths.state}


def status(pillar="ipalias", whole=False, log=None):
    """
    Show the pair as this member sees it, in sentences and the most important words.

    What cannot be asked stands among the problems. Which way is blocked is known for certain to
    the side that it begins on: ask both.

    pillar
        Pillar path of the formula's block.

    whole
        Show all that is known, as data for programs.

    log
        How many lines of the log to show, up to 1000; without it 5, of the whole 20.

    CLI Example:

    .. code-block:: bash

        salt 'dhcp*' ipalias_dhcp.status
        salt dhcp1 ipalias_dhcp.status whole=True log=200 --out=json
    """
    formula = _formula()
    tell = formula.call(formula.library("dhcp.status").parse_telling, whole, log)
    side, places = _side(pillar)
    return tell(formula.call(formula.library("dhcp.reading").read, *side, **places))


def partner_down(pillar="ipalias", although_host_answers=False, by_policy=False, test=None):
    """
    Have this member's server take its peer for dead, and give out that one's addresses too.

    Refused while anything of the peer answers: its port, its session, its host. A peer that is
    back must reach this one before it serves; with ISC it then waits for ``mclt``.

    pillar
        Pillar path of the formula's block.

    although_host_answers
        The peer's host may answer, as long as its port is silent: whoever says so knows that no
        server gives out leases there.

    by_policy
        Only as the pillar's ``partner_down`` allows it, for a reaction.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp2 ipalias_dhcp.partner_down test=True
    """
    formula = _formula()
    side, places = _side(pillar)
    parse = formula.library("values").parse_bool
    ways = {
        "although_host_answers": formula.call(
            parse, although_host_answers, "although_host_answers"
        ),
        "by_policy": formula.call(parse, by_policy, "by_policy"),
    }

    def declare(*, test):
        library = formula.library("dhcp.partnerdown")
        return library.partner_down(*side, test=test, **ways, **places)

    return formula.mutate(declare, test)


def synchronize(pillar="ipalias", test=None):
    """
    Have this member's Kea fetch its peer's leases; the peer answers no client meanwhile.

    Two can meet again without one of them learning of the leases that the other one gave out
    alone; see the formula's ``docs/dhcp.md``. The beacon does this by itself
    when both are normal again. With ISC there is nothing to do.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.synchronize
    """
    formula = _formula()
    side, places = _side(pillar)
    fetch = formula.library("dhcp.synchronize").synchronize
    return formula.mutate(functools.partial(fetch, *side, **places), test)


def policy(pillar="ipalias"):
    """
    Show when a reaction may declare the peer dead, and who has to find it dead as well.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.policy
    """
    formula = _formula()
    (_, config, me), _ = _side(pillar)
    return formula.library("dhcp.partnerdown").policy_of(config, me)


def reach(address, port):
    """
    Show whether a server's port and its host answer from here: the word of a witness.

    The port is asked by the first segment of a connection, which its server never sees.

    address
        IPv4 address.

    port
        TCP port.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_dhcp.reach 192.0.2.3 647
    """
    formula = _formula()
    library = formula.library("dhcp.peer")
    return formula.call(library.reach, *formula.call(library.parse_place, address, port))


def watch(memory=None, pillar="ipalias"):
    """
    Return what has changed of the pair, for the beacon; at once, and each change once.

    The look itself is done beside this process's other work, and told by a later call. A Kea
    that may lack leases after the two were apart fetches them then.

    memory
        What the call before has returned as ``memory``.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt dhcp1 ipalias_dhcp.watch
    """
    formula = _formula()
    return formula.call(formula.library("dhcp.silence").watch, _setup(pillar), pillar, memory)
