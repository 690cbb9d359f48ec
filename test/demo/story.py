"""The steps of the demo: each shows a command, what came of it, and checks that.

A check that fails is printed as such and counts; the demo goes on and ends with code 1.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from typing import Any

import host
import screen
from neighbour import Neighbour

#: Copy of /etc that the operator takes first, as the alias guide says.
BEFORE = "/run/etc.before"
PRIMARY = ("192.0.2.2/24", "2001:db8::2/64")
DELETED = "198.51.100.70/32"
BY_HAND = "198.51.100.12"
#: pillar.example, counted by hand: two single IPv4, one IPv6, a range and a block of 16.
ALIASES = 35


class Story:
    """Tell the story on one host.

    :ivar failed: checks that did not hold.
    """

    def __init__(self, router: Neighbour) -> None:
        self.router = router
        self.passed = 0
        self.failed: list[str] = []
        self.etc = host.files("/etc")
        self.network = host.network("eth0")
        self.aliases: list[str] = []
        self.foreseen: dict[str, str] = {}

    def check(self, good: bool, text: str) -> None:
        """Print and count a check."""
        screen.verdict(good, text)
        if good:
            self.passed += 1
        else:
            self.failed.append(text)

    def call(self, *words: str) -> Any:
        """Show and run ``salt-call``, and return what the function returned."""
        screen.command(["salt-call", *words])
        start = time.monotonic()
        answer = host.salt_call(*words)
        screen.say(f"({time.monotonic() - start:.1f} s)", style="dim")
        return answer

    def apply(self, *words: str) -> dict[str, Any]:
        """Run states and return their changes, joined; print a line on each that matters.

        :raises DemoError: the states could not be compiled.
        """
        answer = self.call(*words)
        if not isinstance(answer, dict):
            raise host.DemoError(f"the states could not be compiled: {answer}")
        changes: dict[str, Any] = {"result": True}
        for tag, state in answer.items():
            if state["result"] is False:
                changes["result"] = False
            elif state["result"] is None and changes["result"]:
                changes["result"] = None
            if state["changes"] or state["result"] is not True:
                screen.say(f"{tag.split('_|-')[1]}: {state['comment']}")
                changes |= state["changes"]
        same = sum(not state["changes"] and state["result"] is True for state in answer.values())
        screen.say(f"{len(answer)} states, {same} of them as wanted already.")
        return changes

    def live(self) -> list[str]:
        """Return the addresses of eth0 in the kernel, link-local ones left out."""
        return [cidr for cidr, _ in live_rows()]

    def show_addresses(self) -> None:
        """Show the addresses of eth0, runs of equal ones in one row."""
        screen.command(["ip", "address", "show", "dev", "eth0"])
        rows = screen.grouped(live_rows())
        screen.table([("address", ""), *rows])

    def show_file(self, path: str) -> None:
        """Show a file."""
        screen.command(["cat", path])
        with open(path, encoding="utf-8") as text:
            for line in text.read().splitlines():
                screen.say(line, 4)

    def changed_files(self) -> dict[str, str]:
        """Return path → unified diff of each file of /etc that differs from the beginning."""
        now = host.files("/etc")
        diffs = {}
        for path in sorted(self.etc.keys() | now.keys()):
            old, new = self.etc.get(path), now.get(path)
            if old != new and (old or new or (0, b""))[1]:
                diffs[path] = unified(path, old, new)
        return diffs

    # -- the steps ----------------------------------------------------------------------

    def tell(self) -> None:
        """Tell all of it."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("The host before", self.before),
            ("A look ahead: test=True shows the change and makes none", self.look_ahead),
            ("One change: the pillar's aliases, on disk and in the kernel", self.bring_up),
            ("A second run finds nothing to do", self.again),
            ("An address is deleted behind its back, seen, and healed", self.heal),
            ("One address by hand, which a highstate leaves alone", self.by_hand),
            ("Everything of ours taken back", self.take_back),
        ]
        for number, (text, step) in enumerate(steps, 1):
            screen.title(f"{number}. {text}")
            step()

    def before(self) -> None:
        """Show addresses and file of the host as it was delivered."""
        self.show_addresses()
        self.show_file(host.NETWORK_FILE)
        screen.command(["cp", "-a", "/etc", BEFORE])
        host.run(["cp", "-a", "/etc", BEFORE])
        self.check(self.live() == list(PRIMARY), "eth0 has its own addresses and no alias")

    def look_ahead(self) -> None:
        """Show what would change, and that nothing did."""
        synced = self.call("saltutil.sync_all")
        kinds = ("modules", "states", "utils")
        self.check(
            all(synced[kind] for kind in kinds),
            f"the minion has the module, the states and the library ({len(synced['utils'])} files)",
        )
        screen.say("The pillar is pillar.example as it stands.")
        changes = self.apply("state.apply", "ipalias", "test=True")
        self.foreseen = changes.get("files", {})
        for text in self.foreseen.values():
            screen.diff(text, 12)
        added = changes.get("addresses", {}).get("added", [])
        self.check(
            changes["result"] is None and len(added) == ALIASES,
            f"{len(added)} addresses and {len(self.foreseen)} file would be added",
        )
        untouched = not self.changed_files() and host.network("eth0") == self.network
        self.check(untouched, "neither a file nor an address changed")

    def bring_up(self) -> None:
        """Apply the pillar and hold files, kernel and wire against it."""
        changes = self.apply("state.apply", "ipalias")
        self.show_addresses()
        diffs = self.changed_files()
        screen.command(["diff", "-ruN", "--no-dereference", BEFORE, "/etc"])
        for text in diffs.values():
            screen.diff(text)
        self.aliases = [cidr for cidr in self.live() if cidr not in PRIMARY]
        added = changes.get("addresses", {}).get("added", [])
        self.check(
            sorted(added) == sorted(self.aliases) and len(added) == ALIASES,
            f"all {ALIASES} aliases are live, and eth0 keeps its own addresses",
        )
        self.check(
            list(diffs) == [host.DROPIN] and changes.get("files") == self.foreseen,
            "one file came, the one that test=True had shown; the delivered one is untouched",
        )
        plain = [cidr.rsplit("/", 1)[0] for cidr in self.aliases]
        there = self.router.answering(plain)
        every = there == set(plain) and len(there) == ALIASES
        self.check(every, f"{len(there)} aliases answer the router on the wire")
        routes = host.network("eth0")["routes"]
        kept = [route for route in self.network["routes"] if route in routes]
        self.check(kept == self.network["routes"], "every route of before is still there")

    def again(self) -> None:
        """Apply once more."""
        changes = self.apply("state.apply", "ipalias")
        self.check(changes == {"result": True}, "no change")

    def heal(self) -> None:
        """Delete an alias in the kernel, look, and let the highstate bring it back."""
        screen.command(["ip", "address", "del", DELETED, "dev", "eth0"])
        host.run(["ip", "address", "del", DELETED, "dev", "eth0"])
        self.check(DELETED not in self.live(), f"{DELETED} is gone from the kernel")
        rows = self.call("ipalias.diff")
        show_diff(rows)
        self.check(
            [(row["address"], row["state"]) for row in rows] == [(DELETED, "missing-live")],
            "`ipalias.diff` names this address, and only this one",
        )
        changes = self.apply("state.highstate")
        self.check(
            changes.get("addresses", {}).get("added") == [DELETED] and "files" not in changes,
            "the highstate added this address and touched nothing else",
        )
        self.check(sorted(self.live()) == sorted([*PRIMARY, *self.aliases]), "all are live again")

    def by_hand(self) -> None:
        """Add an address by hand and run a highstate."""
        answer = self.call("ipalias.add", BY_HAND)
        screen.say(answer["comment"])
        cidr = f"{BY_HAND}/32"
        there = self.router.answering([BY_HAND])
        self.check(cidr in self.live() and bool(there), f"{cidr} is live and answers the router")
        changes = self.apply("state.highstate")
        self.check(changes == {"result": True}, "the highstate has nothing to do")
        rows = self.call("ipalias.diff")
        show_diff(rows)
        found = [(row["address"], row["state"], row["origin"]) for row in rows]
        good = found == [(cidr, "extra", "hand")] and cidr in self.live()
        self.check(good, f"{cidr} is still there, as one more than the pillar has")

    def take_back(self) -> None:
        """Clean, and hold the host against what it was."""
        answer = self.call("ipalias.clean")
        screen.say(answer["comment"])
        self.show_addresses()
        same = host.network("eth0") == self.network
        self.check(same, "addresses and routes are those of the beginning")
        screen.command(["diff", "-r", "--no-dereference", BEFORE, "/etc"])
        now = host.files("/etc")
        other = [
            path for path in now.keys() | self.etc.keys() if now.get(path) != self.etc.get(path)
        ]
        for path in sorted(other):
            screen.say(f"{path} differs", 4)
        self.check(not other, "/etc is byte for byte what it was, modes too")
        plain = [cidr.rsplit("/", 1)[0] for cidr in (*self.aliases, f"{BY_HAND}/32")]
        self.check(not self.router.answering(plain), "no alias answers the router any more")
        screen.say("What stays is /var/lib/ipalias: the ledger, now empty.")


def live_rows() -> list[tuple[str, str]]:
    """Return (address/prefix, note) of eth0 in the kernel's order, IPv4 first."""
    rows = []
    for info in host.network("eth0")["links"][0]["addr_info"]:
        if info["scope"] == "link":
            continue
        cidr = f"{info['local']}/{info['prefixlen']}"
        notes = ["the server's own"] if cidr in PRIMARY else []
        if info.get("label", "eth0") != "eth0":
            notes.append(f"label {info['label']}")
        if info["scope"] == "host":
            notes.append("never a source")
        rows.append((cidr, ", ".join(notes)))
    return sorted(rows, key=lambda row: (":" in row[0], row[0] not in PRIMARY))


def show_diff(rows: list[dict[str, Any]]) -> None:
    """Show the rows of `ipalias.diff`."""
    words = {True: "yes", False: "no"}
    table = [("address", "state", "pillar", "file", "live", "origin")]
    for row in rows:
        file = words[row["file"] is not None]
        columns = (row["address"], row["state"], words[row["pillar"]], file, words[row["live"]])
        table.append((*columns, str(row["origin"])))
    screen.table(table)


def unified(path: str, old: tuple[int, bytes] | None, new: tuple[int, bytes] | None) -> str:
    """Return the unified diff of a file's content."""
    texts = [(state[1] if state else b"").decode("utf-8", "replace") for state in (old, new)]
    names = ["/dev/null" if state is None else path for state in (old, new)]
    lines = difflib.unified_diff(*(text.splitlines() for text in texts), *names, lineterm="", n=1)
    return "\n".join(lines)
