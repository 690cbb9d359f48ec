"""One of the two is gone: killed, or behind a link that is cut."""

from __future__ import annotations

from proof.checks_dhcp.scene import (
    FIRST,
    MODES,
    NEW,
    PATIENCE,
    Rows,
    config_of,
    demand_files,
    demand_served,
    hashed_to,
    lease,
    normal_pair,
    pairs,
    renew,
)
from proof.registry import DHCP, Missed, check, demand
from proof.stage import Stage, shorten
from rig.dhcp_hosts import DhcpHosts
from rig.dhcp_master import DhcpMaster
from rig.process import wait_until
from saltext.ipalias.dhcp.bounds import CUT, KILL, RFC2131, steady, takeover_bound
from saltext.ipalias.dhcp.model import ISC

#: First number of clients that come after the fault and are the dead server's.
DEAD = 1001
#: Seconds since an answer that came after a cut: that lasts longer.
HEARD = 3.0
#: Seconds in which the first of them has its lease where dhcpd was killed.
AT_ONCE = 1.0


@check(102, "`kill -9` of the primary: takeover, renewals, 50 new clients, back to normal",
       over=[*MODES, *pairs("kea-standby-guide", suites=["bookworm", "trixie"])],
       alone=True, book=DHCP)  # fmt: skip
def killed(stage: Stage) -> str:
    """200 clients hold leases; new clients of the primary's come, one each 100 ms. The first has
    its lease within 1 s (ISC), all of them within the computed bound (Kea). All 200 renew, 50 more
    come, a run of the formula starts the dead server, both are normal, both files have each lease
    once.
    """
    with normal_pair(stage) as scene:
        first = lease(scene, FIRST)
        demand_files(scene, first)
        config = config_of(scene)
        bound = takeover_bound(config, KILL, steady(1.0))
        count = max(5, bound.clients)
        dead = hashed_to(scene, scene.primary, count, DEAD)
        keys = {"again": 0.25, "every": 0.1} if config.implementation == ISC else {"again": 1.0}
        scene.primary.kill()
        rows: Rows = scene.clients.run("lease", dead, 2 * bound.seconds + 10, **keys)
        demand_served(rows, "new clients of the killed server")
        began = min(row["at"] for row in rows.values())
        ended = max(row["seconds"] for row in rows.values())
        told = f"first lease {began:.2f} s, last {ended:.2f} s after it asked"
        told += f" (bound {bound.seconds:.1f} s); " + afterwards(scene, first, rows)
        late = began > AT_ONCE if config.implementation == ISC else ended > bound.seconds
    if late:
        raise Missed(told)
    return told


@check(103, "the link to the primary is cut: its clients are served within the computed bound",
       over=[*pairs("isc-guide", "isc-short"),
             *pairs("kea-short", "kea-guide", "kea-standby", suites=["bookworm", "trixie"])],
       book=DHCP)  # fmt: skip
def cut(stage: Stage) -> str:
    """No frame comes or goes, the carrier stays, the connection hangs. Clients that say how long
    they have waited (RFC 2131), and such as do not: each within its bound, by the guide's numbers
    and by `short`. Renewals, 50 new clients, the link again, normal, files as with a kill.
    """
    with normal_pair(stage) as scene:
        first = lease(scene, FIRST)
        demand_files(scene, first)
        config = config_of(scene)
        isc = config.implementation == ISC
        patient = RFC2131 if isc else steady(1.0)
        bound = takeover_bound(config, CUT, patient)
        silent = takeover_bound(config, CUT, steady(1.0)).service if isc else 0.0
        dead = hashed_to(scene, scene.primary, 3 + max(3, bound.clients), DEAD)
        scene.cut(scene.primary)
        counting = {} if isc else {"again": 1.0}
        rows: Rows = scene.clients.run("lease", dead[3:], 2 * bound.seconds + 10, **counting)
        demand_served(rows, "new clients of the server that is cut off")
        worst = max(row["seconds"] for row in rows.values())
        told = f"served after {worst:.2f} s (bound {bound.seconds:.1f} s)"
        late = worst > bound.seconds
        if isc:
            # These are answered when dhcpd itself has found the silence; they begin to ask as late
            # as the others are served, so this is less than the whole of it.
            limit = 2 * silent + 10
            mute: Rows = scene.clients.run("lease", dead[:3], limit, again=1.0, counts=False)
            demand_served(mute, "clients that do not count")
            whole = worst + max(row["seconds"] for row in mute.values())
            # Its next message, the ping, and the exchange.
            late = late or whole > silent + 1.0 + config.ping_timeout + 0.5
            told += f"; one that does not say how long it waits after {whole:.1f} s"
            told += f" (dhcpd's own silence: {silent:.1f} s)"
            rows = {**rows, **mute}
        told += "; " + afterwards(scene, first, rows, cut_off=True)
    if late:
        raise Missed(told)
    return told


@check(104, "after a cut, whichever of the two asks first: the other one has each lease again",
       over=pairs("kea-short", "kea-standby", suites=["bookworm", "trixie"]),
       book=DHCP)  # fmt: skip
def met(stage: Stage) -> str:
    """Two cuts, new clients in each. Then the survivor alone can ask the other one, as a firewall
    or a heartbeat's moment may have it; the other time the one that was cut off. Both normal, and
    with nothing but the beacons of two minions both files come to hold all leases.
    """
    told = []
    with normal_pair(stage) as scene, DhcpMaster(scene) as master:
        for member in scene.members:
            rows = master.salt(member.name, "state.apply", "ipalias.dhcp")
            bad = [row["comment"] for row in rows.values() if row["result"] is not True]
            demand(not bad, f"state.apply: {shorten('; '.join(bad))}")
        bus = master.listen("salt/beacon/*/ipalias_dhcp/leases/*")
        bound = takeover_bound(config_of(scene), CUT, steady(1.0))
        held: list[Rows] = []
        turns = [(scene.secondary, "the survivor"), (scene.primary, "the one cut off")]
        for turn, (asker, what) in enumerate(turns):
            numbers = range(600 + 100 * turn, 650 + 100 * turn)
            count = max(5, bound.clients)
            dead = hashed_to(scene, scene.primary, count, DEAD + 200 * turn)
            scene.cut(scene.primary)
            keys = {"again": 1.0}
            held.append(scene.clients.run("lease", dead, 2 * bound.seconds + 10, **keys))
            demand_served(held[-1], "new clients of the server that is cut off")
            held.append(lease(scene, numbers, "new clients"))
            state = scene.secondary.state()
            demand(state == "partner-down", f"the survivor is {state}")
            scene.heal_for(asker)
            # Its last answer is from before the cut; with an answer it draws what follows at once.
            wait_until(
                lambda asker=asker: asker.heard() < HEARD,  # type: ignore[misc]
                f"{asker.name} to hear the other one",
                timeout=PATIENCE,
                step=0.2,
            )
            scene.heal()
            scene.await_normal(90.0)
            seconds = demand_files(scene, *held)
            told.append(f"{what} first: the same in both files {seconds:.1f} s after normal")
        said = [data["text"] for _, tag, data in bus.heard if tag.endswith("/alert")]
        demand(not said, f"a beacon cannot fetch: {said}")
    return "; ".join(told)


def afterwards(scene: DhcpHosts, first: Rows, rows: Rows, *, cut_off: bool = False) -> str:
    """Demand that everybody is served by the one that is left, and that the pair comes together."""
    renewed = renew(scene, first)
    others = {row["server"] for row in renewed.values()} - {scene.secondary.address}
    demand(not others, f"renewed by {', '.join(sorted(others))}, which is gone")
    new = lease(scene, NEW, "new clients")
    # A client that a dead one had been chosen for: nobody may have what it has.
    if cut_off:
        scene.heal()
    else:
        scene.apply(scene.primary)
    seconds = scene.await_normal(90.0)
    scene.synchronize()
    files = demand_files(scene, renewed, rows, new)
    wait_until(lambda: all(member.pids() for member in scene.members), "both servers", timeout=5)
    return (
        f"200 renewed, 50 new; normal again after {seconds:.1f} s, "
        f"{200 + len(rows) + 50} leases the same in both files after {files:.1f} s more"
    )
