"""What must still work after a change for it to stand: the votes of the dead man.

A check runs before the change too: one that already fails then says nothing about the
change, so it is reported and does not vote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from .errors import InputError
from .live import Snapshot
from .values import refuse_unknown, short

MASTER, GATEWAY, TCP, COMMAND = "master", "gateway", "tcp", "command"
#: Seconds one check may take.
CHECK_TIMEOUT = 2.0
DEFAULT_TIMEOUT = 60.0
#: Seconds more for each address beyond so many, where no timeout is given.
SLOW, FEW = 0.03, 1000
MAX_CHECKS = 16
#: What no system takes in an argument: its end, and what has no encoding.
_UNSAYABLE = re.compile("[\0\ud800-\udfff]")
_TCP = re.compile(r"tcp://(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")


@dataclass(frozen=True)
class CheckSpec:
    """Hold one check.

    :param kind: ``master``, ``gateway``, ``tcp`` or ``command``.
    :param address: address of ``master``, ``gateway`` or ``tcp``: never a name, for a name
        server out of reach would decide the vote.
    :param interface: link of a gateway.
    :param argv: program and arguments of a command; exit code 0 is a yes.
    """

    kind: str
    address: str = ""
    port: int = 0
    interface: str = ""
    argv: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the check as an operator would write it."""
        if self.kind == COMMAND:
            return " ".join(self.argv)
        if self.kind == GATEWAY:
            return f"gateway {self.address}"
        return f"{'master ' if self.kind == MASTER else ''}tcp://{self.address}:{self.port}"


@dataclass(frozen=True)
class GuardConfig:
    """Hold the pillar's ``guard``.

    :param timeout: seconds until the dead man fires; None: `DEFAULT_TIMEOUT`, and more for a
        change that takes its time (`patience`).
    :param checks: as written; None chooses from what works now.
    """

    enabled: bool = True
    timeout: float | None = None
    checks: tuple[CheckSpec, ...] | None = None


def patience(guard: GuardConfig, count: int) -> float:
    """Return the seconds that the dead man of a change waits.

    Where the pillar says them, just these. Otherwise thousands of addresses get more: the
    kernel itself takes minutes for ten thousand of IPv6 on a slow host, and a change that
    does what it should must not be ended for that.

    :param count: addresses that the change touches.
    """
    if guard.timeout is not None:
        return guard.timeout
    return DEFAULT_TIMEOUT + SLOW * max(0, count - FEW)


def parse_guard(value: object, where: str) -> GuardConfig:
    """Read the pillar's ``guard``: false, true, or a mapping of ``timeout`` and ``checks``.

    :raises InputError: unknown key, time out of range, check of no known form.
    """
    if value is None or value is True:
        return GuardConfig()
    if value is False:
        return GuardConfig(enabled=False)
    if not isinstance(value, dict):
        raise InputError("is not a mapping", where=where, way_out="write {timeout: 60}")
    refuse_unknown(value, ("timeout", "checks"), where)
    timeout = value.get("timeout", DEFAULT_TIMEOUT)
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not number or not 1 <= timeout <= 3600:
        raise InputError(f"{short(timeout)} is not 1 to 3600 seconds", where=f"{where}:timeout")
    given = float(timeout) if "timeout" in value else None
    listed = value.get("checks")
    if listed is None:
        return GuardConfig(timeout=given)
    if not isinstance(listed, (list, tuple)) or len(listed) > MAX_CHECKS:
        raise InputError(f"is not a list of at most {MAX_CHECKS} checks", where=f"{where}:checks")
    checks = tuple(
        parse_check(item, f"{where}:checks[{index}]") for index, item in enumerate(listed)
    )
    return GuardConfig(timeout=given, checks=checks)


def parse_check(item: object, where: str) -> CheckSpec:
    """Read one check: ``master``, ``gateway``, ``tcp://ADDRESS:PORT`` or a list of words.

    :raises InputError: another form.
    """
    way_out = 'write master, gateway, "tcp://192.0.2.1:443" or ["/path/to/program", "argument"]'
    if item in (MASTER, GATEWAY):
        return CheckSpec(str(item))
    if isinstance(item, str) and (found := _TCP.fullmatch(item)):
        try:
            address = str(ip_address(found[1] or found[2]))
        except ValueError:
            raise InputError(f"{item!a} has no address", where=where, way_out=way_out) from None
        if 0 < int(found[3]) < 65536:
            return CheckSpec(TCP, address, int(found[3]))
    if isinstance(item, (list, tuple)) and item and all(_word(word) for word in item):
        if not str(item[0]).startswith("/"):
            raise InputError(
                f"{short(item[0])} is not an absolute path", where=where, way_out=way_out
            )
        return CheckSpec(COMMAND, argv=tuple(str(word) for word in item))
    raise InputError(f"{short(item)} is not a check", where=where, way_out=way_out)


def _word(word: object) -> bool:
    return isinstance(word, str) and 0 < len(word) < 4096 and not _UNSAYABLE.search(word)


def chosen_checks(
    config: GuardConfig, snapshot: Snapshot, master: tuple[str, int] | None
) -> tuple[CheckSpec, ...]:
    """Return the checks to run: as configured, with ``master`` and ``gateway`` filled in.

    :param master: address and port of the master; None where the minion has none.
    """
    wanted: Sequence[CheckSpec] = (CheckSpec(MASTER), CheckSpec(GATEWAY))
    if config.checks is not None:
        wanted = config.checks
    filled: list[CheckSpec] = []
    for check in wanted:
        if check.kind == MASTER:
            if master is not None:
                filled.append(CheckSpec(MASTER, *master))
        elif check.kind == GATEWAY:
            filled += [
                CheckSpec(GATEWAY, route.gateway, interface=route.interface)
                for family in (4, 6)
                for route in snapshot.defaults(family)
                if route.gateway
            ]
        else:
            filled.append(check)
    return tuple(dict.fromkeys(filled))
