"""Errors of the library.

Every message says three things: where (pillar path, argument, or file and line),
what is wrong, and the way out. Loader modules turn these into Salt's own two
errors; nothing else is ever raised on purpose.
"""

from __future__ import annotations

#: What reading data of an unknown shape can raise. An infinite number and a nesting too deep
#: for the interpreter are among it: neither is a ValueError.
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


#: Longest part of a message in characters: a value of a megabyte is not worth one.
LONGEST = 1200


class IpaliasError(Exception):
    """Base of every error this library raises on purpose.

    :param where: pillar path, argument name, or ``file:line`` the error is about.
    :param what: what is wrong, with the offending value.
    :param way_out: what the operator can do about it.
    """

    def __init__(self, what: str, *, where: str = "", way_out: str = "") -> None:
        self.where = where
        self.what = what
        self.way_out = way_out
        super().__init__(self.text())

    def text(self) -> str:
        """Return the whole message on one line, no part of it so long that it hides the rest."""
        where, what, way_out = (
            part if len(part) <= LONGEST else f"{part[:LONGEST]}…"
            for part in (self.where, self.what, self.way_out)
        )
        text = f"{where}: {what}" if where else what
        return f"{text}; {way_out}" if way_out else text


class InputError(IpaliasError):
    """Raise for a value from the pillar or an argument that is refused."""


class ParseError(IpaliasError):
    """Raise for a configuration file that cannot be read as its platform reads it."""

    def __init__(self, path: str, line: int, what: str, *, way_out: str = "") -> None:
        self.path = path
        self.line = line
        super().__init__(what, where=f"{path}:{line}", way_out=way_out)


class OwnerError(IpaliasError):
    """Raise when no backend, or more than one, owns an interface."""


class RefusedError(IpaliasError):
    """Raise when doing as told would cut the host off or touch what is not ours."""


class UnsupportedError(IpaliasError):
    """Raise when a dialect cannot express what was asked."""


class EffectError(IpaliasError):
    """Raise when an effect on the host failed (a command, a write)."""


class VerifyError(IpaliasError):
    """Raise when files or kernel do not show what was applied."""
