"""Keep kernel settings: live, after a boot, and as they were once nobody wants them.

One engine for all who need one: an operator, the pillar, direct server return, multi-WAN.
Each is a *wanter*; a setting is ours while it has one, and the last one's leaving brings
back what was there before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from . import ledger, platforms, sysctl
from .bootunit import Program
from .effects import Effects, Freeze, ReadLive, run
from .errors import EffectError, InputError
from .frozen import CURRENT
from .guarded import Verdict
from .request import Answer, Request
from .silence import linux
from .sysctl import report, same_value, service
from .sysctl.apply import apply, write_entries
from .sysctl.cuts import refuse_lost_router
from .sysctl.ledger import Entries, Entry, parse_ledger
from .sysctl.plan import UNKNOWN, Plan, given_up, make_plan, wanted_too
from .values import mapping, short
from .vips import forgotten, held, refuse_forgotten, refuse_loud

#: Who may want a setting.
HAND, PILLAR, DSR, WAN = "hand", "pillar", "dsr", "wan"
WANTERS = (HAND, PILLAR, DSR, WAN)


@dataclass(frozen=True)
class Setting:
    """Hold one setting as it shall be.

    :param key: canonical (`sysctl.Store.parse_key`): dots between the parts, or slashes where
        a part has dots of its own (``net/ipv4/conf/eth0.10/arp_ignore``).
    :param value: as the kernel takes it.
    :param where: pillar path or argument it came from; no part of its identity.
    :param vips: the addresses that it is wanted for by direct server return.
    """

    key: str
    value: str
    where: str = field(default="", compare=False)
    vips: tuple[str, ...] = field(default=(), compare=False)


def parse_settings(data: object, where: str, system: str) -> list[Setting]:
    """Read a mapping of keys and values.

    :param where: pillar path of the mapping.
    :raises InputError: not a key or a value of this system; the same key twice.
    """
    settings: dict[str, Setting] = {}
    for key, value in mapping(data, where).items():
        plain = isinstance(key, str) and key.isprintable() and len(key) <= 80
        setting = parse_setting(key, value, f"{where}:{key if plain else short(key)}", system)
        if setting.key in settings:
            raise InputError(f"{setting.key} stands there twice", where=setting.where)
        settings[setting.key] = setting
    return list(settings.values())


def parse_setting(key: object, value: object, where: str, system: str) -> Setting:
    """Read one key and its value.

    :raises InputError: not a key or a value of this system.
    """
    name = parse_key(key, where, system)
    return Setting(name, sysctl.load(system).parse_value(name, value, where), where)


def parse_key(key: object, where: str, system: str) -> str:
    """Read one key.

    :raises InputError: not a key of this system.
    """
    if not isinstance(key, str):
        raise InputError(f"{short(key)} is not a kernel setting", where=where)
    return sysctl.load(system).parse_key(key, where)


def _silencing(entries: Entries) -> dict[str, str]:
    """Return what may keep a host silent under a VIP: what DSR wants, or nobody knows who."""
    return {key: e.value for key, e in entries.items() if {DSR, UNKNOWN} & {*e.wanted_by}}


@dataclass
class Tuner(Request):
    """Hold a request's surroundings.

    :param settings: `guard` and `master` decide over dead man and votes.
    :param locked: it is taken by each method, so the caller must not hold it.
    :param interpreter: the Python that the listener runs under.
    :param form: how changes are said, where a system has a second way (`sysctl.FORMS`).
    """

    interpreter: str = sys.executable
    form: str = ""

    @property
    def store(self) -> sysctl.Store:
        """Return what keeps settings on this system."""
        return sysctl.load(self.host.system, self.form)

    # -- requests -----------------------------------------------------------------------

    def present(
        self, settings: Iterable[Setting], *, wanted_by: str = HAND, test: bool = False
    ) -> Answer:
        """Bring settings about, beside whatever this wanter has already.

        :return: ``result``, ``changes`` (``files``: path → diff, ``settings``: key → old and
            new live value, ``stored`` likewise, ``listener``), ``comment``, ``notes``.
        :raises InputError: a key that the kernel does not have.
        :raises RefusedError: another wanter has another value; a file read later sets another.
        :raises EffectError: the kernel refused one; everything is as it was.
        :raises VerifyError: a value did not read back, or a vote went against it; undone.
        """
        asked = {setting.key: setting for setting in settings}
        with self.lock(f"ipalias_sysctl.present ({wanted_by})", test):
            return self._carry_out(lambda known: known, asked, wanted_by, test)

    def managed(
        self, settings: Iterable[Setting], *, wanted_by: str = PILLAR, test: bool = False
    ) -> Answer:
        """Bring a wanter's whole list about, in one change: what left the list is given up."""
        asked = {setting.key: setting for setting in settings}

        def without(known: Entries) -> Entries:
            left = [k for k, e in known.items() if wanted_by in e.wanted_by and k not in asked]
            return given_up(known, left, wanted_by)

        with self.lock(f"ipalias_sysctl.managed ({wanted_by})", test):
            return self._carry_out(without, asked, wanted_by, test)

    def absent(
        self, keys: Iterable[str] | None, *, wanted_by: str = HAND, test: bool = False
    ) -> Answer:
        """Give settings up for one wanter; the value found before returns with the last one.

        :param keys: canonical; None: all of this wanter's. One that is not its is no error.
        """
        listed = None if keys is None else list(keys)

        def without(known: Entries) -> Entries:
            mine = [key for key, entry in known.items() if wanted_by in entry.wanted_by]
            return given_up(known, mine if listed is None else listed, wanted_by)

        with self.lock(f"ipalias_sysctl.absent ({wanted_by})", test):
            return self._carry_out(without, {}, wanted_by, test, listed or ())

    def clean(self, *, wanters: Iterable[str] = (HAND, PILLAR), test: bool = False) -> Answer:
        """Give up every setting of some wanters, and what was found in our file alone."""
        going = tuple(wanters)

        def without(known: Entries) -> Entries:
            for who in (*going, UNKNOWN):
                known = given_up(known, list(known), who)
            return known

        with self.lock("ipalias_sysctl.clean", test):
            return self._carry_out(without, {}, HAND, test)

    def effective(self, keys: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return a row for each key: what is live, what a boot makes of it, and who says so.

        :param keys: canonical; None: all of ours.
        :return: rows of ``key``, ``live`` (str or None), ``sources`` (list of ``where``,
            ``value``, ``ours``, in the order of a boot), ``winner`` (where, or None),
            ``after_boot`` (str or None), ``ours`` (bool: ours wins), ``wanted`` (str or None),
            ``wanted_by`` (list), ``found`` (str or None).
        """
        known = self.entries()
        listed = list(known) if keys is None else list(keys)
        lasting = self.store.read_lasting(self.host, listed)
        held = self.store.read_values(self.host, listed)
        if self.store.STORED:
            lasting = {k: report.stored_by_us(found, known.get(k)) for k, found in lasting.items()}
        return [report.row(key, held[key], lasting[key], known.get(key)) for key in listed]

    def without(self, keys: Iterable[str], *, wanted_by: str) -> dict[str, str]:
        """Return the live values that giving settings up would bring, by key; no effect."""
        before = self.entries()
        after = given_up(before, list(keys), wanted_by)
        plan = self._plan(before, after, {}, self._started_by(), self.settings.paths.frozen)
        return {key: held.live for key, held in plan.values.items() if held.live is not None}

    def entries(self) -> Entries:
        """Return the ledger; a lost one is what our part of the files holds.

        :raises ParseError: not a ledger, or one of a newer version.
        """
        path = self.settings.paths.sysctl
        text = self.host.read(path)
        if text is not None:
            return parse_ledger(text, path)
        found: dict[str, Entry] = {}
        for key, value in self.store.read_ours(self.host).items():
            # What somebody wrote between our lines need not be a setting that can be kept.
            with suppress(InputError):
                setting = parse_setting(key, value, path, self.host.system)
                found[setting.key] = Entry(setting.value, (UNKNOWN,))
        return found

    # -- what requests share ------------------------------------------------------------

    def _carry_out(
        self,
        without: Callable[[Entries], Entries],
        asked: Mapping[str, Setting],
        wanted_by: str,
        test: bool,
        named: Iterable[str] = (),
    ) -> Answer:
        """Show a change (`test`) or make it, and answer with plain data."""
        before = self.entries()
        if not (before or asked):
            # A host without any: most of them.
            told = ". ".join([report.NOTHING, *self._settled])
            return {"result": True, "changes": {}, "notes": self._settled, "comment": told}
        where = {key: setting.where for key, setting in asked.items()}
        self.store.check(self.host, where)
        wanted = {key: (setting.value, setting.where) for key, setting in asked.items()}
        after = wanted_too(without(before), wanted, wanted_by)
        after |= {k: replace(after[k], vips=one.vips) for k, one in asked.items() if one.vips}
        if wanted_by != DSR:
            # DSR itself knows when it may, and makes the adapter that its settings are about.
            self._refuse_missing(where)
            self._refuse_louder(before, after)
        started_by = self._started_by()
        plan = self._plan(before, after, where, started_by, self.settings.paths.frozen)
        if plan.starts and not test:
            # The copy may lie elsewhere: where /usr/local cannot be written, say.
            plan = self._plan(before, after, where, started_by, self._freeze())
        self._refuse_cuts(plan, where)
        if wanted_by != DSR:
            self._refuse_answering(plan, where)
        notes = [*self._settled, *plan.notes]
        notes += [
            f"{key} stays, wanted by {', '.join(plan.after[key].wanted_by)}"
            for key in named
            if key in plan.after
        ]

        def change() -> Effects[Verdict]:
            host, settings, ident = self.host, self.settings, self.new_id()
            return apply(plan, host, self.store, settings, ident, self._purpose, started_by)

        changing = change if plan.touches_host else None
        answer = self.answer(report.changes(plan), notes, changing, test)
        if not (plan.touches_host or test):
            run(write_entries(plan.after, self.settings), self.host.perform)
        told = report.comment(plan, test=test, stored=self.store.STORED)
        answer["comment"] = ". ".join([told, *notes])
        return answer

    def _refuse_missing(self, where: Mapping[str, str]) -> None:
        """Refuse a setting of an interface that is not there, where a store cannot hold it.

        :raises InputError: naming the interface.
        """
        held = self.store.read_values(self.host, where) if self.store.STORED else {}
        for key, found in held.items():
            if found == sysctl.Held(None):
                raise InputError(
                    f"there is no {self.store.interface_of(key)} that could have {key}",
                    where=where[key],
                    way_out="make the adapter first, or leave the setting out",
                )

    def refuse_loud(self, keys: Iterable[str], doing: str) -> None:
        """Refuse to take away settings that may keep this host silent, while it has a VIP.

        :param keys: canonical; only those count that direct server return wants, or that are
            of a ledger that was lost.
        :param doing: what was asked for.
        :raises RefusedError: naming a setting and a VIP.
        """
        silencing = _silencing(self.entries())
        self._refuse_loud([key for key in keys if key in silencing], doing)

    def _refuse_loud(self, gone: Sequence[str], doing: str) -> None:
        if gone:
            aliases = self._aliases()
            refuse_loud(aliases, gone, doing)
            if aliases.lost:
                refuse_forgotten(self.host.perform(ReadLive()), gone, doing)

    def _refuse_louder(self, before: Entries, after: Entries) -> None:
        """Refuse to give up what keeps VIPs unanswered for, or to change what may."""
        kept = _silencing(before)
        changed = [k for k, v in kept.items() if k in after and not same_value(after[k].value, v)]
        if self.host.system == "linux":
            # Only these do: of a ledger that was lost others are of no concern.
            changed = [key for key in changed if linux.silences(key)]
        self._refuse_loud([*(key for key in kept if key not in after), *changed], self._purpose)

    def _refuse_answering(self, plan: Plan, where: Mapping[str, str]) -> None:
        """Refuse a value that wins over what keeps VIPs unanswered for."""
        kept = _silencing(plan.after)
        values = {k: to.live for k, to in plan.values.items() if to.live and k not in kept}
        if self.host.system == "linux" and kept and values:
            aliases = self._aliases()
            vips = [vip for listed in held(aliases).values() for vip in listed]
            if aliases.lost:
                vips = forgotten(self.host.perform(ReadLive()))
            linux.refuse_louder(kept, values, vips, where, self._purpose)

    def _aliases(self) -> ledger.Ledger:
        path = self.settings.paths.ledger
        return ledger.parse_ledger(self.host.read(path), path)

    def _refuse_cuts(self, plan: Plan, where: Mapping[str, str]) -> None:
        values = {key: held.live for key, held in plan.values.items() if held.live is not None}
        if self.host.system == "linux" and any(key.endswith("forwarding") for key in values):
            snapshot = self.host.perform(ReadLive())
            refuse_lost_router(self.host, values, plan.after, snapshot, where)

    def _started_by(self) -> str:
        """Return what starts services, where the listener can be one of them."""
        if self.host.system != "linux":
            return ""
        started_by = platforms.init(self.host.system, self.host.exists)
        return started_by if started_by in service.INITS else ""

    def _plan(
        self,
        before: Entries,
        after: Entries,
        where: Mapping[str, str],
        started_by: str,
        frozen: str,
    ) -> Plan:
        """Return a plan.

        :param frozen: folder of frozen copies, from which the listener runs.
        """
        wanted = any(self.store.interface_of(key) is not None for key in after)
        state = self.settings.paths.state
        program = Program(self.interpreter, frozen, state, service.VERB, CURRENT)
        units = service.render(started_by, program, wanted)
        return make_plan(self.host, self.store, before, after, where, (started_by, units))

    def _freeze(self) -> str:
        """Make the frozen copy current; return the folder of copies.

        :raises EffectError: none can be made: the listener would have nothing to run.
        """
        folder: str | None = self.host.perform(Freeze())
        if folder is None:
            raise EffectError(
                "no frozen copy of the library can be made, so no listener could set this"
                " when the interface appears",
                where=self.settings.paths.frozen,
                way_out="give settings of interfaces up, or let Salt run under a Python of its own",
            )
        return folder.rpartition("/")[0]
