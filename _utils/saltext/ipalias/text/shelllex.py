"""Split shell text into commands, as far as an editor of its assignments needs.

The grammar is that of sh(1) (POSIX.1, Shell Command Language, 2.3 and 2.10) with what bash
adds to assignments: arrays, ``+=``, ``$'…'``. Commands are not understood, only delimited:
what is not a plain list of assignments has to be told apart from them with certainty, or an
``if``, a function or a here-document would lend its lines to the settings around it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from .shellword import Cursor, Word

_OPERATOR = re.compile(r";;&|;;|;&|&&|\|\||\|&|&>>|&>|<<<|<<-|<<|<&|>&|<>|>>|>\||[;&|<>()]")
_EMPTY_PARENS = re.compile(r"\([ \t]*\)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ELEMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\[[^]]*\]\+?=")
_IN_TEXT = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]*)\+?=")
_OPENERS = {"if": "fi", "while": "done", "until": "done", "{": "}"}
_HEADED = {"case": ("esac", "subject"), "for": ("done", "name"), "select": ("done", "name")}
_INNER = {"then": "fi", "else": "fi", "elif": "fi", "do": "done"}
_CLOSERS = frozenset(("fi", "done", "esac", "}"))
_PREFIXES = frozenset(("!", "time", "coproc"))
_RESERVED = frozenset((*_OPENERS, *_HEADED, *_INNER, *_CLOSERS, *_PREFIXES, "function", "[["))
#: Commands whose plain arguments are names they give a value or take it from.
_SETTERS = frozenset(("unset", "read", "getopts", "mapfile", "readarray", "printf"))

# Where in a command the next word stands: where one may begin, among its arguments, or
# behind a compound one, where reserved words count and separators may follow.
_START, _ARGUMENTS, _AFTER = range(3)


@dataclass
class _Open:
    """Hold a compound command that is not closed yet.

    :param head: what its head still waits for; empty once its commands have begun.
    """

    closer: str
    at: int
    head: str = ""


@dataclass
class Command:
    """Hold one command of a row.

    :param words: its words, where it is nothing but words.
    :param plain: it sets variables and does nothing else.
    :param end: index behind its last character; an ``&`` that ends it belongs to it.
    :param behind: index behind the ``;`` that ends it, or the same.
    """

    start: int
    end: int
    behind: int = 0
    words: list[Word] = field(default_factory=list)
    plain: bool = True


@dataclass
class Row:
    """Hold the commands from the start of a line to the newline that ends the last of them.

    :param end: index behind that newline and the here-documents that follow it.
    """

    start: int
    end: int = 0
    commands: list[Command] = field(default_factory=list)


@dataclass
class _State:
    command: Command
    stack: list[_Open] = field(default_factory=list)
    place: int = _START
    joined: int = -1
    head: str = ""


class Lexer(Cursor):
    """Read a whole text into rows.

    :param path: where the text stands, for errors.
    """

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        self._here: list[tuple[str, bool, int]] = []

    def rows(self) -> list[Row]:
        """Return every row that holds a command.

        :raises ParseError: where a shell would refuse the text, and for nesting too deep.
        """
        if "\0" in self.text:
            self.fail(self.text.index("\0"), "a NUL byte", "a shell drops it; take it out")
        rows: list[Row] = []
        while self.at < len(self.text):
            row = Row(self.at)
            self._commands(row.commands)
            self._newline()
            row.end = self.at
            if row.commands:
                rows.append(row)
        return rows

    def substitution(self) -> None:
        """Skip the commands of ``$( … )``, the cursor behind its opening; they run apart."""
        kept, opened = len(self.touched), self.at - 1
        while True:
            self._commands([], nested=True)
            if self.peek() == ")":
                break
            if self.at >= len(self.text):
                self.unclosed(opened, "(")
            self._newline()
        self.at += 1
        del self.touched[kept:]

    def _commands(self, found: list[Command], nested: bool = False) -> None:
        """Read commands up to the newline, the end, or the bracket that closes a nested list."""
        while True:
            self.blanks()
            if self.at >= len(self.text) or self.at_newline() or (nested and self.peek() == ")"):
                return
            command = self._command(nested)
            found.append(command)
            if self.peek() == ";":
                self.at += 1
                command.behind = self.at

    def _command(self, nested: bool) -> Command:
        state = _State(Command(self.at, self.at))
        while True:
            self.blanks()
            if self.at >= len(self.text):
                if state.stack:
                    self.unclosed(state.stack[-1].at, state.stack[-1].closer, closes=True)
                if state.joined >= 0:
                    self.fail(state.joined, "a command that goes on, and no more text")
                break
            if self.at_newline():
                if not state.stack and state.joined < 0:
                    break
                self._newline()
                self._line_ended(state)
            elif operator := _OPERATOR.match(self.text, self.at):
                if not state.stack and operator[0] == ";" and state.place != _START:
                    break
                if not state.stack and nested and operator[0] == ")":
                    break
                if self._operator(state, operator[0]):
                    break
            else:
                self._take_word(state)
                state.command.end = self.at
        command = state.command
        command.behind = command.end
        command.plain = command.plain and self._only_sets(command)
        if not command.plain:
            for word in command.words:
                self._touch_word(word, "")
        return command

    def _only_sets(self, command: Command) -> bool:
        words = command.words
        exported = bool(words) and self.raw(words[0]) == "export"
        return any(word.name for word in words) and all(
            word.name or (exported and _NAME.fullmatch(self.raw(word))) for word in words
        )

    def _line_ended(self, state: _State) -> None:
        top = state.stack[-1] if state.stack else None
        if top and top.head == "list":
            top.head = ""
        if not (top and top.head):
            state.place, state.head = _START, ""

    def _take_word(self, state: _State) -> None:
        top = state.stack[-1] if state.stack else None
        word = self.word()
        raw = self.raw(word)
        state.joined = -1
        if top and top.head:
            self._take_head(state, top, raw, word)
        elif state.place != _ARGUMENTS and raw in _RESERVED:
            state.command.plain = False
            self._reserved(state, raw, word.start)
        else:
            state.place = _ARGUMENTS
            if state.command.plain and not state.stack:
                state.command.words.append(word)
            elif state.head != "local":
                self._touch_word(word, state.head)
            if not state.head and not word.name and raw not in ("command", "builtin"):
                state.head = raw
                if raw in _SETTERS or raw == "eval":
                    self._not_plain(state)

    def _not_plain(self, state: _State) -> None:
        """Hold from now on that the command is no list of assignments."""
        if state.command.plain:
            state.command.plain = False
            for word in state.command.words:
                self._touch_word(word, "")
            state.command.words = []

    def _touch_word(self, word: Word, head: str) -> None:
        """Note each name that a word may give a value."""
        raw = self.raw(word).replace("\\\n", "")
        if head == "eval":
            self.touched.extend((match[1], word.start) for match in _IN_TEXT.finditer(raw))
        elif match := _ELEMENT.match(raw) or _IN_TEXT.match(raw):
            self.touched.append((match[1], word.start))
        elif head in _SETTERS and _NAME.fullmatch(raw):
            self.touched.append((raw, word.start))

    def _take_head(self, state: _State, top: _Open, raw: str, word: Word) -> None:
        """Take a word between ``case`` or ``for`` and the commands."""
        if top.head == "subject":
            top.head = "in"
        elif top.head == "name":
            self.touched.append((raw, word.start))
            top.head = "list or do"
        elif top.head == "in":
            if raw != "in":
                self.fail(word.start, f"{raw!r} where `in` belongs")
            top.head, state.place = "pattern", _START
        elif top.head == "list or do" and raw in ("in", "do"):
            top.head, state.place = ("list", _ARGUMENTS) if raw == "in" else ("", _START)
        elif top.head == "pattern":
            ends = raw == "esac" and state.place == _START
            if ends:
                state.stack.pop()
            state.place = _AFTER if ends else _ARGUMENTS

    def _reserved(self, state: _State, raw: str, at: int) -> None:
        top = state.stack[-1].closer if state.stack else ""
        self._not_plain(state)
        state.place, state.head = _START, ""
        if raw in _OPENERS:
            state.stack.append(_Open(_OPENERS[raw], at))
        elif raw in _HEADED:
            closer, head = _HEADED[raw]
            state.stack.append(_Open(closer, at, head))
        elif raw in _INNER or raw in _CLOSERS:
            if top != _INNER.get(raw, raw):
                self.fail(at, f"`{raw}` without its beginning")
            if raw in _CLOSERS:
                state.stack.pop()
                state.place = _AFTER
        elif raw == "function":
            self.blanks()
            self.word()
            state.joined = at
        elif raw == "[[":
            self._test(at)
            state.place = _AFTER

    def _test(self, opened: int) -> None:
        """Skip ``[[ … ]]``, in which brackets and ``<`` are no operators."""
        while True:
            self.blanks()
            if self.at >= len(self.text):
                self.unclosed(opened, "[[")
            if self.at_newline():
                self._newline()
            elif operator := _OPERATOR.match(self.text, self.at):
                self.at = operator.end()
            elif self.raw(self.word()) == "]]":
                return

    def _operator(self, state: _State, operator: str) -> bool:
        """Take an operator; True where it ends the command."""
        at = self.at
        top = state.stack[-1] if state.stack else None
        self.at += len(operator)
        self._not_plain(state)
        state.command.end = self.at
        if operator[0] in "<>" or operator in ("&>", "&>>"):
            self._redirection(state, operator, at)
            return False
        if operator in "()":
            self._bracket(state, top, operator, at)
            state.command.end = self.at
            return False
        if top and top.head == "pattern" and operator == "|":
            return False
        if operator in (";;", ";&", ";;&"):
            if not top or top.closer != "esac" or top.head:
                self.fail(at, f"`{operator}` outside of a `case`")
            top.head, state.place, state.head = "pattern", _START, ""
            return False
        if top and top.head in ("list", "list or do") and operator == ";":
            top.head = ""
        elif state.place == _START or (top and top.head):
            self.fail(at, f"`{operator}` where a command belongs")
        if operator not in ";&":
            state.joined = at
        state.place, state.head = _START, ""
        return operator == "&" and not state.stack

    def _bracket(self, state: _State, top: _Open | None, operator: str, at: int) -> None:
        head = top.head if top else ""
        if operator == ")":
            if top and head == "pattern":
                top.head, state.place, state.head = "", _START, ""
            elif top and top.closer == ")":
                state.stack.pop()
                state.place = _AFTER
            else:
                self.fail(at, "`)` without its beginning")
        elif head == "pattern" and state.place == _START:
            return
        elif head == "name":
            self.balanced(at)
            state.stack[-1].head = "list or do"
        elif head:
            self.fail(at, "`(` where it cannot be")
        elif parens := _EMPTY_PARENS.match(self.text, at):
            self.at = parens.end()  # a function
            state.place, state.head, state.joined = _START, "", at
        elif state.place == _ARGUMENTS:
            self.fail(at, "`(` behind a word")
        elif self.peek() == "(":
            self.balanced(at)
            state.place, state.joined = _AFTER, -1
        else:
            state.stack.append(_Open(")", at))
            state.place, state.head, state.joined = _START, "", -1

    def _redirection(self, state: _State, operator: str, at: int) -> None:
        if operator in "<>" and self.peek() == "(":
            self.at += 1
            with self.deeper(at):
                self.substitution()
        else:
            self.blanks()
            if self.at >= len(self.text) or self.at_newline() or self.peek() in ";&|<>()":
                self.fail(at, f"`{operator}` and no word behind it")
            word = self.word()
            if operator in ("<<", "<<-"):
                delimiter = self.raw(word) if word.value is None else word.value
                self._here.append((delimiter, operator == "<<-", at))
        state.command.end = self.at
        state.joined = -1
        if state.place == _START:
            state.place = _ARGUMENTS

    def _newline(self) -> None:
        """Step over a line end, or nothing at the end, and the here-documents that follow."""
        if self.peek() == "\r":
            self.at += 1
        if self.peek() == "\n":
            self.at += 1
        waiting, self._here = self._here, []
        for delimiter, tabs, opened in waiting:
            while True:
                if self.at >= len(self.text):
                    self.unclosed(opened, f"<<{delimiter}")
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end].removesuffix("\r")
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break


class LineNumbers:
    """Turn an index into a line number, counted from 1."""

    def __init__(self, text: str) -> None:
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def of(self, at: int) -> int:
        """Return the line an index is on."""
        return bisect_left(self._ends, at) + 1
