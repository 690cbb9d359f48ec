"""Addresses into the kernel: the product's way beside plain ``ip -batch`` of a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import places
from measure import RUNS, Pair, Row, Took, process_took

from rig.netns import NetHost, Segment

#: Most that our way may take, as a multiple of ``ip -batch``.
AIM = 1.3

# Runs on the host: one request as `ipalias.add persist=False` makes it, and what of it went
# into the batch and into announcing.
ADD = """
import json, sys, time
began = time.perf_counter()
sys.path.insert(0, sys.argv[1])
from saltext.ipalias import addresses, engine, system
from saltext.ipalias.effects import Send
spent = {"batch": 0.0, "announced": 0.0}

class Host(system.RealHost):
    def command(self, argv, stdin, timeout):
        start = time.perf_counter()
        done = super().command(argv, stdin, timeout)
        if tuple(argv)[:2] == ("ip", "-batch"):
            spent["batch"] += time.perf_counter() - start
        return done

    def perform(self, effect):
        start = time.perf_counter()
        done = super().perform(effect)
        if isinstance(effect, Send):
            spent["announced"] += time.perf_counter() - start
        return done

settings = engine.Settings()
asked = engine.Engine(
    host=Host(), data={}, settings=settings, new_id=system.now_id,
    locked=lambda purpose: system.lock(settings.paths, purpose),
)
aliases = [
    alias
    for index, text in enumerate(open("/run/addresses").read().split())
    for alias in addresses.parse_item(text, "eth0", f"address[{index}]")
]
rehearsal = len(sys.argv) > 2
answer = asked.add(aliases, persist=False, test=rehearsal)
assert answer["result"] is (None if rehearsal else True), answer
spent["inside"] = time.perf_counter() - began
print(json.dumps(spent))
"""

#: An IPv6 address counts as added when it is no longer tentative.
SETTLED = 'while [ -n "$(ip -6 -o address show dev eth0 tentative)" ]; do sleep 0.05; done'


def cases(full: bool) -> list[tuple[str, int, Callable[[int], list[str]], bool, str]]:
    """Return what is added: name, count, addresses, duplicate address detection, note."""
    own = 10_000 if full else 2_000
    return [
        ("IPv4", 10_000, places.ipv4, False, ""),
        (
            "IPv6, one group",
            10_000,
            places.ipv6_one_group,
            False,
            "one solicited-node group for all, detection of duplicates off",
        ),
        (
            "IPv6, a group each",
            own,
            places.ipv6,
            True,
            "detection of duplicates on; the kernel's own work grows with the square here",
        ),
    ]


def measure(full: bool) -> Iterator[Row]:
    """Yield a row for the batch alone and one for the whole, for each kind of address."""
    with Segment() as segment:
        for name, count, addresses, dad, note in cases(full):
            listed = addresses(count)
            alone: list[Pair] = []
            whole: list[Pair] = []
            announced: list[float] = []
            for _ in range(RUNS):
                added, settled = _plain(segment, listed, dad)
                ours, inside = _ours(segment, listed, dad)
                alone.append(Pair(Took(inside["batch"], 0.0), added))
                whole.append(Pair(ours, settled))
                announced.append(inside["announced"])
            what = f"{count:,} {name}"
            yield Row("a  live add", f"{what}: the add", "ip -batch", "ratio", alone, AIM, note)
            more = {"of it announcing to the neighbours": sorted(announced)[len(announced) // 2]}
            yield Row(
                "a  live add", f"{what}: the whole", "ip -batch", "ratio", whole, AIM, more=more
            )


def _plain(segment: Segment, addresses: list[str], dad: bool) -> tuple[Took, Took]:
    """Add by ``ip -batch`` on a host of its own; return the add and all until it is settled."""
    with NetHost(segment, dad=dad) as host:
        lines = (
            f"address add {address}/{128 if ':' in address else 32} dev eth0\n"
            for address in addresses
        )
        host.write("/run/batch", "".join(lines))
        added, _ = process_took(host, ["ip", "-batch", "/run/batch"])
        settled = added
        if ":" in addresses[0]:
            waited, _ = process_took(host, ["sh", "-ec", SETTLED])
            settled = Took(added.wall + waited.wall, added.cpu + waited.cpu)
        assert places.count_live(host) == len(addresses)
        return added, settled


def _ours(segment: Segment, addresses: list[str], dad: bool) -> tuple[Took, dict[str, float]]:
    """Add by the product on a host of its own."""
    with NetHost(segment, dad=dad) as host:
        places.write_files(host, "ifupdown")
        host.run(["cp", "-r", f"{host.checkout}/_utils", "/run/library"])
        # Once without effect, so that the library is compiled as on a minion that ran before.
        python = [host.python, "-c", ADD, "/run/library"]
        host.write("/run/addresses", "\n".join(addresses))
        host.run([*python, "rehearsal"])
        spent, said = process_took(host, python)
        assert places.count_live(host) == len(addresses)
        return spent, json.loads(said.out)


if __name__ == "__main__":
    sys.exit("run bench.py")
