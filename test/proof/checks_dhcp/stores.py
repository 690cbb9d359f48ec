"""Kea with its leases in a database of each member's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from proof.checks_dhcp.scene import (
    FIRST,
    NEW,
    STORES,
    Rows,
    demand_files,
    demand_single,
    lease,
    pair,
    pairs,
    renew,
)
from proof.registry import DHCP, check, demand
from proof.stage import Stage, shorten
from rig.dhcp_databases import PASSWORD, Database
from rig.dhcp_hosts import DhcpHosts, Member

MAIN = "/etc/kea/kea-dhcp4.conf"
#: What those ask that are new while the second member is down.
LAST = range(501, 531)


@check(107, "leases in a database on each member: none lost, none given twice, whichever is down",
       over=pairs(*(f"kea-{store}" for store in STORES), suites=["bookworm", "trixie"]),
       book=DHCP)  # fmt: skip
def each_its_own(stage: Stage) -> str:
    """A database without tables and a wrong password are refused and nothing is written. 200
    clients of Kea's with files come along when both change at once. One member is killed, and its
    database stopped: the other renews all, by their addresses, and serves 50 new ones; a run on the
    first says why it cannot serve, and it is back by itself when its database is. Then the same
    the other way round. Both databases hold all leases, no password shows.
    """
    store = stage.setup.partition("-")[2]
    with pair(stage) as scene:
        databases = [Database(member.host, store) for member in scene.members]
        scene.apply_both()
        scene.await_normal()
        first = lease(scene, FIRST)
        demand_files(scene, first)
        files = scene.pillar
        told = _refusals(scene, databases)
        scene.pillar = files
        scene.give(kea={"lease_database": databases[0].block})
        for member, database in zip(scene.members, databases, strict=True):
            database.make_tables()
            member.database = database
        # One alone would fetch what its peer has.
        scene.apply_both()
        scene.await_normal()
        demand_files(scene, first)
        told.append(scene.apply(scene.primary))
        changed = [row["comment"] for row in told[-1].values() if row["changes"]]
        demand(not changed, f"a second run: {shorten('; '.join(changed))}")
        rows, back = _without(scene, scene.primary, first, NEW)
        rows, again = _without(scene, scene.secondary, rows, LAST)
        _demand_hidden(scene, told)
    return (
        f"200 leases come along, 80 more while one is down; back in order {back:.1f} s and "
        f"{again:.1f} s after the database"
    )


def _refusals(scene: DhcpHosts, databases: list[Database]) -> list[Mapping[str, Any]]:
    """Demand that what Kea would not start by is refused by name, and costs nothing."""
    answers = []
    for database in databases:
        database.make()
    host = scene.primary.host
    text, pids = host.read(MAIN), scene.primary.pids()
    wrong = {"password": f"{PASSWORD}x"}
    for keys, words in (({}, "kea-admin db-init"), (wrong, "lease_database:password")):
        scene.give(kea={"lease_database": {**databases[0].block, **keys}})
        told = scene.apply(scene.primary, must=False)
        answers.append(told)
        comments = "; ".join(str(row["comment"]) for row in told.values() if not row["result"])
        demand(words in comments, f"{words} is not in: {shorten(comments)}")
        demand(host.read(MAIN) == text, f"{MAIN} was changed")
        demand(scene.primary.pids() == pids, "Kea was touched")
    return answers


def _without(scene: DhcpHosts, member: Member, held: Rows, new: range) -> tuple[Rows, float]:
    """Take a member's server and database away, have all served by the other, and bring it back.

    :return: what all clients have by then, and seconds until both were in order again.
    """
    assert member.database is not None
    member.kill()
    member.database.stop()
    rows = {**renew(scene, held), **lease(scene, new, "new clients")}
    demand_single(held, rows)
    told = scene.apply(member, must=False)
    comments = "; ".join(str(row["comment"]) for row in told.values() if not row["result"])
    demand("lease_database" in comments, f"a run without a database says: {shorten(comments)}")
    member.database.start()
    seconds = scene.await_normal()
    demand_files(scene, rows)
    return rows, seconds


def _demand_hidden(scene: DhcpHosts, answers: list[Mapping[str, Any]]) -> None:
    """Demand that the password stands in no answer and in nothing that was logged."""
    demand(PASSWORD not in json.dumps(answers), "an answer shows the password")
    for member in scene.members:
        # With each field, the command lines of who logs among them.
        logged = member.host.run(["journalctl", "--no-pager", "--output=export"]).out
        demand("COMMAND_RECEIVED" in logged, f"{member.name}: the journal has nothing of Kea's")
        demand(PASSWORD not in logged, f"{member.name}: the journal shows the password")
