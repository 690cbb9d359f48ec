"""Programs of a platform that cannot run here, form by form.

A program is a list of forms. Each says which command line it takes, cites where that is
documented or was seen, and does to the host what the real one does. A line that fits no form
is refused as the program refuses what it cannot parse: what nobody has cited is not believed.

``mutated`` gives the slips of a pen that a rendered command line must not survive.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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

    def match(self, argv: Sequence[str]) -> dict[str, str] | None:
        """Return the slots of a command line, or None where it is another form."""
        pattern = self.words.split(" ")
        if len(pattern) != len(argv):
            return None
        slots: dict[str, str] = {}
        for want, word in zip(pattern, argv, strict=True):
            found = re.fullmatch(r"\{(\w+)(?::(.+))?\}", want)
            if found is None:
                if want != word:
                    return None
            elif not re.fullmatch(found[2] or r"[^-].*", word, re.DOTALL):
                return None
            else:
                slots[found[1]] = word
        return slots


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
