"""Keep kernel settings: live, after a boot, and as they were once nobody wants them.

One engine for all who need one: an operator, the pillar, direct server return, multi-WAN.
Each is a *wanter*; a setting is ours while it has one, and the last one's leaving brings
back what was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from .engine import Answer, Machine
from .paths import Settings

#: Who may want a setting.
HAND, PILLAR, DSR, WAN = "hand", "pillar", "dsr", "wan"
#: Found in our own file, and in no ledger.
UNKNOWN = "unknown"
WANTERS = (HAND, PILLAR, DSR, WAN)


@dataclass(frozen=True)
class Setting:
    """Hold one setting as it shall be.

    :param key: canonical (`sysctl.Store.parse_key`): dots between the parts, or slashes where
        a part has dots of its own (``net/ipv4/conf/eth0.10/arp_ignore``).
    :param value: as the kernel takes it.
    :param where: pillar path or argument it came from; no part of its identity.
    """

    key: str
    value: str
    where: str = field(default="", compare=False)


def parse_settings(data: object, where: str, system: str) -> list[Setting]:
    """Read a mapping of keys and values.

    :param where: pillar path of the mapping.
    :raises InputError: not a key or a value of this system; the same key twice.
    """
    raise NotImplementedError


def parse_setting(key: object, value: object, where: str, system: str) -> Setting:
    """Read one key and its value.

    :raises InputError: not a key or a value of this system.
    """
    raise NotImplementedError


@dataclass
class Tuner:
    """Hold a request's surroundings; they are those of `engine.Engine`.

    :param settings: `guard` and `master` decide over dead man and votes.
    :param locked: gives the lock of this host for a purpose; it is taken by each method, so
        the caller must not hold it.
    """

    host: Machine
    settings: Settings = field(default_factory=Settings)
    locked: Callable[[str], AbstractContextManager[None]] = lambda purpose: nullcontext()
    new_id: Callable[[], str] = lambda: "0"

    def present(
        self, settings: Iterable[Setting], *, wanted_by: str = HAND, test: bool = False
    ) -> Answer:
        """Bring settings about, beside whatever this wanter has already.

        :return: ``result``, ``changes`` (``files``: path → diff, ``settings``: key → old and
            new live value), ``comment``, ``notes``.
        :raises InputError: a key that the kernel does not have.
        :raises RefusedError: another wanter has another value; a file read later sets another.
        :raises EffectError: the kernel refused one; everything is as it was.
        :raises VerifyError: a value did not read back, or a vote went against it; undone.
        """
        raise NotImplementedError

    def managed(
        self, settings: Iterable[Setting], *, wanted_by: str = PILLAR, test: bool = False
    ) -> Answer:
        """Bring a wanter's whole list about, in one change: what left the list is given up."""
        raise NotImplementedError

    def absent(
        self, keys: Iterable[str] | None, *, wanted_by: str = HAND, test: bool = False
    ) -> Answer:
        """Give settings up for one wanter; the value found before returns with the last one.

        :param keys: canonical; None: all of this wanter's. One that is not its is no error.
        """
        raise NotImplementedError

    def clean(self, *, test: bool = False) -> Answer:
        """Give up every setting of ours, whoever wants it."""
        raise NotImplementedError

    def effective(self, keys: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return a row for each key: what is live, what a boot makes of it, and who says so.

        :param keys: canonical; None: all of ours.
        :return: rows of ``key``, ``live`` (str or None), ``sources`` (list of ``where``,
            ``value``, ``ours``, in the order of a boot), ``winner`` (where, or None),
            ``after_boot`` (str or None), ``ours`` (bool: ours wins), ``wanted`` (str or None),
            ``wanted_by`` (list), ``found`` (str or None).
        """
        raise NotImplementedError
