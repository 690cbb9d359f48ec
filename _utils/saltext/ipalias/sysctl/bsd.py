"""What FreeBSD and OpenBSD share: sysctl(8), and lines of name=value in /etc/sysctl.conf.

Our block stands at the end of that file; a name that is set twice keeps what comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..effects import Effects, Run
from ..errors import EffectError, InputError
from ..host import Host
from ..model import Command, File
from ..text.blocks import find_block, remove_block, replace_block, split_lines
from ..values import short
from . import Assignment, Held, Lasting, parse_text, same_value

CONF = "/etc/sysctl.conf"
BLOCK = "sysctl"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[A-Za-z0-9_%-]{1,63}){1,12}")
#: One word: rc(8) of OpenBSD splits the file into words, older ones of FreeBSD its lines.
_VALUE = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9_.,:/+-]{0,255}")


def parse_key(key: str, where: str) -> str:
    """Return a key in canonical form.

    :raises InputError: not the name of one setting.
    """
    name = key.strip()
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{short(key)} is not a kernel setting",
            where=where,
            way_out="write it as `sysctl -a` does",
        )
    return name


def parse_value(key: str, value: object, where: str) -> str:
    """Return a value as the system takes it.

    :raises InputError: not one word; a truth value, for YAML makes one of ``yes``.
    """
    text = parse_text(value, where, "write 0 or 1").strip()
    if not _VALUE.fullmatch(text):
        raise InputError(f"{short(value)} is not one word", where=where)
    return text


def read_value(host: Host, key: str) -> str | None:
    """Return what the kernel has; ``sysctl`` of OpenBSD exits 0 whatever it is asked."""
    result = host.run(("sysctl", "-n", key))
    text = " ".join(result.out.split())
    return text if result.code == 0 and text else None


def read_values(host: Host, keys: Iterable[str]) -> dict[str, Held]:
    """Return what the kernel has of each key."""
    return {key: Held(read_value(host, key)) for key in keys}


def check(host: Host, keys: Mapping[str, str]) -> None:
    """Refuse what this kernel does not have.

    :raises InputError: no such setting.
    """
    for key, where in keys.items():
        if read_value(host, key) is None:
            raise InputError(
                f"this kernel has no setting {key}",
                where=where,
                way_out="`sysctl -a` lists those it has",
            )


def read_lasting(
    host: Host, keys: Iterable[str], files: Sequence[str], separators: str
) -> dict[str, Lasting]:
    """Return what sets each key at boot.

    :param files: read at boot, in this order.
    :param separators: signs that may stand between name and value.
    """
    found = [line for path in files for line in _parse_lines(host, path, separators)]
    lasting = {}
    for key in keys:
        named = tuple(line for line in found if line.key == key)
        lasting[key] = Lasting(named, named[-1] if named else None)
    return lasting


def _parse_lines(host: Host, path: str, separators: str) -> Iterator[Assignment]:
    text = host.read(path)
    if text is None:
        return
    block = find_block(text, BLOCK, path)
    for number, whole in enumerate(split_lines(text), 1):
        parts = re.split(f"[{separators}]", whole.partition("#")[0], maxsplit=1)
        if len(parts) == 2 and parts[0].strip():
            inside = block is not None and block.first < number - 1 < block.last
            value = parts[1].strip().strip("\"'")
            yield Assignment(path, number, parts[0].strip(), value, inside)


def read_ours(host: Host) -> dict[str, str]:
    """Return what our block holds."""
    return {line.key: str(line.value) for line in _parse_lines(host, CONF, "=") if line.ours}


def render(host: Host, wanted: Mapping[str, str]) -> list[File]:
    """Return /etc/sysctl.conf with our block holding just these."""
    text = host.read(CONF)
    body = "".join(f"{key}={value}\n" for key, value in wanted.items())
    if wanted:
        after: str | None = replace_block(text, BLOCK, body, CONF)
    else:
        after = None if text is None else remove_block(text, BLOCK, CONF)
    return [File(CONF, after, owned=False)]


def change(host: Host, values: Mapping[str, Held]) -> Effects[None]:
    """Set values one by one; what the kernel said of one is told.

    :raises EffectError: it refused one.
    """
    for key, held in values.items():
        if held.live is None:
            continue
        try:
            yield Run(Command(("sysctl", f"{key}={held.live}")))
        except EffectError as error:
            raise EffectError(f"cannot be set to {held.live}: {error.what}", where=key) from error
        if not same_value(read_value(host, key), held.live):
            raise EffectError(f"cannot be set to {held.live}: it stays as it is", where=key)


def interface_of(key: str) -> str | None:
    """Return None: no setting goes with an interface that may come later."""
    return None


def fallback(host: Host, key: str) -> str | None:
    """Return None: no setting belongs to an interface."""
    return None


def spread(host: Host, key: str) -> list[str]:
    """Return nothing: no setting of the network is written along with another."""
    return []


def notes(host: Host, wanted: Mapping[str, str]) -> list[str]:
    """Return nothing: what is read at boot is read in one order."""
    return []
