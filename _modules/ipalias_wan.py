"""
Bring a server with several ways out to the lines that the pillar describes, and look at them.

Routes, policy rules, NAT, kernel settings and the monitor's service in one transaction, which
undoes itself when it cuts the host off. Switching between lines is the monitor's, on the host
and at once; see the formula's ``docs/wan.md``.
"""

import functools
import glob
import importlib.util
import os

import salt.utils.args
import salt.utils.yaml
from salt.exceptions import CommandExecutionError

__virtualname__ = "ipalias_wan"


def __virtual__():
    try:
        _formula().imported("wan.systems")
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
    library = formula.library("wan.systems")
    return library.make(data=block, root=pillar, **formula.surroundings())


def _places():
    """Return the way to the library, and where the monitor's files lie."""
    formula = _formula()
    usual = formula.library("paths").paths_of(formula.library("platforms").system())
    return formula, formula.library("wan.places").Places(state=f"{usual.state}/wan")


def _current():
    """Return the same and the configuration that is in force."""
    formula, places = _places()
    return formula, places, formula.call(formula.library("wan.reports").config, places)


def _on_linux():
    """Return what `_places` does, where the monitor can run."""
    formula, places = _places()
    system = formula.library("platforms").system()
    formula.call(formula.library("wan.reports").refuse_elsewhere, system)
    return formula, places


def _ask(request):
    """Ask the monitor."""
    formula, places = _on_linux()
    return formula.call(formula.library("wan.control").ask, places.socket, request)


def apply(pillar="ipalias", test=None):
    """
    Bring the host to the pillar's ``wan``: settings, routes, rules, NAT and the monitor.

    pillar
        Pillar path of the formula's block.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.apply test=True
    """
    return _formula().mutate(_setup(pillar).managed, test)


def clean(pillar="ipalias", test=None):
    """
    Take all of it away: the monitor, NAT, rules, routes, and the kernel settings as found.

    The default routes of others were never touched, and are in force again.

    pillar
        Pillar path of the formula's block, for its ``guard``.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.clean test=True
    """
    return _formula().mutate(_setup(pillar).absent, test)


def owners(pillar="ipalias"):
    """
    Show whose each default route of the host is, and how ours lives beside it.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.owners
    """
    return _formula().call(_setup(pillar).owners)


# --- what the lines are, and were -----------------------------------------------------------


def status(pillar="ipalias"):
    """
    Show each line: state and since when, loss, latency, the last probes as commands to repeat.

    With the error that each probe ended with, the age of the monitor's last word, the kernel's
    default routes beside those that are wanted, and what each line carries. On OpenBSD and
    FreeBSD, where ifstated watches, state and routes, and on OpenBSD the column ``Use`` of
    ``route show``.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.status
    """
    setup = _setup(pillar)
    if hasattr(setup, "status"):
        return _formula().call(setup.status)
    formula, places, config = _current()
    return formula.call(formula.library("wan.status").status, config, places)


def history(uplink="", limit=50):
    """
    Show transitions, the newest first: when, why, who acted, whether the master knows.

    uplink
        Of this one alone.

    limit
        How many at most.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.history wan1 limit=5
    """
    formula, places = _places()
    limit = formula.call(formula.library("values").parse_int, limit, "limit", 1, 100000)
    delivery, record = formula.library("wan.delivery"), formula.library("wan.record")
    entries = formula.call(delivery.read_entries, places)
    owed = {e.ident for e in record.unacknowledged(entries, delivery.read_position(places))}
    told = formula.library("wan.history").history
    return told(entries, owed, uplink=uplink, limit=limit)


def timeline(path="", hours=24, test=None):
    """
    Draw the last day as SVG, a strip for each line.

    path
        File to write it to, absolute; without one the picture itself is returned.

    hours
        How much it shows, up to 744.

    test
        Draw, and write nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.timeline /srv/www/lines.svg
    """
    formula, places, config = _current()
    hours = formula.call(formula.library("values").parse_int, hours, "hours", 1, 744)
    text = formula.call(formula.library("wan.reports").timeline, config, places, hours)
    return _given(formula, path, text, test)


def metrics(path="", test=None):
    """
    Return the lines' metrics in Prometheus' text form.

    path
        File to write them to, for node_exporter's textfile collector: absolute, ``.prom``.

    test
        Write nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.metrics /var/lib/node_exporter/ipalias_wan.prom
    """
    formula, places = _on_linux()
    text = formula.call(formula.library("wan.reports").metrics, places)
    return _given(formula, path, text, test)


def _given(formula, path, text, test):
    """Return a text, or write it to the file that was named."""
    if not path:
        return text
    test = formula.test_mode(test)
    return formula.call(formula.library("wan.reports").write, path, text, test)


def test(uplink=""):
    """
    See for each target that it leaves by its line's gateway: route, and the first router.

    uplink
        Of this one alone.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.test wan1
    """
    _on_linux()
    formula, _, config = _current()
    reads = formula.surroundings()["host"].run
    check = formula.library("wan.firsthop").check
    return formula.call(check, config, lambda argv: reads(argv).out, uplink)


def simulate(settings=None, pillar="ipalias"):
    """
    Show what other settings would have done over the probes that were recorded.

    settings
        Keys of ``wan`` to put in the place of the pillar's.

    pillar
        Pillar path of the formula's block.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.simulate '{profile: fast}'
    """
    formula, places = _on_linux()
    block = formula.call(formula.library("values").mapping, formula.pillar_at(pillar), pillar)
    simulated = formula.library("wan.reports").simulated
    return formula.call(simulated, block.get("wan"), settings, pillar, places)


# --- an operator's word ---------------------------------------------------------------------


def fail(uplink, expires=None, family=None):
    """
    Take an uplink for down, whatever its probes say, until it is restored.

    uplink
        Its name.

    expires
        After which it is watched again by itself: ``30m``, or seconds; without it never.

    family
        4 or 6; without it both.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.fail wan1 expires=30m
    """
    return _command("fail", uplink, expires, family)


def drain(uplink, expires=None, family=None):
    """
    Give an uplink no new flows; those it has stay, and it is still watched.

    uplink
        Its name.

    expires
        After which it carries new ones again by itself: ``30m``, or seconds.

    family
        4 or 6; without it both.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.drain wan1 expires=2h
    """
    return _command("drain", uplink, expires, family)


def restore(uplink, family=None):
    """
    Undo ``fail`` and ``drain``.

    uplink
        Its name.

    family
        4 or 6; without it both.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.restore wan1
    """
    return _command("restore", uplink, None, family)


def _command(verb, uplink, expires, family):
    """Tell the monitor what an operator says."""
    formula = _formula()
    values = formula.library("values")
    request = {"verb": verb, "uplink": uplink, "by": f"salt{formula.job()}"}
    if expires is not None:
        most = formula.library("wan.control").LONGEST_OVERRIDE
        request["seconds"] = formula.call(
            values.parse_duration, expires, "expires", least=1.0, most=most
        )
    if family is not None:
        request["family"] = formula.call(values.parse_int, family, "family", 4, 6)
    told = _ask(request)
    return {"result": True, "comment": told.get("warning", ""), "expires": expires or "never"}


# --- events ---------------------------------------------------------------------------------


def pending(limit=50):
    """
    Return what the master has not acknowledged, as the beacon sends it.

    limit
        Entries from each end of the journal.

    CLI Example:

    .. code-block:: bash

        salt-call ipalias_wan.pending
    """
    formula, places = _places()
    limit = formula.call(formula.library("values").parse_int, limit, "limit", 1, 1000)
    if os.path.exists(places.reaction):
        # A reaction is a job, and a job a fork of the process that the beacon runs in: what it
        # needs is loaded here, where nobody waits for it.
        for name in ("wan.reports", "wan.reaction"):
            formula.library(name)
    return formula.call(formula.library("wan.delivery").pending, places, limit)


def acknowledge(transitions):
    """
    Take the master's word that it has received transitions; they are not sent again.

    transitions
        An id, or a list of them; unknown ones change nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.acknowledge 5f0c2a52-6b1c-4d0e-9f43-0d7f3b8e4a11-7
    """
    formula, places = _places()
    delivery = formula.library("wan.delivery")
    idents = formula.call(delivery.parse_idents, transitions, "transitions")
    return formula.call(delivery.note_received, places, idents)


def react(transitions, acknowledge=None):
    """
    Switch for transitions, once for each, as far as the monitor leaves that to a reaction.

    What ``ipalias/reactor/wan_event.sls`` runs. Nothing of an event is believed but its id:
    where to switch is asked of the monitor.

    transitions
        An id, or a list of them.

    acknowledge
        Ids that the master has received, see ``ipalias_wan.acknowledge``.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.react 5f0c2a52-6b1c-4d0e-9f43-0d7f3b8e4a11-7
    """
    formula, places = _places()
    delivery = formula.library("wan.delivery")
    idents = formula.call(delivery.parse_idents, transitions, "transitions")
    received = formula.call(delivery.parse_idents, acknowledge or [], "acknowledge")
    # The route first: the master can wait.
    try:
        config = formula.call(formula.library("wan.reports").config_if_any, places)
        told = formula.call(formula.library("wan.reaction").react, config, places, idents)
    finally:
        noted = formula.call(delivery.note_received, places, received) if received else {}
    return {**told, **noted}


def switch():
    """
    Do now what the monitor has left to a reaction; without anything left nothing is done.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.switch
    """
    _on_linux()
    formula, places, config = _current()
    return formula.call(formula.library("wan.reaction").switch, config, places)


def once(transition, function, *args, **kwargs):
    """
    Call a function for a transition, once on this minion however often its event comes.

    For minions that are told of another one's lines. What the function is, the reactor says;
    an event gives its id alone.

    transition
        Its id.

    function
        Name of an execution function; further arguments are its own.

    CLI Example:

    .. code-block:: bash

        salt web1 ipalias_wan.once 5f0c2a52-6b1c-4d0e-9f43-0d7f3b8e4a11-7 state.apply lines
    """
    formula, places = _places()
    delivery = formula.library("wan.delivery")
    ident = formula.call(delivery.parse_ident, transition, "transition")
    if not isinstance(function, str) or function not in __salt__:
        raise CommandExecutionError(f"{str(function)[:80]!r} is not a function")
    kwargs = salt.utils.args.clean_kwargs(**kwargs)
    new = formula.call(delivery.claim, places, ident)
    return {"acted": new, "return": __salt__[function](*args, **kwargs) if new else None}


def report(pillar="ipalias", test=None):
    """
    Have this minion send events: its beacon and, with ``react: event``, its own engine.

    A beacon comes without a restart. An engine does not: where the minion is a service of
    systemd it is started anew when this job has ended, elsewhere that is said.

    pillar
        Pillar path of the formula's block; without ``wan`` in it, all of that is removed.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.report test=True
    """
    formula, places = _places()
    parse = formula.library("wan.config").parse_wan
    system = formula.library("platforms").system()
    block = formula.pillar_at(pillar)
    data = block.get("wan") if isinstance(block, dict) else None
    config = formula.call(parse, data, f"{pillar}:wan", system) if data else None
    return _report(formula, places, config, test)


def unreport(test=None):
    """
    Have this minion send no events of lines any more.

    test
        Show what would be done and do nothing.

    CLI Example:

    .. code-block:: bash

        salt gw1 ipalias_wan.unreport
    """
    formula, places = _places()
    return _report(formula, places, None, test)


def _report(formula, places, config, test):
    """Bring the minion's configuration to what it shall be."""
    reporting = formula.library("wan.reporting")
    main = __opts__.get("conf_file") or ""
    asked = wanted = reporting.reporting(config, places)
    if asked.keys:
        wanted = formula.call(reporting.beside, asked, _yaml_of(main), main)
    included = os.path.dirname(__opts__.get("default_include") or "minion.d/*.conf")
    differing = reporting.changes(wanted, os.path.join(os.path.dirname(main), included), places)
    needed = reporting.needs_restart(asked, __opts__, places)
    service = _service(formula, reporting) if needed else ""
    answer = reporting.answer(differing, bool(service), formula.test_mode(test))
    said = [reporting.BY_HAND] if needed and not service else []
    if answer["result"] is not None and answer["changes"]:
        system = formula.library("system")
        formula.call(formula.library("engine").refuse_unprivileged, system.is_root())
        formula.call(reporting.write, differing)
        said += [_beacon(reporting, asked, places), _restart(formula, reporting, service)]
    answer["notes"] = [note for note in said if note]
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


def _beacon(reporting, wanted, places):
    """Give the beacon to the running minion, or take it; return what is to be said of it."""
    folder = __opts__.get("sock_dir") or ""
    if not glob.glob(os.path.join(folder, "minion_event_*_pull.ipc")):
        return "No minion runs here: the beacon comes with it"
    there = reporting.BEACON in (__opts__.get("beacons") or {})
    if wanted.keys == {} and not there:
        return ""
    verb = ("modify" if there else "add") if wanted.keys else "delete"
    values = [reporting.beacon_of(places)] if wanted.keys else []
    told = __salt__[f"beacons.{verb}"](reporting.BEACON, *values)
    done = told.get("result") or there
    return "" if done else f"The beacon comes with the minion's next start: {told['comment']}"


def _service(formula, reporting):
    """Return the service of systemd whose job this is; empty: none, or none of a minion's."""
    try:
        with open("/proc/self/cgroup", encoding="ascii") as file:
            return reporting.service_of(file.read()) if formula.job() else ""
    except OSError:
        return ""


def _restart(formula, reporting, service):
    """Have the minion started anew after this job; return what is to be said of it."""
    if not service:
        return ""
    host = formula.surroundings()["host"]
    done = host.run(reporting.restarting(service, os.getpid()))
    if done.code:
        return f"{reporting.BY_HAND} ({done.err.strip()[:200]})"
    return f"{service} is started anew when this job has ended"
