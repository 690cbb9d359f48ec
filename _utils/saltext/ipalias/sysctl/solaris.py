"""Solaris and illumos: properties of ``ipadm``, and of ``ndd`` where there is no ipadm.

Keys are ``PROTOCOL/property``: ``ipv4/hostmodel``, ``tcp/max_buf``. ``ipadm set-prop`` makes a
value live and lasting in one, ``-t`` live alone; what lasts is taken out by ``reset-prop``,
which makes the default live (ipadm(8); illumos ``libipadm/common/ipadm_prop.c``).

Solaris 10 has ndd(1M) alone, and nothing that would keep a value: our script in /etc/rc2.d
does, one line a value, run by the milestone multi-user (smf(5), legacy run control). Its lines
are this store's other half there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..effects import Effects, Run
from ..errors import EffectError, InputError
from ..host import Host, Result
from ..live.solaris import split_row
from ..model import Command, File
from ..values import short
from . import Assignment, Held, Lasting, parse_text

STORED = True
SCRIPT = "/etc/rc2.d/S70ipalias"
SHOW = ("ipadm", "show-prop", "-c", "-o", "property,current,persistent", "-p")
#: Protocols of ipadm(8), and those that are devices of ndd(1M) too.
PROTOCOLS = ("ip", "ipv4", "ipv6", "tcp", "udp", "sctp", "icmp")
DEVICES = ("ip", "tcp", "udp", "sctp", "icmp")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VALUE = re.compile(r"[A-Za-z0-9_.:+-]{1,64}(?:,[A-Za-z0-9_.:+-]{1,64})*")
_LINE = re.compile(r"/usr/sbin/ndd -set /dev/(\w+) (\w+) (\S+)")
_MARK = "#!/sbin/sh\n# Written by the ipalias formula"
_HEAD = f"""{_MARK}: values that ndd forgets with each boot.
[ "$1" = start ] || exit 0
"""


def parse_key(key: str, where: str) -> str:
    """Return a key in canonical form.

    :raises InputError: no protocol that ipadm or ndd knows, or no property's name.
    """
    protocol, slash, name = key.strip().partition("/")
    if not slash or protocol not in PROTOCOLS or not _NAME.fullmatch(name):
        raise InputError(
            f"{short(key)} is not a property",
            where=where,
            way_out=f"write PROTOCOL/property, the protocol one of {', '.join(PROTOCOLS)}",
        )
    return f"{protocol}/{name}"


def parse_value(key: str, value: object, where: str) -> str:
    """Return a value as ipadm and ndd take it: one word.

    :raises InputError: anything else; a truth value, which YAML makes of ``on``.
    """
    text = parse_text(value, where, "quote it").strip()
    if not _VALUE.fullmatch(text):
        raise InputError(f"{short(value)} is not one word", where=where)
    return text


def interface_of(key: str) -> str | None:
    """Return None: a property is about the whole system."""
    return None


def check(host: Host, keys: Mapping[str, str]) -> None:
    """Refuse what this release does not have.

    :raises InputError: no such property.
    """
    held = read_values(host, keys)
    by_ipadm = host.which("ipadm") is not None
    for key, where in keys.items():
        if held[key].live is None:
            tool = "ipadm show-prop" if by_ipadm else "ndd -get /dev/ip '?'"
            raise InputError(
                f"this system has no property {key}",
                where=where,
                way_out=f"`{tool}` lists those it has",
            )


def read_values(host: Host, keys: Iterable[str]) -> dict[str, Held]:
    """Return what is live and what lasts of each key."""
    if host.which("ipadm") is not None:
        return {key: _by_ipadm(host, key) for key in keys}
    stored = read_script(host.read(SCRIPT) or "")
    return {key: Held(_by_ndd(host, key), stored.get(key)) for key in keys}


def _by_ipadm(host: Host, key: str) -> Held:
    """Return a property; `split_row` undoes what ``-c`` escapes."""
    protocol, _, name = key.partition("/")
    said = host.run((*SHOW, name, protocol))
    for line in said.out.splitlines() if said.code == 0 else ():
        row = split_row(line)
        if len(row) == 3 and row[0] == name:
            # Empty, or two dashes, where nothing lasts.
            return Held(row[1].strip() or None, row[2].strip("- ") or None)
    return Held(None)


def _by_ndd(host: Host, key: str) -> str | None:
    protocol, _, name = key.partition("/")
    if protocol not in DEVICES:
        return None
    said = host.run(("ndd", "-get", f"/dev/{protocol}", name))
    return said.out.strip() or None if said.code == 0 else None


def read_script(text: str) -> dict[str, str]:
    """Return the values that our script sets; one of somebody else's in its place has none."""
    if not text.startswith(_MARK):
        return {}
    return {f"{found[1]}/{found[2]}": found[3] for found in _LINE.finditer(text)}


def render_script(values: Mapping[str, str]) -> str:
    """Return our script."""
    lines = "".join(
        f"/usr/sbin/ndd -set /dev/{key.replace('/', ' ')} {value}\n"
        for key, value in values.items()
    )
    return _HEAD + lines


def fallback(host: Host, key: str) -> str | None:
    """Return None: no property belongs to an interface."""
    return None


def read_lasting(host: Host, keys: Iterable[str]) -> dict[str, Lasting]:
    """Return what the store has of each key."""
    place = "`ipadm show-prop`" if host.which("ipadm") is not None else SCRIPT
    found = {}
    for key, held in read_values(host, keys).items():
        if held.stored is None:
            found[key] = Lasting()
        else:
            assignment = Assignment(place, 0, key, held.stored)
            found[key] = Lasting((assignment,), assignment)
    return found


def read_ours(host: Host) -> dict[str, str]:
    """Return what our script sets; ipadm's store marks nothing as ours."""
    return {} if host.which("ipadm") is not None else read_script(host.read(SCRIPT) or "")


def spread(host: Host, key: str) -> list[str]:
    """Return nothing: what ``hostmodel`` stands for comes back with it.

    It is set only where it has a word of its own for both (`silence.sunos`).
    """
    return []


def notes(host: Host, wanted: Mapping[str, str]) -> list[str]:
    """Return nothing: there is one store."""
    return []


def render(host: Host, wanted: Mapping[str, str]) -> list[File]:
    """Return our script where there is no ipadm, which has a store."""
    if host.which("ipadm") is not None:
        return []
    return [File(SCRIPT, render_script(wanted) if wanted else None, 0o744)]


def change(host: Host, values: Mapping[str, Held]) -> Effects[None]:
    """Bring properties to values, live and lasting.

    :raises EffectError: naming the key that was refused.
    """
    if host.which("ipadm") is None:
        yield from _change_by_ndd(values)
        return
    for key, held in values.items():
        for command in _commands(key, held, _by_ipadm(host, key)):
            yield from _told(key, command)


def _commands(key: str, held: Held, now: Held) -> Iterator[Command]:
    protocol, _, name = key.partition("/")
    # Both commands change what is live along: what is to be left alone is set again.
    live = now.live if held.live is None else held.live
    if held.stored is not None:
        if now.stored != held.stored or live == held.stored:
            yield Command(("ipadm", "set-prop", "-p", f"{name}={held.stored}", protocol))
    elif now.stored is not None:
        yield Command(("ipadm", "reset-prop", "-p", name, protocol))
    if live is not None and live != held.stored:
        yield Command(("ipadm", "set-prop", "-t", "-p", f"{name}={live}", protocol))


def _told(key: str, command: Command) -> Effects[None]:
    result: Result = yield Run(command, check=False)
    if result.code != 0:
        lines = (result.err or result.out).strip().splitlines()
        said = lines[0] if lines else f"exit {result.code}"
        raise EffectError(f"could not be changed: {said}", where=key)


def _change_by_ndd(values: Mapping[str, Held]) -> Effects[None]:
    """Make values live; the script is a file of the change."""
    for key, held in values.items():
        protocol, _, name = key.partition("/")
        if held.live is not None:
            argv = ("ndd", "-set", f"/dev/{protocol}", name, held.live)
            yield from _told(key, Command(argv))
