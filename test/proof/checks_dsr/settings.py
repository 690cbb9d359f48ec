"""Kernel settings that last: who wins, what removal leaves, what ``test=True`` tells."""

from __future__ import annotations

from proof.checks_dsr.scene import (
    PLAIN,
    Scene,
    Server,
    live,
    sysctl_files,
)
from proof.registry import DSR, cases, check, demand
from proof.stage import Stage, shorten
from rig.dsr_network import FIRST, read_sysctl, write_sysctl
from rig.host import BootedHost

NAME = "arp_ignore"
KEY = f"net.ipv4.conf.all.{NAME}"
PATH = f"net/ipv4/conf/all/{NAME}"
#: Read before ours, and after whatever a name in letters can sort behind.
EARLY, LATE = "/etc/sysctl.d/50-other.conf", "/etc/sysctl.d/zzzz-local.conf"
WITH_SYSTEMD = cases(("networkd",))
EVERY = [*PLAIN, *WITH_SYSTEMD]


def prepared(stage: Stage) -> tuple[Scene, Server]:
    """Return a scene whose server has a folder for settings."""
    scene = Scene(stage)
    scene.server.run(["mkdir", "-p", "/etc/sysctl.d"])
    return scene, scene.server


def refused(scene: Scene, server: Server, words: list[str], *named: str) -> None:
    """Demand that a call is refused, naming these, and that nothing has changed."""
    before, value = sysctl_files(server), live(server, NAME)
    said = str(scene.call(server, *words))
    for word in named:
        demand(word in said, f"the refusal does not name {word}: {shorten(said)}")
    demand(sysctl_files(server) == before, f"refused, yet a file changed: {shorten(said)}")
    demand(live(server, NAME) == value, "refused, yet the kernel changed")


@check(501, "our file is read last of those that set a key, or the one that wins is named",
       over=WITH_SYSTEMD, book=DSR)  # fmt: skip
def ours_wins(stage: Stage) -> str:
    """A file that sorts before ours sets another value: ours holds after a reboot. One that sorts
    after ours sets it: refused, its path and line named, and nothing changed; ``effective`` tells
    every place in order and who wins.
    """
    scene, server = prepared(stage)
    with scene:
        assert isinstance(server, BootedHost)
        server.write(EARLY, f"# somebody's\n{KEY} = 2\n")
        told = scene.call(server, "ipalias_sysctl.present", KEY, "1")
        demand(isinstance(told, dict) and told["result"] is True, f"present says {told}")
        server.reboot()
        demand(live(server, NAME) == "1", f"after the reboot {KEY} is {live(server, NAME)}")
        server.write(LATE, f"# somebody's\n\n{KEY} = 2\n")
        [row] = scene.call(server, "ipalias_sysctl.effective", KEY)
        demand(str(row["winner"]).startswith(LATE), f"effective says {row}")
        demand(row["after_boot"] == "2" and row["live"] == "1", f"effective says {row}")
        order = [str(source["where"]).partition(":")[0] for source in row["sources"]]
        demand(order[0] == EARLY and order[-1] == LATE, f"in this order: {order}")
        server.reboot()
        demand(live(server, NAME) == "2", f"it named the wrong winner: {live(server, NAME)}")
        scene.call(server, "ipalias_sysctl.absent", KEY)
        words = ["ipalias_sysctl.present", KEY, "1"]
        refused(scene, server, words, f"{LATE}:3")
        return f"{len(order)} places, the winner named"


@check(502, "removal brings back the value that was found", over=EVERY, book=DSR)
def removal_restores(stage: Stage) -> None:
    """The kernel had 2, by hand; 1 is kept, given up again: 2 is live, and no file of ours is
    left. Wanted by direct server return and by an operator it stays until both give it up, and
    another value is refused, naming who wants this one.
    """
    scene, server = prepared(stage)
    with scene:
        before = sysctl_files(server)
        write_sysctl(server, PATH, 2)
        told = scene.call(server, "ipalias_sysctl.present", KEY, "1")
        demand(isinstance(told, dict) and told["result"] is True, f"present says {told}")
        demand(live(server, NAME) == "1", f"{KEY} is {live(server, NAME)}")
        demand(sysctl_files(server) != before, "it stands in no file")
        told = scene.call(server, "ipalias_sysctl.absent", KEY)
        demand(isinstance(told, dict) and told["result"] is True, f"absent says {told}")
        demand(live(server, NAME) == "2", f"{KEY} is {live(server, NAME)}, not as found")
        left = [path for path, text in sysctl_files(server).items() if before.get(path, "") != text]
        demand(not left, f"not as before: {', '.join(left)}")
        write_sysctl(server, PATH, 0)
        scene.apply(server, FIRST)
        refused(scene, server, ["ipalias_sysctl.present", KEY, "2"], KEY, "dsr")
        scene.call(server, "ipalias_sysctl.present", KEY, "1")
        scene.clean(server)
        demand(live(server, NAME) == "1", "given up although an operator wants it too")
        scene.call(server, "ipalias_sysctl.absent", KEY)
        demand(live(server, NAME) == "0", f"{KEY} is {live(server, NAME)}, not as found")


@check(503, "the second run reports no change and writes nothing", over=EVERY, book=DSR)
def second_run(stage: Stage) -> None:
    """The same call again: no change, the files' times and the kernel as they were."""
    scene, server = prepared(stage)
    with scene:
        words = ("ipalias_sysctl.present", KEY, "1")
        told = scene.call(server, *words)
        demand(isinstance(told, dict) and told["changes"], f"the first run says {told}")
        before = stamps(server)
        again = scene.call(server, *words)
        demand(again["result"] is True and not again["changes"], f"the second run says {again}")
        demand(stamps(server) == before, "the second run wrote a file")
        shown = scene.call(server, *words, "test=True")
        demand(shown["result"] is True and not shown["changes"], f"test=True says {shown}")


@check(504, "test=True tells file and live apart, and has no effect", over=EVERY, book=DSR)
def told_apart(stage: Stage) -> str:
    """File right and live wrong, live right and file gone, both: three different answers, each of
    which is what the run then does; the asking changes nothing.
    """
    scene, server = prepared(stage)
    with scene:
        words = ("ipalias_sysctl.present", KEY, "1")
        scene.call(server, *words)
        [ours] = [path for path, text in sysctl_files(server).items() if f"{NAME} = 1" in text]
        answers = []
        for file, kernel in ((True, False), (False, True), (False, False)):
            if not file:
                server.remove(ours)
            if not kernel:
                write_sysctl(server, PATH, 0)
            before, value = sysctl_files(server), live(server, NAME)
            shown = scene.call(server, *words, "test=True")
            demand(shown["result"] is None, f"test=True says {shown}")
            demand(sysctl_files(server) == before, "test=True wrote a file")
            demand(live(server, NAME) == value, "test=True wrote to the kernel")
            changes = shown["changes"]
            demand(bool(changes.get("files")) is not file, f"of the file it says {changes}")
            demand(bool(changes.get("settings")) is not kernel, f"of the kernel it says {changes}")
            done = scene.call(server, *words)
            demand(done["changes"] == changes, f"shown {changes}, done {done['changes']}")
            demand(read_sysctl(server, PATH) == "1", "the run did not set it")
            answers.append(shown["comment"])
        demand(len(set(answers)) == 3, f"told alike: {answers}")
        return "; ".join(answer.partition(": ")[2] for answer in answers)


def stamps(server: Server) -> str:
    """Return names, times and sizes of the files with settings."""
    return server.run(["ls", "-l", "--time-style=full-iso", "/etc/sysctl.d"]).out
