"""Hold what is against what was planned: kernel and files, after a change and at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .errors import VerifyError
from .ledger import Entry
from .live import LiveAddress, Snapshot
from .model import MAX_PREFIX, Alias, Found
from .plan import Plan, source_differs
from .situation import Situation


def check_live(plan: Plan, after: Snapshot) -> tuple[list[str], bool]:
    """Return what is not yet as planned, and whether waiting is hopeless."""
    now = {address.cidr: address for address in after.on(plan.interface)}
    problems: list[str] = []
    hopeless = False
    explicit = {alias.cidr for alias in plan.live_add} | set(plan.recreate)
    for alias, label in plan.live_wanted:
        problem = address_problem(alias, label if alias.cidr in explicit else None, now)
        if problem:
            problems.append(problem)
            hopeless = hopeless or "dadfailed" in getattr(now.get(alias.cidr), "flags", ())
    for gone in plan.live_remove:
        if gone.cidr in now:
            problems.append(f"{gone.cidr} is still live")
    problems += _losses(plan.situation, plan, now, after)
    return problems, hopeless


def address_problem(
    alias: Alias, label: str | None, now: dict[str, LiveAddress], before: Entry | None = None
) -> str:
    """Return what is wrong with one address in the kernel, or nothing."""
    live = now.get(alias.cidr)
    if live is None:
        # By each prefix it can have: ten thousand missing ones among as many took a minute.
        forms = (f"{alias.address}/{prefix}" for prefix in range(MAX_PREFIX[alias.family] + 1))
        other = [cidr for cidr in forms if cidr in now]
        if other:
            return f"{alias.cidr} is live as {other[0]}: wrong prefix"
        return f"{alias.cidr} is not live"
    if "dadfailed" in live.flags:
        return f"{alias.cidr} is a duplicate: another host has it (DAD failed)"
    if "tentative" in live.flags:
        return f"{alias.cidr} is tentative: duplicate address detection is under way"
    if label is not None and live.label != label:
        return f"{alias.cidr} has label {live.label or 'none'}, not {label}"
    if source_differs(alias, live, before):
        return f"{alias.cidr} can be chosen as a source address (`source: never`)"
    return ""


def _losses(
    situation: Situation, plan: Plan, now: dict[str, LiveAddress], after: Snapshot
) -> list[str]:
    """Return addresses and default routes that fell and should not have."""
    going = {address.cidr for address in plan.live_remove}
    problems = [
        f"{cidr} was live before and is not ours: it is gone"
        for cidr, address in situation.live.items()
        if cidr not in now and cidr not in going and not address.flags & {"dynamic", "temporary"}
    ]
    for family in (4, 6):
        kept = {(r.interface, r.gateway) for r in after.defaults(family)}
        problems += [
            f"the default route via {route.gateway or route.interface} is gone"
            for route in situation.snapshot.defaults(family)
            if (route.interface, route.gateway) not in kept and route.protocol != "ra"
        ]
    return problems


def check_files(plan: Plan, found: Iterable[Found]) -> None:
    """Check that the owner's files, read back, set what the plan wants.

    :raises VerifyError: an alias the files do not set, or one they still set.
    """
    situation = plan.situation.with_found(tuple(found))
    set_now = {item.alias.cidr for item in situation.found}
    wanted = {entry.alias.cidr for entry in plan.entries if entry.file}
    if plan.situation.backend.STORED:
        # There may also be what is somebody else's and was put back.
        wanted |= {alias.cidr for alias in plan.change.added}
    missing = sorted(wanted - set_now)
    gone = {alias.cidr for alias in plan.change.removed} - wanted
    left = sorted(gone & situation.in_our_files & {f.alias.cidr for f in found_ours(situation)})
    if missing or left:
        what = f"{(missing or left)[0]} is {'not' if missing else 'still'} in the files"
        raise VerifyError(what, where=plan.interface, way_out="everything was put back")


def found_ours(situation: Situation) -> Sequence[Found]:
    """Return what the files mark as ours beyond doubt."""
    return [item for item in situation.found if item.ours]
