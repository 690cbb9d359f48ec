"""Put a store of addresses back as it was before our first change of it (`stores`).

Only what our changes did is undone: what is ours goes, what they took away or gave another
form is as it was, an interface that they made static gets its lease again. What others have
changed since stays, and where that is the same address, a person has to say `force`. VIPs of
direct server return stay: they go with the settings that keep the host silent (`dsrsteps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .backends import ELSEWHERE, Backend, load
from .engine import Answer, Engine
from .errors import RefusedError
from .ledger import ORIGIN_DSR, Entry
from .model import IPV4, Alias, Change, Stored
from .plan import Plan, differing
from .situation import Situation
from .stores import Touched, kept_name, note_path, original_of, parse_note


def kept_stores(engine: Engine) -> dict[str, Backend]:
    """Return the stores that are kept, by the path of what is kept."""
    kept: dict[str, Backend] = {}
    # Linux has no dialect with a store.
    ours = [name for name, system in ELSEWHERE.items() if system == engine.host.system]
    for backend in map(load, ours):
        path = f"{engine.paths.backup}/{kept_name(backend)}"
        if kept_name(backend) and engine.host.exists(path):
            kept[path] = backend
    return kept


def restore_store(
    engine: Engine, backend: Backend, path: str, *, test: bool, force: bool
) -> Answer:
    """Put a store back, all interfaces in one change; the caller holds the lock.

    :param path: what is kept of it.
    :raises RefusedError: somebody else has changed since what would be put back.
    """
    text = engine.host.read(path) or ""
    note = parse_note(engine.host.read(note_path(engine.paths)), note_path(engine.paths))
    config, ledger, snapshot = engine.config_or_none(), engine.ledger(), engine.snapshot()
    ours = [name for name in ledger.interfaces if ledger.backends.get(name) == backend.NAME]
    names = dict.fromkeys([*ours, *note])
    left: dict[str, str] = {}
    plans: list[Plan] = []
    for name in names:
        if name not in snapshot.by_link:
            left[name] = "is not there"
            continue
        settings = engine.settings_to_undo(name, config, ledger)
        situation = engine.situation(name, settings, ledger, snapshot)
        if situation.backend.NAME != backend.NAME:
            left[name] = f"is {situation.backend.NAME}'s by now"
            continue
        was = original_of(backend, text, name)
        options = {k: v for k, v in settings.options.items() if k == "form"}
        task = _Task(situation, was, note.get(name, Touched()), options)
        plans.append(task.plan(engine, force=force))
    forget: list[str] = []
    if not left and not any(plan.entries for plan in plans):
        kept = (f"{engine.paths.backup}/{name}" for name in getattr(backend, "ORIGINALS", {}))
        forget = [each for each in (*kept, note_path(engine.paths)) if engine.host.exists(each)]
    answer = engine.restored(plans, forget, test)
    said = [f"{n} {why}: nothing of it is put back, and {path} stays" for n, why in left.items()]
    comment = answer["comment"]
    if not any(plan.touches_host for plan in plans):
        what = "everything else" if left else "everything"
        comment = ". ".join([f"{path}: {what} of it is in place", *answer["notes"]])
    answer["comment"] = ". ".join([comment, *said])
    return answer


@dataclass(frozen=True)
class _Task:
    """Hold what is known of one interface, now and before our first change."""

    situation: Situation
    was: Stored
    touched: Touched
    options: Mapping[str, object] = field(default_factory=dict)

    def plan(self, engine: Engine, *, force: bool) -> Plan:
        """Return what puts the interface back.

        :raises RefusedError: see `restore_store`.
        """
        situation = self.situation
        added, removed = self._differences(force=force)
        facts = self._to_dhcp(engine, {alias.address for alias in removed}, force=force)
        if facts:
            evidence = situation.evidence
            situation = replace(
                situation, evidence=replace(evidence, facts={**evidence.facts, **facts})
            )
        kept = tuple(e for e in situation.entries.values() if not e.file or e.origin == ORIGIN_DSR)
        vips = ", ".join(e.alias.address for e in kept if e.origin == ORIGIN_DSR)
        note = f"VIPs stay on {situation.interface} ({vips}); `ipalias_dsr.absent` takes them away"
        wanted = tuple((alias, None) for alias in (*added, *_aliases(kept)))
        stay = {alias.cidr for alias, _ in wanted}
        going = tuple(alias.cidr for alias in removed if alias.cidr not in stay)
        change = Change(
            situation.interface,
            situation.evidence,
            tuple(added),
            tuple(removed),
            (),
            tuple(cidr for cidr in situation.foreign_live if cidr not in stay),
            frozenset(situation.live),
            self.options,
            frozenset(stay),
            to_dhcp=bool(facts),
        )
        return Plan(
            situation,
            change,
            (),
            {},
            wanted,
            tuple(alias for alias, _ in wanted if alias.cidr not in situation.live),
            differing(situation, wanted, situation.live),
            tuple(situation.live[cidr] for cidr in going if cidr in situation.live),
            kept,
            (note,) if vips else (),
        )

    def _differences(self, *, force: bool) -> tuple[list[Alias], list[Alias]]:
        """Return what the store shall hold and does not, and what it holds and shall not."""
        held = {found.alias.address: found.alias for found in self.situation.found}
        entries = self.situation.entries.values()
        vips = {entry.alias.address for entry in entries if entry.origin == ORIGIN_DSR}
        ours = {entry.alias.address for entry in entries if entry.file} - vips
        added: list[Alias] = []
        removed: list[Alias] = []
        for address in dict.fromkeys([*ours, *sorted(self.touched.addresses - vips)]):
            old, now = self.was.aliases.get(address), held.get(address)
            if old is None:
                removed += [now] if now is not None else []
            elif now is None:
                added.append(old)
            elif (now.prefix, now.source) != (old.prefix, old.source):
                if address not in ours and not force:
                    self._refuse(f"{now.cidr} was {old.cidr}, and somebody else has set it since")
                added.append(old)
                removed.append(now)
        return added, removed

    def _to_dhcp(self, engine: Engine, going: set[str], *, force: bool) -> dict[str, str]:
        """Return what the way there and back needs to know; nothing where DHCP is as it was."""
        read = getattr(self.situation.backend, "facts_of_static", None)
        lease = self.touched.lease.partition("/")[0]
        if not (lease and self.was.dhcp and read):
            return {}
        now: dict[str, str] = read(engine.host, self.situation.interface, lease)
        if not now:
            return {}
        entries = self.situation.entries.values()
        alone = [e.alias for e in entries if e.live and not e.file and e.alias.family == IPV4]
        if alone:
            raise RefusedError(
                f"{alone[0].cidr}, which is live alone, would switch DHCP off again",
                where=self.situation.interface,
                way_out=f"`ipalias.remove {alone[0].address}` first",
            )
        others = [
            found.alias.cidr
            for found in self.situation.found
            if found.alias.family == IPV4 and found.alias.address not in going | {lease}
        ]
        if others and not force:
            self._refuse(f"DHCP would take {', '.join(others)} away, which somebody else has set")
        return {**now, "set_dns": ",".join(self.was.dns)}

    def _refuse(self, what: str) -> None:
        raise RefusedError(
            what,
            where=self.situation.interface,
            way_out="look at the difference with test=True force=True, then force=True",
        )


def _aliases(entries: tuple[Entry, ...]) -> list[Alias]:
    return [entry.alias for entry in entries if entry.live]
