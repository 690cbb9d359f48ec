"""Rendering and reading of each dialect's files, which has to grow with the list and no faster."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import places
from measure import RUNS, Pair, Row, Took, took

from rig.tree import TreeHost
from saltext.ipalias.backends import Backend, load
from saltext.ipalias.model import Alias, Wanted

#: Ten times the aliases may take this many times as long: linear, and some noise.
AIM = 13.0
SMALL, LARGE = 1_000, 10_000
DIALECTS = ("ifupdown", "networkd", "netplan", "networkmanager")


def measure(full: bool) -> Iterator[Row]:
    """Yield a row for rendering and one for reading, ten thousand beside a thousand."""
    for dialect in DIALECTS:
        backend = load(dialect)
        rendering: list[Pair] = []
        reading: list[Pair] = []
        for _ in range(RUNS):
            render_small, read_small = _once(backend, SMALL)
            render_large, read_large = _once(backend, LARGE)
            rendering.append(Pair(render_large, render_small))
            reading.append(Pair(read_large, read_small))
        for verb, pairs in (("render", rendering), ("parse", reading)):
            what = f"{dialect}: {verb} {LARGE:,}"
            yield Row("e  files", what, f"{SMALL:,}", "ratio", pairs, AIM)


def _once(backend: Backend, count: int) -> tuple[Took, Took]:
    """Return what rendering and then reading that many aliases took, on a tree of files."""
    with tempfile.TemporaryDirectory() as folder:
        host = TreeHost(Path(folder), {})
        host.link("eth0", 2)
        path, text, _ = places.FILES[backend.NAME]
        host.write(path, text.format(v4="192.0.2.2", v6="2001:db8::2"))
        evidence = backend.assume(host, "eth0")
        aliases = tuple(
            Alias(address, 32, "eth0", number=number if backend.NUMBERED else None)
            for number, address in enumerate(places.ipv4(count))
        )
        wanted = Wanted("eth0", aliases, evidence)
        rendered, files = took(lambda: backend.render(wanted, host))
        host.store(files)
        read, found = took(lambda: backend.parse(host, evidence))
        assert {item.alias.cidr for item in found} >= {alias.cidr for alias in aliases}
        return _processor(rendered), _processor(read)


def _processor(spent: Took) -> Took:
    """Return the processor's time for both: nothing is waited for here."""
    return Took(spent.cpu, spent.cpu)


if __name__ == "__main__":
    sys.exit("run bench.py")
