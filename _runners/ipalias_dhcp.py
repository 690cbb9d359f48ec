"""
Report on the master what becomes of DHCP pairs, and have a dead server declared dead.

A peer is declared dead where two places find it so: the member that is left, which counts for
itself how long it has been alone, and a witness, which the pillar names and which must reach the
member that is left while it does not reach the other one.
"""

import importlib.util
import logging
import os

import salt.utils.event

log = logging.getLogger(__name__)

__virtualname__ = "ipalias_dhcp"


def _shared():
    """Return what our runners share; the loader passes over its name, so it lies beside us."""
    path = os.path.join(os.path.dirname(__file__), "_ipalias.py")
    spec = importlib.util.spec_from_file_location("ipalias_runners", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_ipalias = _shared()
Trouble = _ipalias.Trouble

KEA = "kea-dhcp4-server"
#: Seconds that a minion has for its answer: Kea itself asks its silent peer for ten.
PATIENCE = 60


def __virtual__():
    return __virtualname__


@_ipalias.answered
def react(minion, kind, what, text):
    """
    Report an event of a minion's beacon; for ``dead``, do what its pillar wants of a reaction.

    Reported is by a line of the master's log and by an event
    ``ipalias/dhcp/MINION/KIND/WHAT`` with what was told and what was done.

    minion
        Minion id.

    kind, what, text
        As the beacon ``ipalias_dhcp`` tells them.

    CLI Example:

    .. code-block:: bash

        salt-run ipalias_dhcp.react dhcp1 silent alert 'dhcp2 is silent'
    """
    report = {"minion": minion, "kind": kind, "what": what, "text": text}
    if (kind, what) == ("dead", "alert"):
        try:
            report["partner down"] = _declared(minion)
        except Exception as error:
            report["partner down"] = {"done": False, "because": str(error)[:600]}
    level = logging.INFO if what == "clear" else logging.WARNING
    log.log(level, "ipalias dhcp: %s: %s %s: %s", minion, kind, what, text)
    if "partner down" in report:
        log.warning("ipalias dhcp: %s: partner down: %s", minion, report["partner down"])
    _fire(report, f"ipalias/dhcp/{minion}/{kind}/{what}")
    return report


@_ipalias.answered
def partner_down(minion):
    """
    Have a member declare its peer dead, as its pillar allows it and a witness confirms it.

    minion
        Minion id of the member that is left.

    CLI Example:

    .. code-block:: bash

        salt-run ipalias_dhcp.partner_down dhcp1
    """
    try:
        done = _declared(minion)
    except Trouble as error:
        done = _refused(str(error))
    return {**done, "comment": done["because"], "retcode": 0 if done["done"] else 1}


def _declared(minion):
    """Return what became of a peer that a member is to declare dead; see `partner_down`."""
    policy = _ask(minion, "ipalias_dhcp.policy")
    if not policy["after"] or not policy["witness"]:
        return _refused("the pillar's partner_down names no time or no witness")
    witness, me, peer = policy["witness"], policy["me"], policy["peer"]
    if witness in (minion, me["name"], peer["name"]):
        return _refused(f"{witness} is of the pair: no second place")
    living = _ask(witness, "ipalias_dhcp.reach", me["address"], me["port"])
    if not living["host"]:
        return _refused(f"{witness} does not reach {me['name']} either: it proves nothing")
    found = _ask(witness, "ipalias_dhcp.reach", peer["address"], peer["port"])
    if not found["dead"]:
        return _refused(f"{witness} finds {peer['name']} alive: its port is {found['port']}")
    if found["host"] and _listens(peer["name"]):
        # A firewall can refuse in the name of a server that goes on serving.
        return _refused(f"{peer['name']} itself says that its server listens")
    done = _ask(minion, "ipalias_dhcp.partner_down", by_policy=True)
    return {"done": done["result"] is True, "because": done["comment"], "notes": done["notes"]}


@_ipalias.answered
def releases(primary, secondary):
    """
    Look whether both members have, or would install, the same release of Kea.

    A member sees its peer's release only when that one's Kea runs, which is too late where the two
    change from ISC to Kea: the second one would be refused, and the pair be apart. The
    orchestration asks this first. With ISC there is nothing to look for.

    primary, secondary
        Minion ids of the members.

    CLI Example:

    .. code-block:: bash

        salt-run ipalias_dhcp.releases dhcp1 dhcp2
    """
    members = [primary, secondary]
    if any(_ask(each, "ipalias_dhcp.policy")["implementation"] != "kea" for each in members):
        return {"result": True, "comment": "the pair is not Kea's on both", "releases": {}}
    found = _texts(members, "pkg.version", KEA)
    missing = [member for member in members if not found[member]]
    if missing:
        found.update(_texts(missing, "pkg.latest_version", KEA))
    shown = ", ".join(f"{member}: {found[member] or 'none'}" for member in members)
    same = len({tuple(found[member].split(".")[:2]) for member in members}) == 1
    if not same or not all(found.values()):
        because = (
            f"{KEA} of one release is wanted on both members ({shown}): take members of one "
            "Debian release, or `implementation: isc`, whose releases understand each other"
        )
        return {"result": False, "comment": because, "releases": found, "retcode": 1}
    return {"result": True, "comment": f"{KEA} of one release ({shown})", "releases": found}


def _texts(minions, function, *args):
    """Return what each minion answers, a text."""
    told = __salt__["salt.execute"](minions, function, arg=args, timeout=PATIENCE, tgt_type="list")
    if not isinstance(told, dict) or set(told) != set(minions):
        silent = sorted(set(minions) - set(told or ()))
        raise Trouble(f"{', '.join(silent)}: no answer to {function}; see `salt-run manage.status`")
    return {minion: str(answer or "") for minion, answer in told.items()}


def _listens(member):
    """Return whether a member says that its server listens; one that says nothing does not."""
    try:
        return _ask(member, "ipalias_dhcp.status")["me"]["listening"] is True
    except (Trouble, KeyError, TypeError):
        return False


def _refused(because):
    return {"done": False, "because": because, "notes": []}


def _ask(minion, function, *args, **kwargs):
    """Return one minion's answer, which is a mapping; a list, for as a pattern an id is many."""
    told = __salt__["salt.execute"](
        [minion], function, arg=args, kwarg=kwargs, timeout=PATIENCE, tgt_type="list"
    )
    answer = told.get(minion) if isinstance(told, dict) else None
    if not isinstance(answer, dict):
        said = f"{function}: {str(answer)[:300]}" if answer else f"no answer to {function}"
        raise Trouble(f"{minion}: {said}")
    return answer


def _fire(report, tag):
    with salt.utils.event.get_event(
        "master", sock_dir=__opts__["sock_dir"], opts=__opts__, listen=False
    ) as bus:
        bus.fire_event(report, tag)
