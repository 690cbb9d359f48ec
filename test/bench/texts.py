"""Rendering and reading of each dialect's files, which has to grow with the list and no faster."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import places
from measure import RUNS, Pair, Row, Took, took

from rig import plat
from rig.simnm import OWNERS
from rig.tree import TreeHost
from saltext.ipalias.backends import Backend, load
from saltext.ipalias.model import Alias, Wanted

#: Ten times the aliases may take this many times as long: linear, and some noise.
AIM = 13.0
SMALL, LARGE = 1_000, 10_000
DIALECTS = ("ifupdown", "networkd", "netplan", "networkmanager")
#: The same for dialects on simulated hosts: what Solaris' kernel can be told to hold.
SIMULATED, SIMULATED_AIM = 8_000, 10.4
#: What lasts there is no file.
STORES = ("ipadm", "windows")
Once = Callable[[Backend, int], "tuple[Took, Took]"]


def measure(full: bool) -> Iterator[Row]:
    """Yield a row for rendering and one for reading, ten thousand beside a thousand."""
    for dialect in DIALECTS:
        yield from _rows(load(dialect), LARGE, AIM, _once)
    for dialect in plat.NAMES:
        if dialect not in STORES:
            yield from _rows(load(dialect), SIMULATED, SIMULATED_AIM, _simulated)


def _rows(backend: Backend, large: int, aim: float, once: Once) -> Iterator[Row]:
    rendering: list[Pair] = []
    reading: list[Pair] = []
    for _ in range(RUNS):
        render_small, read_small = once(backend, SMALL)
        render_large, read_large = once(backend, large)
        rendering.append(Pair(render_large, render_small))
        reading.append(Pair(read_large, read_small))
    for verb, pairs in (("render", rendering), ("parse", reading)):
        what = f"{backend.NAME}: {verb} {large:,}"
        yield Row("e  files", what, f"{SMALL:,}", "ratio", pairs, aim)


def _simulated(backend: Backend, count: int) -> tuple[Took, Took]:
    """Return what rendering and reading took on a simulated host of the platform."""
    host = OWNERS[backend.NAME]()
    evidence = backend.detect(host, "eth0")
    # What the kernel holds as it comes is refused beyond; here it has been raised.
    evidence = replace(evidence, facts={**evidence.facts, "limit": "8192"})
    aliases = tuple(
        Alias(address, 32, "eth0", number=number if backend.NUMBERED else None)
        for number, address in enumerate(places.ipv4(count), 1)
    )
    rendered, files = took(lambda: backend.render(Wanted("eth0", aliases, evidence), host))
    for file in files:
        if file.text is not None:
            host.files.put(file.path, file.text, file.mode)
    read, found = took(lambda: backend.parse(host, evidence))
    assert {item.alias.address for item in found} >= {alias.address for alias in aliases}
    return _processor(rendered), _processor(read)


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
