"""Linux: /proc/sys, and the files of sysctl.d(5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..effects import Effects, WriteKernel
from ..errors import EffectError, InputError
from ..host import Host
from ..model import File
from ..text.blocks import remove_block, replace_block
from . import Held, Lasting, files, keys, same_value

STORED = False
HEAD = f"{files.MARK}: what stands here is in /var/lib/ipalias/sysctl.json.\n"


def parse_key(key: str, where: str) -> str:
    """Return a key in canonical form."""
    return keys.parse_key(key, where)


def parse_value(key: str, value: object, where: str) -> str:
    """Return a value as the kernel takes it."""
    return keys.parse_value(value, where)


def interface_of(key: str) -> str | None:
    """Return the interface a key is about."""
    split = keys.split_interface(key)
    return split[1] if split is not None else None


def check(host: Host, wanted: Mapping[str, str]) -> None:
    """Refuse what this kernel does not have, or gives to nobody to read.

    An interface that is not there has what ``default`` has: so a slip in the name shows.
    """
    for key, where in wanted.items():
        path = keys.proc_path(key)
        split = keys.split_interface(key)
        if split is not None and not host.exists(path):
            path = f"/proc/sys/{split[0]}/default/{split[2]}"
        if not host.exists(path):
            raise InputError(
                f"this kernel has no setting {key}",
                where=where,
                way_out="`sysctl -a` lists those it has; a module may have to be loaded first",
            )
        if _value(host, path) is None:
            raise InputError(f"{key} is no setting that can be read back", where=where)


def _value(host: Host, path: str) -> str | None:
    """Return a setting; None where there is none, or nobody can read it."""
    try:
        text = host.read(path)
    except EffectError:
        return None
    return None if text is None else " ".join(text.split())


def read_values(host: Host, wanted: Iterable[str]) -> dict[str, Held]:
    """Return what the kernel has of each key."""
    return {key: Held(_value(host, keys.proc_path(key))) for key in wanted}


def fallback(host: Host, key: str) -> str | None:
    """Return what a new interface would have."""
    split = keys.split_interface(key)
    return None if split is None else _value(host, f"/proc/sys/{split[0]}/default/{split[2]}")


def read_lasting(host: Host, wanted: Iterable[str]) -> dict[str, Lasting]:
    """Return what sets each key at boot."""
    reader = files.reader_of(host)
    lines = files.read_lines(host, reader)
    return {key: files.lasting(lines, key, reader) for key in wanted}


def read_ours(host: Host) -> dict[str, str]:
    """Return what our file, or our block, holds."""
    lines = files.read_lines(host, files.reader_of(host))
    return {keys.canonical(line.pattern): line.value for line in lines if line.ours and line.value}


def spread(host: Host, key: str) -> list[str]:
    """Return the other keys that the kernel writes along when this one is written."""
    path = keys.normalize(key)
    found = [
        keys.canonical(reached.removeprefix("/proc/sys/"))
        for pattern in files.written_along(path)
        for reached in host.glob(f"/proc/sys/{pattern}")
    ]
    return [other for other in dict.fromkeys(found) if other != key]


def notes(host: Host, wanted: Mapping[str, str]) -> list[str]:
    """Return what ``sysctl --system`` by hand would make of settings that systemd sets right.

    It reads /etc/sysctl.conf last, which systemd-sysctl does not read at all.
    """
    if files.reader_of(host) != files.SYSTEMD:
        return []
    lines = files.read_lines(host, files.PROCPS)
    said = []
    for key, value in wanted.items():
        by_hand = files.lasting(lines, key, files.PROCPS)
        if by_hand.winner is not None and not same_value(by_hand.value, value):
            where = by_hand.winner.where
            said.append(
                f"{key}: whoever runs `sysctl --system` by hand sets {by_hand.value} ({where})"
            )
    return said


def render(host: Host, wanted: Mapping[str, str]) -> list[File]:
    """Return our file of sysctl.d, or, where nobody reads such, our block of sysctl.conf."""
    body = "".join(f"{key} = {value}\n" for key, value in wanted.items())
    if files.reader_of(host) != files.PLAIN:
        return [File(files.OURS, HEAD + body if wanted else None)]
    text = host.read(files.CONF)
    if wanted:
        after: str | None = replace_block(text, files.BLOCK, body, files.CONF)
    else:
        after = None if text is None else remove_block(text, files.BLOCK, files.CONF)
    return [File(files.CONF, after, owned=False)]


def change(host: Host, values: Mapping[str, Held]) -> Effects[None]:
    """Write settings; an interface that has gone meanwhile is none to be set."""
    for key, held in values.items():
        if held.live is None:
            continue
        try:
            yield WriteKernel(keys.proc_path(key), held.live)
        except EffectError as error:
            raise EffectError(
                f"the kernel refused the value {held.live}: {error.what}", where=key
            ) from error
