"""Programs of a platform that cannot run here, form by form.

A program is a list of forms. Each says which command line it takes, cites where that is
documented or was seen, and does to the host what the real one does. A line that fits no form
is refused as the program refuses what it cannot parse: what nobody has cited is not believed.

``mutated`` gives the slips of a pen that a rendered command line must not survive.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rig.simhost import SimHost
from saltext.ipalias.host import Result

#: What a form does: gets the words of its slots by name, and standard input.
Act = Callable[[dict[str, str], "str | None"], Result]


class Refusal(Exception):
    """Raise for what the real program refuses.

    :param text: what it prints, as the citation has it.
    :param code: its exit code.
    """

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text, self.code = text, code


@dataclass(frozen=True)
class Form:
    """Hold one form of a command line.

    :param words: the line as one string: words that must stand as they are, and slots
        ``{name:regex}`` that a word must match in full (``{name}``: any word but an option).
    :param cite: manual page, source line or recorded output. Never empty.
    """

    words: str
    cite: str
    act: Act

    def __deepcopy__(self, memo: dict[int, object]) -> Form:
        return Form(self.words, self.cite, copy.deepcopy(self.act, memo))

    def match(self, argv: Sequence[str]) -> dict[str, str] | None:
        """Return the slots of a command line, or None where it is another form."""
        pattern = _pattern(self.words)
        if len(pattern) != len(argv):
            return None
        slots: dict[str, str] = {}
        for (name, want), word in zip(pattern, argv, strict=True):
            if isinstance(want, str):
                if want != word:
                    return None
            elif not want.fullmatch(word):
                return None
            else:
                slots[name] = word
        return slots


@cache
def _pattern(words: str) -> tuple[tuple[str, str | re.Pattern[str]], ...]:
    """Return the words of a form, each a word that stands as it is or a named slot."""
    found: list[tuple[str, str | re.Pattern[str]]] = []
    for want in words.split(" "):
        slot = re.fullmatch(r"\{(\w+)(?::(.+))?\}", want)
        if slot is None:
            found.append(("", want))
        else:
            found.append((slot[1], re.compile(slot[2] or r"[^-].*", re.DOTALL)))
    return tuple(found)


class Cited:
    """A program of a simulated host: its forms, and how it refuses the rest.

    :param name: the program's name as it is run.
    :param usage: what it prints for a line that it cannot parse, and the exit code.
    """

    def __init__(
        self, host: SimHost, name: str, forms: Sequence[Form], usage: tuple[str, int]
    ) -> None:
        assert all(form.cite.strip() for form in forms), f"{name}: a form without a citation"
        self.host, self.name, self.forms, self.usage = host, name, tuple(forms), usage
        #: Lines that fitted a form, in order; and those that fitted none.
        self.taken: list[tuple[str, ...]] = []
        self.refused: list[tuple[str, ...]] = []

    def __deepcopy__(self, memo: dict[int, object]) -> Cited:
        # Hosts are copied by the thousand, and the lines seen are no part of what is copied deep.
        twin = copy.copy(self)
        memo[id(self)] = twin
        for name, value in vars(self).items():
            seen = name in ("taken", "refused")
            setattr(twin, name, list(value) if seen else copy.deepcopy(value, memo))
        return twin

    def __call__(self, argv: Sequence[str], stdin: str | None) -> Result:
        for form in self.forms:
            slots = form.match(argv)
            if slots is None:
                continue
            self.taken.append(tuple(argv))
            try:
                return form.act(slots, stdin)
            except Refusal as refusal:
                return Result(refusal.code, "", f"{refusal.text}\n")
        self.refused.append(tuple(argv))
        return Result(self.usage[1], "", f"{self.usage[0]}\n")

    def takes(self, argv: Sequence[str]) -> bool:
        """Tell whether a line fits a form, without doing anything."""
        return any(form.match(argv) is not None for form in self.forms)


def mutated(argv: Sequence[str], seed: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield slips of the pen: each word dropped, doubled, misspelt, each pair swapped.

    The program's name stays. A slip that gives the same line again is left out.
    """
    draw = random.Random(f"{seed}-{' '.join(argv)}")
    line = tuple(argv)
    seen = {line}
    for at in range(1, len(line)):
        word = line[at]
        spot = draw.randrange(len(word)) if word else 0
        slips = [
            (*line[:at], *line[at + 1 :]),
            (*line[:at], word, *line[at:]),
            (*line[:at], f"{word[:spot]}~{word[spot:]}", *line[at + 1 :]),
        ]
        if at + 1 < len(line):
            slips.append((*line[:at], line[at + 1], word, *line[at + 2 :]))
        for slip in slips:
            if slip not in seen:
                seen.add(slip)
                yield slip


def survivors(program: Cited, lines: Sequence[Sequence[str]]) -> tuple[int, list[tuple[str, ...]]]:
    """Return how many slips there are of lines that were run, and those it would still take."""
    slips = [slip for line in dict.fromkeys(map(tuple, lines)) for slip in mutated(line)]
    return len(slips), [slip for slip in slips if program.takes(slip)]
