"""Complaints of other tools' users, each a check with the number it has in that list."""

from __future__ import annotations

from proof.registry import cases, check, demand
from proof.stage import MAIN, SERVICE, Stage, changed, only_added
from rig.host import BootedHost

THREE = ("198.51.100.10", "198.51.100.11", "198.51.100.12")
THREE32 = tuple(f"{address}/32" for address in THREE)

#: Comments, odd blanks and options the formula knows nothing of, as each owner takes them.
ODDITIES = {
    "networkd": "\n; an old-style comment\n[Network]\n# why: ticket 4711\nX-Site = Paris \n",
    "netplan_networkd": "# why: ticket 4711\n\n#   - 198.51.100.99/32   (was here once)\n",
    "netplan_nm": "# why: ticket 4711\n\n#   - 198.51.100.99/32   (was here once)\n",
    "networkmanager": (
        "\n# why: ticket 4711\n[user]\norg.example.site = Paris\n\n[x-site]\na=b ; c\n"
    ),
    "ifupdown": "\tx-site Paris  \\\n\t\tnorth\n\t# why: ticket 4711\n\n#auto eth9\n",
}

#: A bond that stands beside eth0 in the same kind of file, or the same file.
BONDS = {
    "networkd": (
        "/etc/systemd/network/20-bond0.network",
        "[Match]\nName=bond0\n\n[Network]\nAddress=203.0.113.2/24\n# slow switch\n",
    ),
    "netplan_networkd": (
        "/etc/netplan/20-bond.yaml",
        "# slow switch\nnetwork:\n  version: 2\n  bonds:\n    bond0:\n"
        "      interfaces: []\n      parameters: {mode: active-backup}\n",
    ),
    "netplan_nm": (
        "/etc/netplan/20-bond.yaml",
        "# slow switch\nnetwork:\n  version: 2\n  bonds:\n    bond0:\n"
        "      interfaces: []\n      parameters: {mode: active-backup}\n",
    ),
    "networkmanager": (
        "/etc/NetworkManager/system-connections/bond0.nmconnection",
        "# slow switch\n[connection]\nid=bond0\nuuid=0b8c2f54-55c0-4f5e-8a52-0d8f5b1e7a10\n"
        "type=bond\ninterface-name=bond0\nautoconnect=false\n\n[bond]\nmode=active-backup\n\n"
        "[ipv4]\nmethod=manual\naddress1=203.0.113.2/24\n",
    ),
    "ifupdown": (
        MAIN["ifupdown"],
        "\niface bond0 inet static\n\taddress 203.0.113.2/24\n\tbond-slaves none\n"
        "\tbond-mode   active-backup   # slow switch\n\tbond-miimon 100\n",
    ),
}


def append(host: BootedHost, path: str, text: str) -> None:
    """Write text behind what a file holds, with the mode its owner wants."""
    # networkd reads its files as a user of its own; the others' may hold secrets.
    mode = 0o644 if path.startswith(("/etc/systemd", "/etc/network/")) else 0o600
    host.write(path, (host.read(path) or "") + text, mode)


@check(1, "three aliases on one interface are live after one run")
def three_live(stage: Stage) -> None:
    """One ``state.apply ipalias`` brings every alias of the list live and into the files."""
    stage.apply(*THREE)
    stage.demand_live(*THREE32)
    for address in THREE:
        demand(stage.places(address), f"{address} is in no file")


@check(2, "a second run changes nothing, a /32 on eth0 included")
def second_run(stage: Stage) -> None:
    """The run after a run reports no change and leaves files and kernel as they are."""
    stage.apply(*THREE)
    files, live = stage.config(), stage.live()
    again = stage.state()
    demand(not again.changes, f"the second run changed {again.changes}")
    demand(not changed(files, stage.config()), "the second run wrote a file")
    demand(live == stage.live(), "the second run changed the kernel")


@check(3, "an address deleted live is restored by the next run, and reported")
def healed(stage: Stage) -> None:
    """What someone deletes from the kernel comes back with the next run, which says so."""
    stage.apply(*THREE)
    stage.host.ip("address", "del", THREE32[1], "dev", "eth0")
    run = stage.state()
    stage.demand_live(*THREE32)
    demand(run.listed("added") == [THREE32[1]], f"reported as added: {run.listed('added')}")


@check(6, "comments and unknown options are byte-identical after an edit")
def comments_kept(stage: Stage) -> str | None:
    """Every line of a foreign file is still there after the run; cleaning gives its bytes back."""
    path = MAIN[stage.setup]
    stage.boot(lambda host: append(host, path, ODDITIES[stage.setup]))
    # The form that edits the foreign file itself, where there is a choice.
    form = {"form": "post-up"} if stage.setup == "ifupdown" else {}
    before = stage.config()
    stage.apply(*THREE, "2001:db8:1::10", **form)
    after = stage.config()
    for name, (mode, text) in before.items():
        demand(name in after, f"{name} is gone")
        demand(after[name][0] == mode, f"{name} has mode {after[name][0]}, not {mode}")
        demand(only_added(text, after[name][1]), f"{name}: a line of somebody else's changed")
    stage.state("ipalias.clean")
    left = changed(before, stage.config())
    demand(not left, f"not byte-identical after clean: {', '.join(left)}")
    edited = before[path] != after[path]
    return "edited in place" if edited else None


@check(7, "an unrelated bond is unchanged")
def bond_kept(stage: Stage) -> None:
    """A bond described beside eth0 keeps every byte, and nothing is done to it."""
    path, text = BONDS[stage.setup]
    stage.boot(lambda host: append(host, path, text))
    before = stage.config()[path]
    form = {"form": "post-up"} if stage.setup == "ifupdown" else {}
    stage.apply(*THREE, **form)
    stage.demand_live(*THREE32)
    after = stage.config()[path]
    demand(text in after[1] and after[0] == before[0], f"{path}: the bond's lines changed")
    for address in THREE:
        lines = [place.rpartition(": ")[2] for place in stage.places(address)]
        demand(not [line for line in lines if line in text], f"{address} went into the bond")


@check(8, "interfaces.d is never copied into the main file", over=cases(["ifupdown"]))
def include_kept(stage: Stage) -> None:
    """A stanza in ``interfaces.d`` stays there alone, and the file that includes it untouched."""

    def split(host: BootedHost) -> None:
        main = MAIN["ifupdown"]
        head, auto, stanza = (host.read(main) or "").partition("auto eth0\n")
        host.write(main, head)
        host.write("/etc/network/interfaces.d/eth0", f"# by the installer\n{auto}{stanza}")

    stage.boot(split)
    before = stage.config()
    stage.apply(*THREE)
    stage.demand_live(*THREE32)
    after = stage.config()
    touched = [path for path in changed(before, after) if path in before]
    demand(not touched, f"changed: {', '.join(touched)}")
    stage.state("ipalias.clean")
    demand(not changed(before, stage.config()), "not byte-identical after clean")


@check(10, "the job returns and the host answers, nothing restarted")
def answers(stage: Stage) -> None:
    """After the run the host answers on its address, Salt answers, and no unit was restarted."""
    host = stage.host
    ask = ("systemctl", "show", "--property=ActiveEnterTimestampMonotonic", SERVICE[stage.setup])
    before = host.run(ask).out
    stage.apply(*THREE)
    demand(stage.call("test.ping") is True, "test.ping does not answer")
    verdict = stage.call("ipalias.verify")
    demand(isinstance(verdict, dict) and verdict["result"], f"ipalias.verify says {verdict}")
    for address in (host.primary, *THREE):
        demand(stage.segment.ping(address), f"{address} does not answer from the segment")
    demand(host.run(ask).out == before, f"{SERVICE[stage.setup]} was restarted")
    demand(not host.failed_units(), f"failed: {host.failed_units()}")


STALE = (
    "# from before netplan\nauto lo\niface lo inet loopback\n\n",
    "auto eth0\niface eth0 inet static\n\taddress 203.0.113.9/24\n",
)


@check(
    12,
    "on a netplan host /etc/network/interfaces is untouched",
    over=cases(["netplan_networkd", "netplan_nm"]),
)
def interfaces_untouched(stage: Stage) -> None:
    """A stanza for eth0 that nothing reads any more draws no alias to itself."""
    # NetworkManager leaves alone what the file names: there the stanza can only be a comment.
    head, stanza = STALE
    if stage.setup == "netplan_nm":
        stanza = "".join(f"#{line}\n" for line in stanza.splitlines())
    stage.boot(lambda host: host.write(MAIN["ifupdown"], head + stanza))
    before = stage.host.tree("/etc/network")
    stage.apply(*THREE)
    stage.demand_live(*THREE32)
    demand(not changed(before, stage.host.tree("/etc/network")), "/etc/network changed")
    demand(any("/etc/netplan/" in place for place in stage.places(THREE[0])), "not in netplan")


@check(13, "ten runs leave one line for each address")
def ten_runs(stage: Stage) -> None:
    """Ten runs that each have something to mend leave the files of the first one."""
    stage.apply(*THREE)
    files = stage.config()
    for number in range(9):
        stage.host.ip("address", "del", THREE32[number % 3], "dev", "eth0")
        stage.state()
        left = changed(files, stage.config())
        demand(not left, f"run {number + 2} changed {', '.join(left)}")
    stage.demand_live(*THREE32)
    for address in THREE:
        paths = [place.partition(": ")[0] for place in stage.places(address)]
        demand(paths and len(paths) == len(set(paths)), f"{address}: {stage.places(address)}")


@check(17, "the alias is still there after a restart of the owner's service")
def restarted(stage: Stage) -> None:
    """A restart of the service that owns the network, twice, leaves every alias live."""
    stage.apply(*THREE, "2001:db8:1::10")
    for _ in range(2):
        stage.host.run(["systemctl", "restart", SERVICE[stage.setup]])
        stage.host.await_addresses(*stage.own, *THREE32, "2001:db8:1::10/128")
    # Networkd 257 takes away what its files do not have: a word later, not at once.
    stage.call("test.ping")
    stage.demand_live(*THREE32, "2001:db8:1::10/128", when=" after the restart")


@check(18, "twelve aliases added, twelve removed, none left")
def twelve(stage: Stage) -> None:
    """Twelve go in by one run and out by the next; kernel and files are as before."""
    before = stage.config()
    added = stage.apply("198.51.100.20-198.51.100.31")
    demand(len(added.listed("added")) == 12, f"added: {added.listed('added')}")
    stage.demand_live(*(f"198.51.100.{number}/32" for number in range(20, 32)))
    removed = stage.apply()
    demand(len(removed.listed("removed")) == 12, f"removed: {removed.listed('removed')}")
    stage.demand_live()
    left = changed(before, stage.config())
    demand(not left, f"not as before: {', '.join(left)}")
