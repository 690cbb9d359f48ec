"""What a reboot leaves, and interfaces that come when the files have been read already."""

from __future__ import annotations

from proof.checks_dsr.scene import (
    ANNOUNCE,
    IGNORE,
    Scene,
    demand_settings,
    effective,
    live,
)
from proof.checks_dsr.silent import traffic
from proof.registry import DSR, Missed, cases, check, demand
from proof.stage import FOLDERS, Stage, Tree, changed, shorten
from rig.dsr_network import FIRST, SECOND
from rig.dsr_programs import Prober
from rig.host import BootedHost
from rig.process import wait_until

#: ifupdown brings up what is there when its service starts; a card that comes later is udev's
#: to tell it, and there is no udev in a namespace.
HOTPLUG = ("networkd", "netplan_networkd", "netplan_nm", "networkmanager")
LATER = ("eth1", "eth1.10")
#: An interface that is up before anybody can have heard of it, and how often it comes.
LINK, TIMES = "late0", 4
BORN = ("link", "add", "link", "eth0", "name", LINK, "up", "type", "macvlan", "mode", "bridge")
#: Seconds between two questions meanwhile.
QUICK = 0.0005
#: Where files of ours may lie, beside the owners' own folders.
OURS = ("/etc/sysctl.d", "/etc/udev/rules.d", "/etc/systemd/system")


def files(host: BootedHost) -> Tree:
    """Return every file that direct server return may have written, the owner's as well."""
    return host.tree(*(folder for folder in (*FOLDERS, *OURS) if host.exists(folder)))


@check(301, "VIPs and settings are there after a reboot on each backend, and gone after clean",
       over=cases(), book=DSR)  # fmt: skip
def after_reboot(stage: Stage) -> str:
    """Every VIP is on ``lo`` as /32 or /128, the settings hold on the NIC, no unit has failed, the
    next run has nothing to do, requests are answered. After clean and another reboot no VIP and
    no setting is left, and the files are as before.
    """
    with Scene(stage) as scene:
        host = scene.booted
        before = files(host)
        found = {name: live(host, name) for name in (IGNORE, ANNOUNCE)}
        scene.apply(host, FIRST, SECOND)
        scene.demand_live(host, FIRST, SECOND)
        host.reboot()
        host.await_addresses(*(f"{vip.v4}/32" for vip in (FIRST, SECOND)))
        host.await_addresses(*(f"{vip.v6}/128" for vip in (FIRST, SECOND)))
        scene.demand_live(host, FIRST, SECOND, when=" after the reboot")
        demand_settings(host, when=" after the reboot")
        demand(not host.failed_units(), f"failed after the reboot: {host.failed_units()}")
        told = scene.state(host)
        demand(not told.changes, f"after the reboot there was to do: {told.changes}")
        traffic(scene)
        carriers = [path for path in changed(before, files(host)) if FIRST.v4 in text(host, path)]
        demand(carriers, "the VIP is in no file")
        scene.clean(host)
        host.reboot()
        scene.demand_live(host, when=" after clean and a reboot")
        left = {name: live(host, name) for name in (IGNORE, ANNOUNCE)}
        demand(left == found, f"after clean and a reboot: {left}, not {found}")
        other = [path for path in changed(before, files(host)) if not of_the_library(path)]
        demand(not other, f"files are not as before: {', '.join(other)}")
        return f"the VIP is in {', '.join(carriers)}"


def text(host: BootedHost, path: str) -> str:
    """Return a file's text, empty where there is none."""
    return host.read(path) or ""


def of_the_library(path: str) -> bool:
    """Tell whether a file belongs to the job at boot that puts back: it stays for good."""
    return path.endswith("/ipalias-restore.service")


@check(19, "arp_ignore is right on the NIC after a reboot, one that comes late as well",
       over=cases(HOTPLUG), book=DSR)  # fmt: skip
def late_card(stage: Stage) -> str:
    """``scope: interfaces``: the settings are of eth0 alone. The host is rebooted with its card
    there from the start, and once more with a card that comes when systemd-sysctl has done its
    work: both times the effective values are right, and nobody answers for the VIP then.
    """
    with Scene(stage) as scene:
        host = scene.booted
        scene.apply(host, FIRST, scope="interfaces")
        own = {name: (live(host, name), live(host, name, "eth0")) for name in (IGNORE, ANNOUNCE)}
        demand(own == {IGNORE: ("0", "1"), ANNOUNCE: ("0", "2")}, f"all and eth0: {own}")
        host.reboot()
        demand_settings(host, when=" after a reboot")
        host.late_card = True
        with scene.prober() as prober:
            prober.begin("boot")
            host.reboot()
            wait_until(lambda: silent_on(host, "eth0"), "the settings of a card that came late")
            gap = prober.end(0)
            prober.begin("after")
            host.await_addresses(*host.awaited)
            scene.demand_live(host, FIRST, when=" after the reboot")
            scene.demand_silent(prober, "after the boot")
        demand_settings(host, when=" on a card that came late")
        return answered(gap.by(*scene.net.servers))


@check(302, "an interface that appears later is silent, its name with dots or without",
       over=cases(("networkd", "ifupdown")), book=DSR)  # fmt: skip
def later_interface(stage: Stage) -> str:
    """Settings are wanted for eth1 and ``eth1.10``, which are gone after the reboot and come while
    the host runs: the product's own listener sets them, once they come and each time they do.
    """
    with Scene(stage) as scene:
        host = scene.booted
        for name in LATER:
            host.plug(name)
        scene.apply(host, FIRST, scope="interfaces", interfaces=["eth0", *LATER])
        for name in LATER:
            demand_settings(host, name)
        host.reboot()
        answers = 0
        with scene.prober() as prober:
            for name in (*LATER, *LATER):
                demand(not host.exists(f"/sys/class/net/{name}"), f"{name} is there already")
                prober.begin(f"{name} comes")
                mac = host.plug(name)
                host.ip("link", "set", name, "up")
                wait_until(lambda name=name: silent_on(host, name), f"the settings of {name}")  # type: ignore[misc]
                answers += prober.end(0).by(mac)
                prober.begin(f"{name} is there")
                scene.demand_silent(prober, f"with {name} there")
                host.ip("link", "del", name)
        demand(not host.failed_units(), f"failed: {host.failed_units()}")
        told = scene.state(host, must=False)
        demand(not told.changes, f"the next run had something to do: {shorten(str(told.changes))}")
        return answered(answers)


@check(303, "an interface that is up the moment it comes is silent at once",
       over=cases(("networkd",)), book=DSR)  # fmt: skip
def born_up(stage: Stage) -> str:
    """A macvlan comes up with its first breath, several times, while another host asks without a
    pause. With ``scope: all`` it never answers. With ``scope: interfaces`` it is for the listener
    to be quick: what was answered before is told as missed, and nothing is afterwards.
    """
    with Scene(stage) as scene, scene.prober(QUICK) as prober:
        host = scene.booted
        scene.apply(host, FIRST)
        for _ in range(TIMES):
            demand(not born(scene, prober), "answered although the whole host is silenced")
        host.ip(*BORN)
        scene.apply(host, FIRST, scope="interfaces", interfaces=["eth0", LINK])
        host.ip("link", "del", LINK)
        found = [born(scene, prober) for _ in range(TIMES)]
        figure = f"scope interfaces: {', '.join(map(str, found))} answers in {TIMES} times"
        if any(found):
            raise Missed(f"{figure}, at a question each {QUICK * 1000:.1f} ms; scope all: none")
        return figure


def born(scene: Scene, prober: Prober) -> int:
    """Let an interface come and go; return the answers before it was seen to be silent."""
    host = scene.booted
    prober.begin("it comes")
    host.ip(*BORN)
    wait_until(lambda: silent_on(host, LINK), f"the settings of {LINK}")
    early = prober.end(0).by_others(scene.balancer)
    prober.begin("it is there")
    scene.demand_silent(prober, f"with {LINK} there")
    host.ip("link", "del", LINK)
    return sum(sum(row.values()) for row in early.values())


def silent_on(host: BootedHost, interface: str) -> bool:
    """Tell whether an interface is there and silent."""
    done = host.exists(f"/proc/sys/net/ipv4/conf/{interface}/{IGNORE}")
    return done and (effective(host, IGNORE, interface), effective(host, ANNOUNCE, interface)) == (
        1,
        2,
    )


def answered(count: int) -> str:
    """Say how often a card answered before its settings were seen."""
    return f"{count} answers between its coming and its settings"
