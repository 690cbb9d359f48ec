"""The files in which OpenRC finds the list of an interface, and the edits in them.

``sh/openrc-run.sh`` of OpenRC sources, for the service ``net.eth0``, one after another:
``/etc/conf.d/net.LEVEL`` or else ``net``, ``net.eth0.LEVEL`` or else ``net.eth0``, then
``/etc/rc.conf`` and ``/etc/rc.conf.d/*.conf``. Of a variable the last assignment counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import ParseError, UnsupportedError
from ..host import Host
from ..text import shellvars
from .netifrc_items import ARRAY, STRING, Item, read_item, split_list

CONF_D = "/etc/conf.d"
MAIN = f"{CONF_D}/net"
#: State of OpenRC (openrc(8)); what a boot does not have is not running.
RUN = "/run/openrc"
#: First line of a file that was not there before; without anything else it goes again.
HEADER = "# Made by ipalias for its aliases.\n"
#: Behind an assignment that was not there before: it goes with the last alias.
MARK = "# ipalias"
_SOURCED = re.compile(r"^(?:\.|source)[ \t]+(?=\S)", re.MULTILINE)
_LEVEL = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Setting:
    """Hold the list of an interface as it stands.

    :param name: the variable.
    :param path: the file that has it, or that is to get it.
    :param text: that file's text; None where there is none.
    :param form: `STRING` or `ARRAY`; None where there is no list.
    :param spaced: its one line is a list of words.
    :param lines: the line of each item.
    """

    name: str
    interface: str
    path: str
    text: str | None
    document: shellvars.Document
    form: str | None = None
    items: tuple[Item, ...] = ()
    lines: tuple[int, ...] = ()
    spaced: bool = False
    assignments: tuple[shellvars.Assignment, ...] = ()

    @property
    def last(self) -> shellvars.Assignment:
        """Return the assignment that counts."""
        return self.assignments[-1]

    @property
    def where(self) -> str:
        """Return file and line."""
        return f"{self.path}:{self.last.line}" if self.assignments else self.path

    @property
    def made_by_us(self) -> bool:
        """Tell whether the assignment was not there before."""
        line = (self.text or "").split("\n")[self.last.last_line - 1]
        return len(self.assignments) == 1 and MARK in line


def shell_var(interface: str) -> str:
    """Return an interface's name as it stands in names of variables (``shell_var`` of OpenRC)."""
    characters = (chr(byte) for byte in interface.encode("utf-8", "surrogateescape"))
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in characters)


def paths(host: Host, interface: str) -> list[str]:
    """Return the files that are read for an interface, in their order."""
    level = (host.read(f"{RUN}/softlevel") or "").strip()
    found = []
    for path in (MAIN, f"{MAIN}.{interface}"):
        own = f"{path}.{level}"
        if _LEVEL.fullmatch(level) and host.exists(own):
            found.append(own)
        elif host.exists(path):
            found.append(path)
    found += [path for path in ("/etc/rc.conf",) if host.exists(path)]
    return found + host.glob("/etc/rc.conf.d/*.conf")


def read_setting(host: Host, interface: str, module: str) -> Setting:
    """Return the list of an interface.

    :raises ParseError: where a shell alone could tell what it is.
    """
    name = f"config_{shell_var(interface)}"
    best: Setting | None = None
    first: Setting | None = None
    for path in paths(host, interface):
        text = host.read(path)
        if text is None or (name not in text and not path.startswith(CONF_D)):
            continue
        document = shellvars.parse(text, path)
        setting = Setting(name, interface, path, text, document)
        _refuse_hidden(setting)
        if path.startswith(CONF_D):
            first = first or setting
        if document.get(name) is not None:
            if best is not None and document.all(name)[0].append:
                line = document.all(name)[0].line
                raise ParseError(
                    path, line, f"`{name}` adds to what {best.path} sets", way_out=_ONE_LIST
                )
            best = _with_items(setting, module)
    if best is not None:
        return best
    return first or Setting(name, interface, MAIN, None, shellvars.parse("", MAIN))


def reread(setting: Setting, text: str, module: str) -> Setting:
    """Return the list as it stands in an edited text of its file."""
    document = shellvars.parse(text, setting.path)
    found = Setting(setting.name, setting.interface, setting.path, text, document)
    return found if document.get(setting.name) is None else _with_items(found, module)


_ONE_LIST = "write it as one list"


def _refuse_hidden(setting: Setting) -> None:
    """Refuse what may set the list otherwise than its assignments say.

    :raises ParseError: with the line.
    """
    if hidden := setting.document.hidden(setting.name):
        raise ParseError(
            setting.path,
            hidden[0],
            f"`{setting.name}` is set in a function, under a condition or by a command",
            way_out="set it on a line of its own; only a shell can tell what it is there",
        )
    text = setting.text or ""
    if found := _SOURCED.search(text):
        raise ParseError(
            setting.path,
            text.count("\n", 0, found.start()) + 1,
            f"another file is read here, which may set `{setting.name}`",
            way_out=f"move the settings of {setting.interface} into {setting.path}",
        )


def _refuse_unknown(setting: Setting, assignment: shellvars.Assignment) -> None:
    if assignment.opaque:
        raise ParseError(
            setting.path,
            assignment.line,
            f"the value of `{setting.name}` holds an expansion, and only a shell can tell it",
            way_out="write the addresses as they are",
        )
    if assignment.is_array and setting.document.newline == "\r\n":
        raise ParseError(
            setting.path,
            assignment.line,
            "an array in a file with carriage returns: they become part of its items",
            way_out="take them out (dos2unix)",
        )


def _with_items(setting: Setting, module: str) -> Setting:
    assignments = setting.document.all(setting.name)
    begins = [index for index, one in enumerate(assignments) if not one.append]
    assignments = assignments[begins[-1] if begins else 0 :]
    for assignment in assignments:
        _refuse_unknown(setting, assignment)
    parts: list[str] = []
    for one in assignments:
        if one.items is not None:
            parts += [item or "" for item in one.items]
        elif one.append and parts:
            parts[0] += one.value or ""  # what bash does with an array as well as a string
        else:
            parts = [one.value or ""]
    texts, spaced = split_list(line for part in parts for line in part.split("\n"))
    items = tuple(read_item(text, setting.interface, module) for text in texts)
    form = ARRAY if any(one.is_array for one in assignments) else STRING
    known = replace(setting, form=form, items=items, spaced=spaced, assignments=tuple(assignments))
    return replace(known, lines=tuple(_lines(known)))


def _lines(setting: Setting) -> Iterator[int]:
    """Yield the line of each item: that on which its first word is met next."""
    text = setting.text or ""
    line = setting.assignments[0].line
    at = 0
    for _ in range(line - 1):
        at = text.index("\n", at) + 1
    for item in setting.items:
        met = text.find(item.text.split(" ")[0], at)
        if met >= 0:
            line += text.count("\n", at, met)
            at = met
        yield line


# Writing


def new_list(setting: Setting, texts: Sequence[str], form: str, why: str) -> str:
    """Return the text with a list that was not there."""
    if setting.text is None:
        document = shellvars.parse(HEADER, setting.path)
    else:
        document = shellvars.parse(setting.text, setting.path)
    if form == ARRAY:
        document.set_array(setting.name, texts)
    else:
        value = document.newline.join(texts)
        document.set(setting.name, value, quote='"', multiline=True)
    lines = document.text().split("\n")
    made = shellvars.parse("\n".join(lines), setting.path).get(setting.name)
    assert made is not None
    line = lines[made.last_line - 1]
    end = "\r" if line.endswith("\r") else ""
    lines[made.last_line - 1] = f"{line.removesuffix(end)} {MARK}: {why}{end}"
    return "\n".join(lines)


def without_list(setting: Setting) -> str | None:
    """Return the text without the list that we made; None where nothing else is left."""
    document = shellvars.parse(setting.text or "", setting.path)
    document.remove(setting.name)
    text = document.text()
    return None if text == HEADER else text


def converted(setting: Setting, texts: Sequence[str], form: str, arrays: Iterable[str] = ()) -> str:
    """Return the text with the list in another form.

    :param arrays: other arrays that become strings likewise.
    :raises UnsupportedError: comments in the brackets would be lost.
    """
    document = shellvars.parse(setting.text or "", setting.path)
    for name in (setting.name, *arrays):
        assignment = document.get(name)
        assert assignment is not None
        if assignment.is_array:
            _refuse_comments(setting, assignment)
        if name != setting.name:
            items = [item or "" for item in assignment.items or ()]
            document.set(name, document.newline.join(items), quote='"', multiline=True)
    if form == ARRAY:
        document.set_array(setting.name, texts)
    else:
        document.set(setting.name, document.newline.join(texts), quote='"', multiline=True)
    return document.text()


def _refuse_comments(setting: Setting, assignment: shellvars.Assignment) -> None:
    lines = (setting.text or "").split("\n")
    for number in range(assignment.line, assignment.last_line + 1):
        unquoted = re.sub(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", "", lines[number - 1])
        if "#" in unquoted.partition(")")[0]:
            raise UnsupportedError(
                f"a comment within `{assignment.name}` would be lost with the brackets",
                where=f"{setting.path}:{number}",
                way_out="move it out of them, then run again",
            )
