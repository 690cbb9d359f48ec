"""The order in which a real server is made, and unmade: silence first, the VIP second.

Two changes, one after the other under one lock, each of which stands or falls by itself. What
dies between them leaves a host that is silent and has no VIP, which harms nobody; no way back
spans both, for undoing the first while the second stands is what must never be. Removal goes
the other way: the VIPs, and only when none is left the settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import silence, sysctl
from .dsr import DSR, DsrConfig, parse_dsr, parse_vips
from .dsrrefusals import refuse_gateways, refuse_interfaces, refuse_moving, refuse_primaries
from .dsrtuning import Kept
from .effects import Run, run
from .engine import Answer, Engine
from .errors import (
    EffectError,
    InputError,
    IpaliasError,
    OwnerError,
    RefusedError,
    VerifyError,
)
from .host import Result
from .ledger import ORIGIN_UNKNOWN, Ledger
from .live import Snapshot, tools
from .model import Command
from .pillar import Config
from .plan import Plan
from .request import nothing
from .silence import Silence, Wish
from .targets import vips_target
from .transaction import write_ledger
from .values import short
from .vips import held


@dataclass
class Dsr:
    """Hold a request's surroundings.

    :param engine: for the addresses; its lock is held over both steps.
    :param tuning: for the settings; it takes no lock of its own.
    """

    engine: Engine
    tuning: Kept
    _done: list[tuple[str, Answer]] = field(default_factory=list)

    @property
    def system(self) -> Silence:
        """Return what keeps this system silent."""
        return silence.load(self.engine.host.system)

    def config(self) -> DsrConfig:
        """Return the block ``dsr``, checked by itself and against the aliases."""
        self.engine.config()
        return parse_dsr(self.engine.data, self.engine.root, self.engine.host.system)

    # -- requests -----------------------------------------------------------------------

    def managed(self, *, test: bool = False) -> Answer:
        """Bring the VIPs of the pillar about, silent first; without any, see `absent`.

        :raises InputError: a VIP that this host cannot have, an unknown receiving interface.
        :raises RefusedError: a setting that another file or another wanter decides.
        :raises VerifyError: the host is not silent though the settings are set; no VIP then.
        """
        config = self.config()
        if not (config.vips or self._is_something_left()):
            return nothing("No VIP is wanted")
        with self.engine.lock("ipalias_dsr.managed", test):
            if config.vips:
                self._add(config, test)
            else:
                self._remove(config, None, test)
        return self._answer(test)

    def _is_something_left(self) -> bool:
        """Tell whether there is something of ours: by the ledgers, or by what was prepared.

        A run that was cut off right behind the preparing, or before its end, is in no ledger.
        """
        if held(self.engine.ledger()) or self.tuning.wanted():
            return True
        # A host that cannot even be asked has let us prepare nothing.
        with suppress(EffectError):
            return bool(self.system.clear(self.engine.host))
        return False

    def absent(self, vips: Sequence[str] | None = None, *, test: bool = False) -> Answer:
        """Take VIPs away, and the settings with the last.

        :param vips: addresses; None for all of ours.
        :raises InputError: not an address that a VIP can be.
        """
        named = None if vips is None else [vip.address for vip in parse_vips(list(vips), "vips")]
        with self.engine.lock("ipalias_dsr.absent", test):
            self._remove(self._config_or_none(), named, test)
        return self._answer(test)

    def _config_or_none(self) -> DsrConfig:
        """Return the block, or an empty one where it cannot be read: removing needs none."""
        try:
            return self.config()
        except InputError:
            return DsrConfig(where=f"{self.engine.root}:dsr")

    # -- adding -------------------------------------------------------------------------

    def _add(self, config: DsrConfig, test: bool) -> None:
        """Refuse, prepare, silence, look, add: in this order."""
        host, snapshot = self.engine.host, self.engine.snapshot()
        carrier = self.system.loopback(config, snapshot)
        refuse_interfaces(config, snapshot, carrier)
        commands = self.system.prepare(config, host, snapshot)
        refuse_moving(config, snapshot, held(self.engine.ledger()), carrier)
        refuse_primaries(config, snapshot, carrier)
        refuse_gateways(config, snapshot)
        whole = self._with_foreign(config, carrier)
        vips = whole.addresses
        rows = self.tuning.rows(self.system.keys(whole, snapshot))
        values = {row["key"]: row["live"] for row in rows}
        wishes = self._wishes(whole, snapshot, values)
        plan = None
        if carrier in snapshot.by_link and self._is_ready(carrier, wishes, values):
            plan = self._plan(config, carrier, snapshot)
        loud = self.system.faults(whole, snapshot, {**values, **dict(wishes)})
        boot = self.system.faults(whole, snapshot, {**boot_values(rows), **dict(wishes)})
        loud += [f"after a boot: {one}" for one in boot if one not in loud]
        if loud:
            raise RefusedError(
                f"this host would answer for the VIPs: {'; '.join(loud)}",
                where=config.where,
                way_out="nothing was changed; set those to a value that is silent "
                "(`ipalias_sysctl.effective` tells which file sets them)",
            )
        try:
            self._run("prepared", commands, test)
            if commands and not test:
                # What was prepared may be a name: of the adapter, which had another.
                snapshot = self.engine.snapshot()
                values = self.tuning.values(self.system.keys(whole, snapshot))
                wishes = self._wishes(whole, snapshot, values)
            silenced = self.tuning.present(wishes, vips, config.where, test)
        except IpaliasError:
            self._back(config, carrier, test)
            raise
        if carrier not in snapshot.by_link:
            silenced = _without_waiting(silenced, carrier)
        self._done.append(("silence", silenced))
        if not test:
            self._add_vips(config, whole, carrier)
        elif plan is not None:
            self._carry_out("VIPs", plan, test)
        else:
            changes = {"addresses": {"added": [vip.cidr for vip in config.vips]}}
            said = f"Would add {len(config.vips)} VIPs to {carrier}, which is still to be prepared"
            self._done.append(("VIPs", {"result": None, "changes": changes, "comment": said}))
        self._narrow(whole, snapshot, dict(wishes), test)

    def _wishes(
        self, config: DsrConfig, snapshot: Snapshot, values: silence.Values
    ) -> Sequence[Wish]:
        return self.system.wishes(config, snapshot, {**values, **self.tuning.wanted()})

    def _with_foreign(self, config: DsrConfig, carrier: str) -> DsrConfig:
        """Return the block with the VIPs of before that somebody else's line keeps on lo.

        They are taken away by nobody, and have to be kept unanswered for as long as they are.
        """
        theirs = self._foreign(carrier, self.tuning.vips() - {*config.addresses})
        return replace(config, vips=(*config.vips, *parse_vips(sorted(theirs), config.where)))

    def _foreign(
        self, carrier: str, vips: set[str], going: frozenset[str] | set[str] = frozenset()
    ) -> dict[str, str]:
        """Return the VIPs that the carrier has without us, with the place of the line, if any.

        What stands in a file of somebody else is live after the next boot.

        :param vips: what has been a VIP, of which this is asked.
        :param going: of these, what a run would take away.
        """
        snapshot, ledger = self.engine.snapshot(), self.engine.ledger()
        if not vips or carrier not in snapshot.by_link:
            return {}
        ours = {entry.alias.address for entry in ledger.on(carrier).values()} | going
        live = {live.address for live in snapshot.on(carrier)} - ours
        found = dict.fromkeys(sorted(vips & live), "")
        alias = self._alias()
        block = self.engine.settings_of(carrier, alias, ledger)
        # Where nobody owns it any more, no file brings it up.
        with suppress(OwnerError):
            lines = self.engine.situation(carrier, block, ledger, snapshot).foreign_found.values()
            found |= {f.alias.address: f.where for f in lines if f.alias.address in vips}
        return found

    def _narrow(
        self, config: DsrConfig, snapshot: Snapshot, kept: Mapping[str, str], test: bool
    ) -> None:
        """Give up what an earlier scope had set, unless what comes back then would answer."""
        going = [key for key in self.tuning.wanted() if key not in kept]
        if not going:
            return
        now = {**self.tuning.values(self.system.keys(config, snapshot)), **kept}

        def answers(keys: Sequence[str]) -> list[str]:
            return self.system.faults(config, snapshot, {**now, **self.tuning.without(keys)})

        silent = [key for key in going if not answers([key])]
        staying = [key for key in going if key not in silent or answers(silent)]
        for key in staying:
            back = self.tuning.without([key]).get(key)
            said = f"{key} stays: what would come back, {back}, answers for the VIPs"
            self._done.append(("silence", {**_said(said), "notes": [said]}))
        self._give_up([key for key in going if key not in staying], test)

    def _is_ready(self, carrier: str, wishes: Sequence[Wish], values: silence.Values) -> bool:
        """Tell whether the carrier itself has what is wished for: else it takes no VIP yet."""
        about = sysctl.load(self.engine.host.system).interface_of
        return all(values.get(key) == want for key, want in wishes if about(key) == carrier)

    def _add_vips(self, config: DsrConfig, whole: DsrConfig, carrier: str) -> None:
        """Add the VIPs to a host that is silent by what is live now.

        A host that was to be silenced for VIPs which then cannot be added, and has none, gets
        its settings back.
        """
        try:
            snapshot = self.engine.snapshot()
            values = self.tuning.values(self.system.keys(whole, snapshot))
            loud = self.system.faults(whole, snapshot, values)
            if loud:
                raise VerifyError(
                    f"the settings are set, and this host would answer all the same: "
                    f"{'; '.join(loud)}",
                    where=config.where,
                    way_out="no VIP was added",
                )
            self._carry_out("VIPs", self._plan(config, carrier, snapshot), False)
            remarks = self.system.remarks(config, self.engine.host, snapshot, values)
            if remarks:
                self._done.append(("note", {**_said("; ".join(remarks)), "notes": remarks}))
        except IpaliasError:
            self._back(config, carrier, False)
            raise

    def _back(self, config: DsrConfig, carrier: str, test: bool) -> None:
        """Give up what a host has been prepared for, where no VIP came of it."""
        if test or self._left(config, carrier):
            return
        self._give_up(list(self.tuning.wanted()), False)
        self._run("cleared", self.system.clear(self.engine.host), False)

    def _plan(self, config: DsrConfig, carrier: str, snapshot: Snapshot) -> Plan:
        """Return the plan of the VIPs.

        :raises InputError: one that this host cannot have.
        """
        ledger, alias = self.engine.ledger(), self.engine.config()
        block = self.engine.settings_of(carrier, alias, ledger)
        situation = self.engine.situation(carrier, block, ledger, snapshot)
        target = vips_target(situation, config.on(carrier), adopt=block.adopt)
        return self.engine.plan(situation, target, block)

    # -- removing -----------------------------------------------------------------------

    def _remove(self, config: DsrConfig, vips: Sequence[str] | None, test: bool) -> None:
        """Take VIPs away wherever the ledger has them, then the settings if none is left."""
        ledger, snapshot, alias = self.engine.ledger(), self.engine.snapshot(), self._alias()
        # Read before anything is taken away: a damaged ledger changes nothing.
        settings = list(self.tuning.wanted())
        carrier_now = self.system.loopback(config, snapshot)
        found = self._unlisted(carrier_now, alias, {*(vips or ()), *self.tuning.vips()})
        ours = held(ledger)
        if found:
            ours = {**ours, carrier_now: [*ours.get(carrier_now, ()), *found]}
        going = set(vips) if vips is not None else {a for listed in ours.values() for a in listed}
        known = {address for listed in ours.values() for address in listed}
        for vip in sorted(going - known):
            self._done.append(("VIPs", _said(f"{short(vip)} is no VIP of ours")))
        going &= known
        for carrier, listed in ours.items():
            if not going & set(listed):
                continue
            if carrier not in snapshot.by_link:
                ledger = self._forget(carrier, going, ledger, test)
                continue
            block = self.engine.settings_of(carrier, alias, ledger)
            situation = self.engine.situation(carrier, block, ledger, snapshot)
            staying = [
                entry.alias
                for entry in ledger.on(carrier).values()
                if entry.origin == DSR and entry.alias.address not in going
            ]
            target = vips_target(situation, staying)
            left_over = tuple(e for e in target.entries if e.alias.address not in found & going)
            plan = self.engine.plan(situation, replace(target, entries=left_over), block)
            self._carry_out("VIPs", plan, test)
            ledger = ledger if test else self.engine.ledger()
        carrier = self.system.loopback(config, snapshot)
        gone = going if test else set[str]()
        left = self._left(config, carrier, gone)
        if left:
            said = f"The settings stay: {', '.join(sorted(left)[:5])} is still on {carrier}"
            theirs = self._foreign(carrier, self.tuning.vips(), gone)
            if theirs:
                named = ", ".join(sorted(theirs)[:5])
                places = ", ".join([where for where in theirs.values() if where][:5])
                said += f"; {named} is not ours: take it away, then run this again"
                said += f" (set by {places})" if places else ""
            self._done.append(("silence", _said(said)))
            return
        self._give_up(settings, test)
        self._run("cleared", self.system.clear(self.engine.host), test)

    def _unlisted(self, carrier: str, alias: Config, vips: set[str]) -> set[str]:
        """Return the VIPs that a file of ours holds and the ledger, which was lost, does not.

        :param vips: what has been a VIP, or is named as one.
        """
        ledger, snapshot = self.engine.ledger(), self.engine.snapshot()
        known = {entry.alias.address for entry in ledger.on(carrier).values()}
        if carrier not in snapshot.by_link or not vips - known:
            return set()
        block = self.engine.settings_of(carrier, alias, ledger)
        situation = self.engine.situation(carrier, block, ledger, snapshot)
        unknown = {
            e.alias.address for e in situation.entries.values() if e.origin == ORIGIN_UNKNOWN
        }
        return unknown & vips

    def _forget(self, carrier: str, going: set[str], ledger: Ledger, test: bool) -> Ledger:
        """Forget VIPs of an interface that somebody has taken away: they went with it."""
        staying = [
            entry
            for entry in ledger.on(carrier).values()
            if entry.origin != DSR or entry.alias.address not in going
        ]
        after = ledger.with_interface(carrier, staying, ledger.backends.get(carrier, ""))
        if not test:
            run(write_ledger(after, self.engine.settings), self.engine.host.perform)
        self._done.append(("VIPs", _said(f"{carrier} is gone, and its VIPs with it")))
        return ledger if test else after

    def _left(
        self, config: DsrConfig, carrier: str, going: frozenset[str] | set[str] = frozenset()
    ) -> set[str]:
        """Return the VIPs that are left: in the ledger, or on the carrier all the same.

        :param going: those that a run would take away.
        """
        known = {a for listed in held(self.engine.ledger()).values() for a in listed}
        live = {live.address for live in self.engine.snapshot().on(carrier)}
        theirs = self._foreign(carrier, self.tuning.vips(), going)
        return {*((known | (live & {*config.addresses})) - going), *theirs}

    def _alias(self) -> Config:
        try:
            return self.engine.config()
        except InputError:
            return Config()

    # -- what both share ----------------------------------------------------------------

    def _give_up(self, keys: Sequence[str], test: bool) -> None:
        if keys:
            self._done.append(("silence given up", self.tuning.absent(keys, test)))

    def _carry_out(self, step: str, plan: Plan, test: bool) -> None:
        alias = self._alias()
        answer = self.engine.carry_out([plan], alias, alias.base, test)
        self._done.append((step, answer))

    def _run(self, step: str, commands: Sequence[Command], test: bool) -> None:
        """Run commands, or tell them."""
        if not commands:
            return
        for command in () if test else commands:
            effect = Run(command, check=False)
            result: Result = self.engine.host.perform(effect)
            if result.code not in command.ok:
                reason = tools.failure(self.engine.host.system, result)[1]
                where = command.told or f"`{' '.join(command.argv)}`"
                raise EffectError(f"exit {result.code}: {reason}", where=where)
        said = [command.told or " ".join(command.argv) for command in commands]
        verb = "Would run" if test else "Ran"
        answer = {"result": None if test else True, "changes": {step: said}}
        self._done.append((step, {**answer, "comment": f"{verb} {'; '.join(said)}"}))

    def _answer(self, test: bool) -> Answer:
        """Join the steps' answers into one, in their order."""
        changes: dict[str, Any] = {}
        for _, answer in self._done:
            for kind, block in answer["changes"].items():
                merged = isinstance(block, Mapping) and isinstance(changes.get(kind), Mapping)
                changes[kind] = {**changes[kind], **block} if merged else block
        undecided = test and any(answer["result"] is None for _, answer in self._done)
        return {
            "result": None if undecided else True,
            "changes": changes,
            "notes": [note for _, answer in self._done for note in answer.get("notes", ())],
            "comment": ". ".join(f"{step}: {answer['comment']}" for step, answer in self._done),
        }


def _without_waiting(answer: Answer, carrier: str) -> Answer:
    """Return an answer without the note that a carrier, which a run makes first, is missing."""
    waiting = [note for note in answer["notes"] if note.startswith(f"{carrier}: not there yet")]
    comment = answer["comment"]
    for note in waiting:
        comment = comment.replace(f". {note}", "")
    notes = [note for note in answer["notes"] if note not in waiting]
    return {**answer, "notes": notes, "comment": comment}


def boot_values(rows: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return what a boot makes of settings; what no file sets is what the kernel begins with."""
    return {row["key"]: row["after_boot"] or (row["live"] and "0") for row in rows}


def _said(comment: str) -> Answer:
    return {"result": True, "changes": {}, "comment": comment}
