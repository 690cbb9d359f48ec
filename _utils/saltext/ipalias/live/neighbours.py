"""Ask a segment without frames of our own: FreeBSD and OpenBSD, by ``ping`` and ``arp``.

A ping makes the kernel ask for the hardware address first; whether an answer came stands in
its table afterwards, also where the host answers no ping. So what is asked for has to lie in
a subnet of the link: a ping to anything else goes to the gateway. ``arping``, where it is
installed, needs no subnet, and asks as one who has no address yet.

The kernels themselves only log a duplicate of IPv4 (``if_ether.c``: "is using my IP address",
"duplicate IP address"); for IPv6 their own detection says it (`live.bsd`, ``duplicated``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence

from ..effects import AskAll, Effects
from ..errors import EffectError
from ..host import NOT_FOUND, TIMED_OUT, Host, Result
from ..model import IPV4, Command
from . import Snapshot

#: Addresses asked for in one change, and processes side by side: a thousand would take as
#: many processes, and a second for every `AT_ONCE` of them.
MOST, AT_ONCE = 512, 64
#: Seconds that a question may take; most of the programs wait for one.
TIMEOUT = 3.0
TABLE = ("arp", "-an")
TABLE6 = ("ndp", "-an")
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")
_INTERFACE = re.compile(r" on (\S+)")
#: Entries that nobody has answered for: our own addresses, and what a person has set.
_LASTING = ("permanent", "static", "published")

Pinging = Callable[[str], tuple[str, ...]]


def parse_table(text: str, interface: str) -> dict[str, str]:
    """Return the neighbours of a link that have answered: hardware address by address.

    arp(8) of FreeBSD (``arp.c``, print_entry: ``? (A) at MAC on IF``, ``(incomplete)``) and of
    OpenBSD (``Host``, ``Ethernet Address``, ``Netif``, ``Expire``, ``Flags``); ndp(8) of both, in
    columns as well. Entries that last are left out.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        mac = next((word for word in words if _MAC.fullmatch(word)), None)
        if mac is None or any(word in line for word in _LASTING):
            continue
        named = _INTERFACE.search(line)
        on = named[1] if named else words[2] if len(words) > 2 else ""
        shown = words[1].strip("()") if named else words[0]
        try:
            address = str(ipaddress.ip_address(shown.partition("%")[0]))
        except ValueError:
            continue
        if on == interface:
            found[address] = ":".join(part.zfill(2) for part in mac.lower().split(":"))
    return found


def ask(
    interface: str, asked: Sequence[str], snapshot: Snapshot, host: Host, pinging: Pinging
) -> Effects[tuple[dict[str, str], list[str]]]:
    """Ask for addresses; return those that somebody has, and sentences on those not asked for.

    What the kernel remembers of them is forgotten first: it would not ask again for a host
    that has left within the last twenty minutes.

    :param pinging: gives the command that pings an address once.
    :raises EffectError: nobody could be asked.
    """
    four = [address for address in asked if ":" not in address]
    by_arping = host.which("arping") is not None
    near = four if by_arping else list(_connected(four, interface, snapshot))
    now, left = near[:MOST], near[MOST:]
    notes = []
    if far := [address for address in four if address not in set(near)]:
        notes.append(
            f"{interface}: {_listed(far)} not asked for: no subnet of {interface} holds"
            f" {'it' if len(far) == 1 else 'them'}, and arping is not installed"
        )
    if left:
        notes.append(
            f"{interface}: {_listed(left)} not asked for: at most {MOST} are, for each takes a"
            " process"
        )
    if not now:
        return {}, notes
    if by_arping:
        return (yield from _by_arping(interface, now)), notes
    known = yield from _table(interface)
    old = [address for address in now if address in known]
    yield AskAll(tuple(_question(("arp", "-d", address)) for address in old), AT_ONCE)
    questions = tuple(_question(pinging(address)) for address in now)
    answers: list[Result] = yield AskAll(questions, AT_ONCE)
    _refuse_failed(questions, answers)
    found = yield from _table(interface)
    return {address: found[address] for address in now if address in found}, notes


def _by_arping(interface: str, asked: Sequence[str]) -> Effects[dict[str, str]]:
    """Ask by arping(8) of net/arping: ``-0`` from 0.0.0.0, ``-r`` the bare answer."""
    words = ("arping", "-0", "-r", "-c", "1", "-i", interface)
    questions = tuple(_question((*words, address)) for address in asked)
    answers: list[Result] = yield AskAll(questions, AT_ONCE)
    failed = [each for each in answers if each.code not in (0, 1, TIMED_OUT)]
    # It ends with 1 where nobody answers, and then says nothing.
    failed += [each for each in answers if each.code == 1 and each.err.strip()]
    if failed:
        raise EffectError(_said(failed[0]), where=f"`{' '.join(questions[0].argv)}`")
    heard = ((address, _MAC.search(each.out)) for address, each in zip(asked, answers, strict=True))
    return {address: mac[0].lower() for address, mac in heard if mac}


def _connected(asked: Iterable[str], interface: str, snapshot: Snapshot) -> Iterable[str]:
    """Yield the addresses that a subnet of the link holds: it is in the way there."""
    subnets = [
        ipaddress.ip_network(live.cidr, strict=False)
        for live in snapshot.on(interface)
        if live.family == IPV4 and live.prefix < 32
    ]
    for address in asked:
        parsed = ipaddress.ip_address(address)
        if any(parsed in subnet for subnet in subnets):
            yield address


def _table(interface: str) -> Effects[dict[str, str]]:
    answers: list[Result] = yield AskAll((_question(TABLE),), 1)
    if answers[0].code != 0:
        raise EffectError(_said(answers[0]), where=f"`{' '.join(TABLE)}`")
    return parse_table(answers[0].out, interface)


def _question(argv: tuple[str, ...]) -> Command:
    return Command(argv, timeout=TIMEOUT)


def _refuse_failed(questions: Sequence[Command], answers: Sequence[Result]) -> None:
    """Refuse where a ping could not even be sent; nobody answering is 1 or 2.

    ping(8) of FreeBSD: 2, and a number of sysexits.h for what went wrong; of OpenBSD: 1.
    """
    for question, answer in zip(questions, answers, strict=True):
        if answer.code not in (0, 1, 2, TIMED_OUT):
            raise EffectError(_said(answer), where=f"`{' '.join(question.argv)}`")


def _said(result: Result) -> str:
    if result.code == NOT_FOUND:
        return "is not installed"
    lines = [line for line in (result.err or result.out).splitlines() if line.strip()]
    return f"exit {result.code}: {lines[-1].strip()[:200] if lines else 'no output'}"


def _listed(addresses: Sequence[str]) -> str:
    shown = ", ".join(addresses[:3])
    return f"{shown} and {len(addresses) - 3} more" if len(addresses) > 3 else shown


def check_gateway(host: Host, address: str, interface: str, argv: Sequence[str]) -> str:
    """Return what is wrong with a gateway, or nothing.

    One that answers no ping counts where the kernel has its hardware address: the ping has
    made it ask, unless it was known (for at most twenty minutes).

    :param argv: pings it once.
    """
    if host.run(argv, timeout=TIMEOUT).code == 0:
        return ""
    plain = address.partition("%")[0]
    table = host.run(TABLE6 if ":" in address else TABLE, timeout=TIMEOUT)
    if table.code == 0 and plain in parse_table(table.out, interface):
        return ""
    return "nobody answers for it"
