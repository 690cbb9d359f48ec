"""One word of shell text: quoting, and what keeps its value from being known.

sh(1), POSIX.1 Shell Command Language, 2.2 (quoting) and 2.6 (expansions). A word that needs an
expansion has no value here; it is only delimited, so that it can be kept as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from ..errors import ParseError

#: How deep substitutions may nest; an interpreter's own limit would be no error of ours.
_DEEPEST = 30
_SKIPPED = re.compile(r"(?:[ \t]|\\\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_LINE_END = re.compile(r"\r?\n|\r\Z")
_PLAIN = re.compile(r"[^ \t\n\r'\"\\$`;&|<>()?*+@!]+")
_QUOTED = re.compile(r"[^\"\\$`]+")
_ANSI = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_BACKQUOTED = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
#: What follows the dollar of an expansion.
_PARAMETER = re.compile(r"[A-Za-z_0-9@*#?$!-]")
_DEFAULT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*):?=")
_JOINED = re.compile(r"(?:\\\n)+")
_TILDE = re.compile(r"(?:\A|:)~")
_FIELD_EXPANSION = re.compile(r"[\[{]|\A~|=~")


@dataclass
class Word:
    """Hold one word.

    :param value: with the quoting taken away; of an assignment, what is behind the ``=``.
        None where only an expansion tells it, and for an array.
    :param name: of an assignment; otherwise empty.
    :param operator_at: index of the ``=`` or ``+=``.
    :param value_at: index behind it.
    :param items: the words of an array.
    :param expands: as a field of a list it would be split or matched against file names.
    """

    start: int
    end: int
    value: str | None
    name: str = ""
    append: bool = False
    operator_at: int = 0
    value_at: int = 0
    items: list[Word] | None = None
    expands: bool = False


class Cursor:
    """Stand in a text and read words of it.

    :param path: where the text stands, for errors.
    """

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.at = 0
        self.touched: list[tuple[str, int]] = []
        #: Index of a backslash that would join what is put behind the text; -1 without.
        self.open_at = -1
        self._depth = 0

    def fail(self, at: int, what: str, way_out: str = "") -> NoReturn:
        """Raise for the line of an index."""
        line = self.text.count("\n", 0, at) + 1
        way_out = way_out or "correct the file; a shell refuses it"
        raise ParseError(self.path, line, what, way_out=way_out)

    def unclosed(self, at: int, mark: str, closes: bool = False) -> NoReturn:
        """Raise for what begins at an index and does not end."""
        what = f"what begins here has no `{mark}`" if closes else f"`{mark}` is not closed"
        self.fail(at, what, "close it; a shell would take the rest of the file into it")

    @contextmanager
    def deeper(self, at: int) -> Iterator[None]:
        """Count one level of nesting."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self.fail(at, f"more than {_DEEPEST} substitutions in one another", "simplify it")
        yield
        self._depth -= 1

    def peek(self) -> str:
        """Return the next character, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def raw(self, word: Word) -> str:
        """Return a word as it stands."""
        return self.text[word.start : word.end]

    def at_newline(self) -> bool:
        """Tell whether a line ends here; a carriage return before the newline is part of that."""
        return _LINE_END.match(self.text, self.at) is not None

    def blanks(self) -> None:
        """Step over blanks, continued lines and a comment."""
        if skipped := _SKIPPED.match(self.text, self.at):
            self.at = skipped.end()
            if self.at == len(self.text) and self.text.endswith("\n"):
                self.open_at = self.at - 2
        if comment := _COMMENT.match(self.text, self.at):
            end = comment.end()
            self.at = end - 1 if self.text[end - 1 : end] == "\r" else end

    def word(self, item: bool = False) -> Word:
        """Read the word that begins here.

        :param item: it is one of an array and so no assignment.
        """
        word = Word(self.at, self.at, None)
        if not item and (match := _ASSIGNMENT.match(self.text, self.at)):
            word.name, word.append = match[1], bool(match[2])
            word.operator_at, word.value_at = match.end(1), match.end()
            self.at = match.end()
            if self.peek() == "(":
                word.items = self._array()
                word.end = self.at
                if self.peek() not in ("", *" \t\n\r;&|<>()\\"):
                    self.fail(self.at, "an array with something right behind it")
                return word
        parts: list[str] = []
        known = True
        begun = self.at
        while self.at < len(self.text):
            if plain := _PLAIN.match(self.text, self.at):
                # A mark in front where the piece is not the first: a tilde or a name there is none.
                piece = plain[0] if self.at == begun else "-" + plain[0]
                known = known and not _TILDE.search(piece)
                word.expands = word.expands or bool(_FIELD_EXPANSION.search(piece))
                parts.append(plain[0])
                self.at = plain.end()
                continue
            if self.text[self.at] in " \t\n;&|<>()" or self.at_newline():
                break
            known = self._piece(word, parts) and known
        word.end = self.at
        word.value = "".join(parts) if known else None
        return word

    def _piece(self, word: Word, parts: list[str]) -> bool:
        """Read a quoted or special piece of a word; False where its value is not known."""
        char, at = self.text[self.at], self.at
        if char == "'":
            end = self.text.find("'", at + 1)
            if end < 0:
                self.unclosed(at, "'")
            parts.append(self.text[at + 1 : end])
            self.at = end + 1
        elif char == '"':
            return self._double(parts)
        elif char == "\\":
            self._backslash(parts)
        elif char == "`":
            self._backquoted()
            return False
        elif char == "$":
            return self._dollar(parts, quoted=False)
        else:
            self.at += 1
            parts.append(char)
            word.expands = word.expands or char in "?*"
            if self.peek() == "(" and char in "?*+@!":
                self.at += 1
                self.balanced(self.at - 1)
                return False
        return True

    def _backslash(self, parts: list[str]) -> None:
        follower = self.text[self.at + 1 : self.at + 2]
        if not follower or (follower == "\n" and self.at + 2 == len(self.text)):
            self.open_at = self.at
        if follower != "\n":
            parts.append(follower or "\\")
        self.at += 1 + len(follower)

    def _double(self, parts: list[str]) -> bool:
        opened = self.at
        known = True
        self.at += 1
        while self.at < len(self.text):
            if plain := _QUOTED.match(self.text, self.at):
                parts.append(plain[0])
                self.at = plain.end()
                continue
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return known
            if char == "`":
                self._backquoted()
                known = False
            elif char == "$":
                known = self._dollar(parts, quoted=True) and known
            else:
                follower = self.text[self.at + 1 : self.at + 2]
                if follower != "\n":
                    parts.append(follower if follower and follower in '$`"\\' else "\\" + follower)
                self.at += 1 + len(follower)
        self.unclosed(opened, '"')

    def _backquoted(self) -> None:
        match = _BACKQUOTED.match(self.text, self.at)
        if not match:
            self.unclosed(self.at, "`")
        self.at = match.end()

    def _dollar(self, parts: list[str], quoted: bool) -> bool:
        """Read what a ``$`` begins; True where it is only a character."""
        at = self.at
        # A shell joins lines first: what the dollar begins may stand on the next one.
        begun = _JOINED.match(self.text, at + 1)
        after = begun.end() if begun else at + 1
        follower = self.text[after : after + 1]
        if follower == "(":
            self.at = after + 1
            with self.deeper(at):
                if self.peek() == "(":
                    self.balanced(after)
                else:
                    self.substitution()
        elif follower == "{":
            if default := _DEFAULT.match(self.text, after):
                self.touched.append((default[1], at))
            self.at = after + 1
            with self.deeper(at):
                self._skip(at, "}", quoted)
        elif follower == "'" and not quoted:
            match = _ANSI.match(self.text, after)
            if not match:
                self.unclosed(at, "$'")
            self.at = match.end()
        elif follower == '"' and not quoted:
            self.at = after
            self._double([])
        elif _PARAMETER.match(follower):
            self.at = after + 1  # the rest of its name reads as plain characters
        else:
            self.at += 1
            parts.append("$")
            return True
        return False

    def balanced(self, opened: int) -> None:
        """Skip to the bracket that closes one, the cursor behind the opening."""
        self._skip(opened, ")", quoted=False)

    def _skip(self, opened: int, closer: str, quoted: bool) -> None:
        depth = 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == closer:
                depth -= 1
                if not depth:
                    self.at += 1
                    return
            elif char == "(" and closer == ")":
                depth += 1
            if char in "\"'`$\\" and not (quoted and char == "'"):
                with self.deeper(self.at):
                    self._piece(Word(self.at, self.at, None), [])
            else:
                self.at += 1
        self.unclosed(opened, "(" if closer == ")" else "${")

    def _array(self) -> list[Word]:
        opened = self.at
        self.at += 1
        items: list[Word] = []
        while True:
            self.blanks()
            if self.at >= len(self.text):
                self.unclosed(opened, "(")
            if match := _LINE_END.match(self.text, self.at):
                self.at = match.end()
            elif self.peek() == ")":
                self.at += 1
                return items
            elif self.peek() in ";&|<>(":
                self.fail(self.at, f"`{self.peek()}` in an array")
            else:
                item = self.word(item=True)
                item.value = None if item.expands else item.value
                items.append(item)

    def substitution(self) -> None:
        """Skip the commands of ``$( … )``."""
        raise NotImplementedError
