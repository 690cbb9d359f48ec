"""Ask the settings' engine on the word of direct server return."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from .dsr import DSR, parse_dsr
from .engine import Answer, Engine
from .errors import InputError
from .silence import Wish
from .tuning import Setting, Tuner


class Kept:
    """Ask for settings, all of it on DSR's word.

    :param tuner: it must take no lock of its own: who asks holds it already.
    """

    def __init__(self, tuner: Tuner) -> None:
        self._tuner = tuner

    def present(
        self, wishes: Sequence[Wish], vips: Sequence[str], where: str, test: bool
    ) -> Answer:
        """Bring settings about, on disk and live, and remember for which addresses.

        :raises RefusedError: a file that sets another value later, or another wanter.
        """
        if not wishes:
            return {"result": True, "changes": {}, "comment": "no setting is needed"}
        settings = [Setting(key, value, where, tuple(vips)) for key, value in wishes]
        return self._tuner.present(settings, wanted_by=DSR, test=test)

    def absent(self, keys: Sequence[str], test: bool) -> Answer:
        """Give settings up; the value found before comes back where nobody else wants one."""
        return self._tuner.absent(keys, wanted_by=DSR, test=test)

    def without(self, keys: Sequence[str]) -> dict[str, str]:
        """Return the live values that giving settings up would bring, by key."""
        return self._tuner.without(keys, wanted_by=DSR)

    def vips(self) -> set[str]:
        """Return the addresses that DSR's settings were wanted for."""
        entries = self._tuner.entries().values()
        return {vip for entry in entries if DSR in entry.wanted_by for vip in entry.vips}

    def values(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Return live values."""
        return {row["key"]: row["live"] for row in self.rows(keys)}

    def rows(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is live, what a boot makes of it and who says so; `Tuner.effective`."""
        return self._tuner.effective(keys)

    def wanted(self) -> dict[str, str]:
        """Return the settings that DSR wants and their values, by the ledger of settings."""
        rows = self._tuner.effective(None)
        return {row["key"]: row["wanted"] or "" for row in rows if DSR in row["wanted_by"]}


def kept(engine: Engine) -> Kept:
    """Return the engine of settings beside one of addresses: the same host, guard and master."""
    settings, form = engine.settings, ""
    # Removing needs no pillar; who adds is told by the same error a moment later.
    with suppress(InputError):
        settings = replace(settings, guard=engine.config().guard)
        form = parse_dsr(engine.data, engine.root, engine.host.system).form
    return Kept(Tuner(engine.host, settings, new_id=engine.new_id, form=form))
