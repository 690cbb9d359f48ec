"""The files that FreeBSD's ``rc.d/netif`` takes its variables from, in the order of reading.

rc.conf(5) and ``rc.subr``, load_rc_config: ``$rc_conf_files`` (/etc/rc.conf, then
/etc/rc.conf.local), then, for the names ``network`` and ``netif`` in turn, the file
``rc.conf.d/NAME`` or every file of a folder of that name, below /etc and below the folder of each
``$local_startup``. All are sourced by sh into one space of names: the last assignment counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import ParseError, UnsupportedError
from ..host import Host
from ..text import shellvars

MAIN = "/etc/rc.conf"
_CONFS = (MAIN, "/etc/rc.conf.local")
_LOCAL_STARTUP = "/usr/local/etc/rc.d"
_SERVICES = ("network", "netif")
#: ``. FILE`` anywhere on a line, the name of the file written out.
_INCLUDE = re.compile(r"(?:^|[\s;&|])(?:\.|source)[ \t]+[\"']?(/[^\s;\"'&|)$`]+)")
_CARRIAGE = re.compile(r"^[ \t]*[^#\s][^\n]*\r$", re.MULTILINE)
_PUNCTUATION = re.compile(r"[.\-/+]")
#: Most files one reads another: a file that includes itself has no end.
_DEEPEST = 8


def variable(interface: str) -> str:
    """Return an interface's name as its variables have it: ``vlan0.1`` is ``vlan0_1``.

    ``network.subr``, get_if_var: each of ``.-/+`` becomes ``_``.
    """
    return _PUNCTUATION.sub("_", interface)


@dataclass(frozen=True)
class Setting:
    """Hold one assignment of a variable."""

    name: str
    path: str
    given: shellvars.Assignment

    @property
    def where(self) -> str:
        """Return file and line."""
        return f"{self.path}:{self.given.line}"

    @property
    def line(self) -> int:
        """Return its first line."""
        return self.given.line


@dataclass
class RcConf:
    """Hold the variables of the files, every assignment in the order of reading."""

    texts: dict[str, str] = field(default_factory=dict)
    documents: dict[str, shellvars.Document] = field(default_factory=dict)
    settings: dict[str, list[Setting]] = field(default_factory=dict)

    def last(self, name: str) -> Setting | None:
        """Return the assignment that counts, or None."""
        return self.settings[name][-1] if name in self.settings else None

    def value(self, name: str) -> str:
        """Return a value; empty where there is none or only a shell can tell it."""
        setting = self.last(name)
        return (setting.given.value or "") if setting is not None else ""

    def certain(self, name: str) -> str | None:
        """Return a value that an address is read from, or None where the name is not set.

        :raises ParseError: only a shell can tell it.
        """
        self.refuse_hidden(name)
        setting = self.last(name)
        if setting is None:
            return None
        given = setting.given
        if given.append or given.value is None:
            what = "`+=` or an array, which sh(1) here does not have"
            what = what if given.append or given.is_array else "its value is only known to a shell"
            raise ParseError(
                setting.path,
                setting.line,
                f"`{name}`: {what}",
                way_out="write the addresses out in one plain assignment",
            )
        return given.value

    def refuse_hidden(self, name: str) -> None:
        """Refuse a name that may be set under a condition or in a function.

        :raises ParseError: naming the line.
        """
        for path, document in self.documents.items():
            for line in document.hidden(name):
                raise ParseError(
                    path,
                    line,
                    f"`{name}` is set here in a way that only a shell can follow",
                    way_out="assign it on a line of its own, outside of conditions and functions",
                )

    def refuse_several(self, name: str) -> None:
        """Refuse to change a variable of which another assignment would count afterwards.

        :raises UnsupportedError: naming each line.
        """
        places = [setting.where for setting in self.settings.get(name, ())]
        if len(places) > 1:
            raise UnsupportedError(
                f"`{name}` is assigned {len(places)} times ({', '.join(places[:5])}), and only"
                " the last one counts",
                where=places[0],
                way_out="leave the last one and take the others out",
            )

    def names(self, pattern: re.Pattern[str]) -> list[str]:
        """Return the variables that match, those set in hidden ways among them."""
        found = dict.fromkeys(name for name in self.settings if pattern.fullmatch(name))
        words = re.compile(rf"\b(?:{pattern.pattern})(?=\+?=)")
        for path, text in self.texts.items():
            for match in words.finditer(text):
                if match[0] not in found and self.documents[path].hidden(match[0]):
                    found[match[0]] = None
        return list(found)


def read_rc(host: Host) -> RcConf:
    """Read the files.

    :raises ParseError: one that sh would refuse, or whose lines end in a carriage return.
    """
    rc = RcConf()
    done: set[str] = set()
    for path in _CONFS:
        done.add(path)
        _source(host, rc, path)
    # `rc_conf_files` may be set by one of them, and what is new in it is read as well.
    for path in rc.value("rc_conf_files").split():
        if path not in done:
            _source(host, rc, path)
    startup = (rc.value("local_startup") or _LOCAL_STARTUP).split()
    folders = ["/etc", *(folder.removesuffix("/rc.d") for folder in startup)]
    for service in _SERVICES:
        for folder in folders:
            path = f"{folder}/rc.conf.d/{service}"
            for each in host.glob(f"{path}/*") or [path]:
                _source(host, rc, each)
    return rc


def _source(host: Host, rc: RcConf, path: str, depth: int = 0) -> None:
    """Read one file, and at their lines the files that it sources."""
    text = host.read(path)
    if text is None or depth > _DEEPEST:
        return
    if carriage := _CARRIAGE.search(text):
        raise ParseError(
            path,
            text.count("\n", 0, carriage.start()) + 1,
            "the line ends in a carriage return, which sh takes into the value",
            way_out="write the file with plain line ends",
        )
    document = shellvars.parse(text, path)
    rc.texts[path], rc.documents[path] = text, document
    steps: list[tuple[int, Setting | str]] = [
        (given.line, Setting(name, path, given))
        for name in document.names()
        for given in document.all(name)
    ]
    steps += _includes(text)
    for _, step in sorted(steps, key=lambda each: each[0]):
        if isinstance(step, str):
            _source(host, rc, step, depth + 1)
        else:
            rc.settings.setdefault(step.name, []).append(step)


def _includes(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and path of each file that is sourced by name."""
    if ". /" not in text and "source" not in text:
        return
    for number, line in enumerate(text.split("\n"), 1):
        code = line.partition("#")[0]
        for match in _INCLUDE.finditer(code):
            yield number, match[1]
