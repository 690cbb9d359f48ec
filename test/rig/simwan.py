"""The kernel's part of multi-WAN in memory, and scenes of its configuration for the matrices."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from rig.simhost import STATE, SimHost
from rig.simowners import machine
from rig.simsysctl import Systemctl
from rig.wanhosts import PILLAR, SOURCES, SOURCES6
from saltext.ipalias.engine import Answer
from saltext.ipalias.host import Result
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.kernel import Address, Group, Kernel, Link, Nexthop, Route, Rule
from saltext.ipalias.wan.linuxsetup import LinuxSetup
from saltext.ipalias.wan.live import Found
from saltext.ipalias.wan.nat import expected
from saltext.ipalias.wan.routes import Change, plan, removal
from saltext.ipalias.wan.standing import taken_over
from saltext.ipalias.wan.stored import parse_config, render_config
from saltext.ipalias.wan.switch import Done

SCENES = ("first", "other", "clean")
UNIT = "/etc/systemd/system/ipalias-wan.service"
WANTED = "/etc/systemd/system/multi-user.target.d/ipalias-wan.conf"
CONFIG = f"{STATE}/wan/config.json"
_ids = itertools.count(1)
#: One uplink with what it needs on the link.
HOST = Kernel(
    {
        name: Link(number, name, True, True)
        for number, name in enumerate(("lo", "lan0", "wan1", "wan2"), 1)
    },
    (
        *(Address(name, 4, address, 25) for name, address in SOURCES.items()),
        *(Address(name, 6, address, 64) for name, address in SOURCES6.items()),
    ),
)


def after(kernel: Kernel, changes: Sequence[Change]) -> Kernel:
    """Return what the kernel makes of changes, refusing what it refuses."""
    routes, rules = list(kernel.routes), list(kernel.rules)
    objects = {item.ident: item for item in (*kernel.nexthops, *kernel.groups)}
    for item, delete in changes:
        match item:
            case Route() if delete:
                if item in routes:
                    routes.remove(item)
            case Route():
                if item.group:
                    assert isinstance(objects.get(item.group), Group), item
                _replace_route(routes, item)
            case Rule() if delete:
                if item in rules:
                    rules.remove(item)
            case Rule():
                assert item not in rules, "EEXIST"
                rules.append(item)
            case Nexthop() | Group() if delete:
                objects.pop(item.ident, None)
                objects = _without_member(objects, item.ident)
                routes = [r for r in routes if not r.group or r.group in objects]
            case Nexthop():
                old = objects.get(item.ident)
                assert not isinstance(old, Group), "EINVAL: a group is no nexthop"
                assert old is None or old.family == item.family, "EINVAL: another family"
                assert kernel.links[item.hop.interface].carrier, "ENETDOWN"
                objects[item.ident] = item
            case Group():
                held = objects.get(item.ident)
                assert not isinstance(held, Nexthop), "EINVAL: a nexthop is no group"
                assert held is None or held.resilient == item.resilient, "EINVAL: another type"
                for ident, _ in item.members:
                    assert isinstance(objects.get(ident), Nexthop), f"no nexthop {ident}"
                objects[item.ident] = item
    return kernel._replace(
        routes=tuple(routes),
        rules=tuple(rules),
        nexthops=tuple(o for o in objects.values() if isinstance(o, Nexthop)),
        groups=tuple(o for o in objects.values() if isinstance(o, Group)),
    )


def _replace_route(routes: list[Route], new: Route) -> None:
    for at, old in enumerate(routes):
        same = old.family == 4 or (old.kind, bool(old.group)) == (new.kind, bool(new.group))
        if old.place == new.place and same:
            routes[at] = new
            return
    routes.append(new)


def _without_member(objects: dict[int, Nexthop | Group], gone: int) -> dict[int, Nexthop | Group]:
    left: dict[int, Nexthop | Group] = {}
    for ident, item in objects.items():
        if isinstance(item, Group):
            members = tuple(m for m in item.members if m[0] != gone)
            if not members:
                continue
            item = item._replace(members=members)
        left[ident] = item
    return left


class SimWan:
    """Hold routes, rules, nexthops and the table of NAT rules."""

    def __init__(self) -> None:
        self.kernel = HOST

    def found(self, text: str) -> Found:
        """Answer `effects.ReadWan`."""
        return Found(self.kernel, self.kernel.routes)

    def set(self, before: str, after_: str) -> Done:
        """Do `effects.SetWan`, as `wan.live.set_wan` does."""
        if not after_:
            numbers = parse_config(before, CONFIG).numbers
            gone = removal(numbers, self.kernel)
            self.kernel = after(self.kernel, gone)._replace(nat=None)
            return Done(tuple(change.text() for change in gone))
        config = parse_config(after_, CONFIG)
        former = parse_config(before, CONFIG) if before else None
        wanted = taken_over(config, former, self.kernel)
        planned = plan(config, wanted, self.kernel)
        self.kernel = after(self.kernel, planned.changes)._replace(nat=expected(config))
        return Done(tuple(change.text() for change in planned.changes))

    def state(self) -> dict[str, Any]:
        """Return what is ours, to compare."""
        kernel = self.kernel
        items = (*kernel.routes, *kernel.rules, *kernel.nexthops, *kernel.groups)
        return {"items": sorted(item.text() for item in items), "nat": kernel.nat}


class _Systemctl(Systemctl):
    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        done = super().__call__(argv, stdin)
        if argv[1:2] == ["restart"] and done.code == 0:
            start(self.host)
        return done


def start(host: SimHost) -> None:
    """Do what the monitor does at its start: bring the kernel to the configuration."""
    text = host.files.read(CONFIG)
    if text is not None:
        host.wan.set(text, text)


def linux() -> SimHost:
    """Return a host with systemd, a LAN and two lines."""
    host = machine({}, links=("eth0", "lan0", "lan1", "wan1", "wan2"))
    host.files.make_folders("/run/systemd/system")
    host.files.make_folders("/etc/systemd/system")
    host.programs["systemctl"] = _Systemctl(host)
    host.wan = SimWan()
    host.owner = "wan"
    return host


def boot(host: SimHost) -> None:
    """Do what a boot does: the service, where its files are there."""
    host.wan.kernel = HOST
    host.services.clear()
    if all(host.files.read(path) is not None for path in (UNIT, WANTED, CONFIG)):
        host.services.add(UNIT.rpartition("/")[2])
        start(host)


def block(**keys: Any) -> dict[str, Any]:
    """Return a block ``wan``, with some keys changed."""
    return {**copy.deepcopy(PILLAR), **keys}


def bring(data: dict[str, Any] | None) -> Callable[[SimHost], Answer]:
    """Return the request that brings a host to a block, without the kernel settings."""

    def request(host: SimHost) -> Answer:
        setup = LinuxSetup(
            host, new_id=lambda: f"wan-{next(_ids):06d}", interpreter="/usr/bin/python3"
        )
        if data is None:
            return setup.bring(None, "")
        return setup.bring(parse_wan(data), render_config(data))

    return request


def scene_of(name: str) -> tuple[SimHost, Callable[[SimHost], Answer]]:
    """Return a host as it is before a change of the configuration, and the request for it."""
    host = linux()
    host.files.put("/etc/unrelated", "kept\n")
    request = bring(block())
    if name != "first":
        request(host)
        one = {"wan2": copy.deepcopy(PILLAR["uplinks"]["wan2"])}
        other = block(uplinks=one, nat={"networks": ["192.0.2.0/26"]})
        request = bring(None if name == "clean" else other)
    host.log.clear()
    return host, request
