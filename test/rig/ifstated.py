"""A small ifstated: the grammar of parse.y and what ifstated.c does with it, for tests.

Written down from ``usr.sbin/ifstated/parse.y`` 1.32 and ``ifstated.c`` 1.68 of OpenBSD, apart
from the library's own renderer. What the real one refuses is refused here: an action on the
line of its brace, ``else``, an interval that is no number, a macro that is not defined or
within quotes or another macro, a state that is not declared, ``set-state`` outside of a state.
Its ways with tests are kept too: exit statuses by state, the order of a state's list of tests,
and the change that ``eval_state`` passes over. What it knows of links it knows for all states
at once (scan_ifstate).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

KEYWORDS = ("every", "if", "init", "init-state", "link", "run", "set-state", "state", "up")
KEYWORDS += ("down", "unknown", "added", "removed", "&&", "||")
#: parse.y, yylex: what a word may go on with.
_IN_WORD = re.compile(r"[A-Za-z0-9\-_:&|;/<>?@\[\]^`~$%*+'\"\\]")
_FIRST = re.compile(r"[A-Za-z:_&|]")


class Syntax(Exception):
    """Raise for what ``ifstated -n`` refuses."""


@dataclass
class Test:
    """One external test of one state.

    :param last: when it ended that was run by its timer; 0: never.
    :param status: its last exit status; None: none yet.
    :param due: when its timer fires.
    """

    command: str
    every: int
    last: float = 0.0
    status: int | None = None
    due: float = 0.0


@dataclass
class Node:
    """An expression; its truth is kept as it was last adjusted, and begins as false.

    :param link: of a node on an interface its name and the state that is meant.
    :param heard: whether anything was heard of it.
    """

    kind: str
    test: Test | None = None
    link: tuple[str, str] = ("", "")
    heard: bool = False
    left: Node | None = None
    right: Node | None = None
    truth: bool = False

    def reset(self) -> None:
        self.truth = self.heard = False
        for part in (self.left, self.right):
            if part is not None:
                part.reset()

    def links(self) -> Iterator[Node]:
        if self.kind == "link":
            yield self
        for part in (self.left, self.right):
            if part is not None:
                yield from part.links()

    def tests(self) -> Iterator[Test]:
        if self.test is not None:
            yield self.test
        for part in (self.left, self.right):
            if part is not None:
                yield from part.tests()

    def adjust(self) -> bool:
        """Adjust from below; a node of which nothing is known yet stays as it is."""
        known = any(test.status is not None for test in self.tests())
        known = known or any(node.heard for node in self.links())
        if self.left is not None:
            self.left.adjust()
        if self.right is not None:
            self.right.adjust()
        if not known or self.kind == "link":
            return self.truth
        if self.kind == "test":
            assert self.test is not None
            self.truth = self.test.status == 0
        elif self.kind == "!":
            assert self.right is not None
            self.truth = not self.right.truth
        else:
            assert self.left is not None and self.right is not None
            sides = (self.left.truth, self.right.truth)
            self.truth = all(sides) if self.kind == "&&" else any(sides)
        return self.truth


@dataclass
class Action:
    kind: str
    text: str = ""
    condition: Node | None = None
    actions: list[Action] = field(default_factory=list)

    def links(self) -> Iterator[Node]:
        if self.condition is not None:
            yield from self.condition.links()
        for action in self.actions:
            yield from action.links()

    def reset(self) -> None:
        if self.condition is not None:
            self.condition.reset()
        for action in self.actions:
            action.reset()


@dataclass
class State:
    name: str
    init: list[Action] = field(default_factory=list)
    body: list[Action] = field(default_factory=list)
    #: In the order of parsing; one that was run by its timer goes to the end.
    tests: list[Test] = field(default_factory=list)
    entered: float = 0.0
    order: tuple[Test, ...] = ()

    def reset(self) -> None:
        """Forget what a daemon has learnt."""
        self.order = self.order or tuple(self.tests)
        self.tests, self.entered = list(self.order), 0.0
        for test in self.tests:
            test.last, test.status, test.due = 0.0, None, 0.0
        for action in self.body:
            action.reset()


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    line: int


# The lexer


class Lexer:
    """yylex, lgetc and the macros."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text, 0, 1
        self.macros: dict[str, str] = {}
        #: The rest of a macro that is being read (parsebuf); no macro is looked up in one.
        self.rest: str | None = None

    def get(self) -> str:
        if self.rest is not None:
            if self.rest:
                sign, self.rest = self.rest[0], self.rest[1:]
                return sign
            self.rest = None
        while self.text.startswith("\\\n", self.at):
            self.at += 2
            self.line += 1
        sign = self.text[self.at : self.at + 1]
        self.at += 1
        return sign

    def unget(self, sign: str) -> None:
        if self.rest is not None:
            self.rest = sign + self.rest
        elif sign:
            self.at -= 1
        else:
            self.at = len(self.text)

    def token(self) -> Token:
        while (sign := self.get()) in (" ", "\t"):
            pass
        if sign == "#":
            while (sign := self.get()) not in ("\n", ""):
                pass
        if sign == "$" and self.rest is None:
            return self._macro()
        if sign and sign in "'\"":
            return Token("string", self._quoted(sign), self.line)
        if sign.isdigit():
            return self._number(sign)
        if sign and _FIRST.fullmatch(sign):
            return self._word(sign)
        if sign == "\n":
            self.line += 1
            return Token("\n", sign, self.line - 1)
        if not sign and self.rest is None:
            return Token("", "", self.line)
        return Token(sign, sign, self.line)

    def _macro(self) -> Token:
        name = ""
        while (sign := self.get()) and re.fullmatch("[A-Za-z0-9_]", sign):
            name += sign
        self.unget(sign)
        if name not in self.macros:
            raise Syntax(f"{self.line}: macro '{name}' not defined")
        self.rest = self.macros[name]
        return self.token()

    def _quoted(self, quote: str) -> str:
        text = ""
        while (sign := self.get()) != quote:
            if not sign:
                raise Syntax("reached end of file while parsing quoted string")
            if sign == "\n":
                self.line += 1
                continue
            if sign == "\\" and (after := self.get()) != quote:
                self.unget(after)
            elif sign == "\\":
                sign = quote
            text += sign
            if len(text) > 8094:
                raise Syntax(f"{self.line}: string too long")
        return text

    def _number(self, sign: str) -> Token:
        text = sign
        while (sign := self.get()).isdigit():
            text += sign
        self.unget(sign)
        if sign and not sign.isspace() and sign not in "),/}=":
            # It is given back digit by digit; what is left is no token of the grammar.
            return Token("digits", text, self.line)
        return Token("number", text, self.line)

    def _word(self, sign: str) -> Token:
        text = sign
        while (sign := self.get()) and _IN_WORD.fullmatch(sign):
            text += sign
        self.unget(sign)
        return Token(text if text in KEYWORDS else "string", text, self.line)


# The parser


class Parser:
    """parse.y's grammar by recursive descent."""

    def __init__(self, text: str) -> None:
        self.lexer = Lexer(text)
        self.now = self.lexer.token()
        self.states: dict[str, State] = {}
        self.state: State | None = None
        self.start = ""
        self.named: list[tuple[str, int]] = []

    def take(self, kind: str) -> Token:
        token = self.now
        if token.kind != kind:
            raise Syntax(f"{token.line}: syntax error at {token.text!r}, not {kind!r}")
        self.now = self.lexer.token()
        return token

    def newlines(self) -> None:
        while self.now.kind == "\n":
            self.take("\n")

    def parse(self) -> tuple[dict[str, State], str]:
        while self.now.kind:
            if self.now.kind == "init-state":
                self.take("init-state")
                self.start = self.take("string").text
            elif self.now.kind == "state":
                self._state()
            elif self.now.kind == "string":
                self._macro()
            elif self.now.kind in ("run", "set-state", "if"):
                raise Syntax(f"{self.now.line}: an action outside of a state is no form here")
            if self.now.kind:
                self.take("\n")
        for name, line in self.named:
            if name not in self.states:
                raise Syntax(f"{line}: state '{name}' not declared")
        if self.start and self.start not in self.states:
            raise Syntax(f"invalid start state {self.start}")
        return self.states, self.start or next(iter(self.states))

    def _macro(self) -> None:
        name = self.take("string").text
        self.take("=")
        parts = [self.take("string").text]
        while self.now.kind == "string":
            parts.append(self.take("string").text)
        self.lexer.macros[name] = " ".join(parts)

    def _state(self) -> None:
        self.take("state")
        name = self.take("string").text
        if name in self.states:
            raise Syntax(f"{self.now.line}: state {name} already exists")
        self.state = State(name)
        self.newlines()
        self.take("{")
        self.newlines()
        seen = False
        while self.now.kind != "}" or not seen:
            if self.now.kind == "init":
                self.take("init")
                self._block(self.state.init)
            else:
                self._action(self.state.body)
            self.take("\n")
            self.newlines()
            seen = True
        self.take("}")
        self.states[name], self.state = self.state, None

    def _block(self, into: list[Action]) -> None:
        self.newlines()
        if self.now.kind != "{":
            self._action(into)
            return
        self.take("{")
        self.newlines()
        seen = False
        while self.now.kind != "}" or not seen:
            self._action(into)
            self.take("\n")
            self.newlines()
            seen = True
        self.take("}")

    def _action(self, into: list[Action]) -> None:
        if self.now.kind == "run":
            self.take("run")
            into.append(Action("run", self.take("string").text))
        elif self.now.kind == "set-state":
            line = self.take("set-state").line
            name = self.take("string").text
            self.named.append((name, line))
            into.append(Action("set-state", name))
        else:
            self.take("if")
            action = Action("if", condition=self._expression())
            into.append(action)
            self._block(action.actions)

    def _expression(self) -> Node:
        """``&&`` and ``||`` bind alike, from the left; ``!`` binds tighter."""
        left = self._term()
        while self.now.kind in ("&&", "||"):
            kind = self.take(self.now.kind).kind
            left = Node(kind, left=left, right=self._term())
        return left

    def _term(self) -> Node:
        if self.now.kind == "!":
            self.take("!")
            return Node("!", right=self._term())
        if self.now.kind == "(":
            self.take("(")
            inner = self._expression()
            self.take(")")
            return inner
        command = self.take("string").text
        if self.now.kind == ".":
            return self._link(command)
        self.take("every")
        every = int(self.take("number").text)
        if not 0 < every < 1 << 32:
            raise Syntax(f"{self.now.line}: invalid interval: {every}")
        assert self.state is not None
        known = (t for t in self.state.tests if (t.command, t.every) == (command, every))
        test = next(known, None)
        if test is None:
            test = Test(command, every)
            self.state.tests.append(test)
        return Node("test", test)

    def _link(self, name: str) -> Node:
        self.take(".")
        self.take("link")
        self.take(".")
        if self.now.kind not in ("up", "down", "unknown"):
            raise Syntax(f"{self.now.line}: syntax error at {self.now.text!r}")
        return Node("link", link=(name, self.take(self.now.kind).kind))


def parse(text: str) -> tuple[dict[str, State], str]:
    """Return states by name and the first one's name.

    :raises Syntax: what ``ifstated -n`` refuses.
    """
    return Parser(text).parse()


@lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[dict[str, State], str]:
    """Return a parsed file that one daemon at a time uses, and the next one after a reset."""
    return parse(text)


# The daemon


class Ifstated:
    """The daemon, with a clock of its own.

    :param ask: runs a test: its command → exit status, and the seconds it takes.
    :param run: carries an action out.
    :param entering: called with a state's name before its tests are run.
    :param links: interface → ``up``, ``down`` or ``unknown``, as it is at the start.
    """

    def __init__(
        self,
        text: str,
        ask: Callable[[str], tuple[int, float]],
        run: Callable[[str], None],
        entering: Callable[[str], None] = lambda name: None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        self.states, start = _parsed(text)
        for state in self.states.values():
            state.reset()
        self.ask, self.run, self.entering = ask, run, entering
        for name, link in (links or {}).items():
            self._scan(name, link)
        self.now = 1000.0
        self.entries: list[str] = []
        #: Tests that run, by command: when each ends, and how.
        self.running: dict[str, tuple[float, int]] = {}
        self.next = start
        self.state = State("")

    def start(self) -> Ifstated:
        """Enter the first state."""
        self._follow()
        return self

    def link(self, name: str, state: str) -> None:
        """Hear of an interface: scan_ifstate, which looks at all states, and eval_state."""
        self._scan(name, state)
        self._evaluate()

    def _scan(self, name: str, link: str) -> None:
        for state in self.states.values():
            for action in state.body:
                for node in action.links():
                    if node.link[0] == name:
                        node.truth, node.heard = node.link[1] == link, True
                self._adjust_in(action)

    def _follow(self) -> None:
        """state_change, until there is none; each entered state's init and body."""
        entered = 0
        while self.next and self.next != self.state.name:
            self.state = self.states[self.next]
            self.next = ""
            self.entries.append(self.state.name)
            self.entering(self.state.name)
            entered += 1
            assert entered < 50, "states without an end"
            self.state.entered = float(int(self.now))
            # The tests of a state that is left are killed.
            self.running.clear()
            for test in self.state.tests:
                test.status, lasts = self.ask(test.command)
                self.now += lasts
                test.due = self.now + test.every
            self._adjust()
            self._do(self.state.init)
            self._do(self.state.body)

    def _adjust(self) -> None:
        for action in self.state.body:
            self._adjust_in(action)

    def _adjust_in(self, action: Action) -> None:
        if action.condition is not None:
            action.condition.adjust()
        for inner in action.actions:
            self._adjust_in(inner)

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if action.kind == "run":
                self.run(action.text)
            elif action.kind == "set-state":
                self.next = action.text
            elif action.condition is not None and action.condition.truth:
                self._do(action.actions)

    def round(self) -> None:
        """Go on until a test has ended: timers fire, and the quickest test ends first."""
        state, ended = self.state, False
        while not ended and self.state is state:
            fires = min(state.tests, key=lambda test: test.due)
            running = [test for test in state.tests if test.command in self.running]
            ends = min(running, key=lambda test: self.running[test.command][0], default=None)
            if ends is not None and self.running[ends.command][0] <= fires.due:
                until, status = self.running.pop(ends.command)
                self.now = max(self.now, until)
                self._ended(ends, status)
                ended = True
            else:
                self.now = max(self.now, fires.due)
                fires.due += fires.every
                # One that still runs is killed, and tells nothing.
                status, lasts = self.ask(fires.command)
                self.running[fires.command] = (self.now + lasts, status)

    def _ended(self, test: Test, status: int) -> None:
        """check_external_status and eval_state."""
        changed = test.status != status
        test.status, test.last = status, float(int(self.now))
        self.state.tests.remove(test)
        self.state.tests.append(test)
        if not changed:
            return
        self._adjust()
        self._evaluate()

    def _evaluate(self) -> None:
        """eval_state."""
        first = self.state.tests[0]
        if first.last >= self.state.entered or first.last == 0:
            self._do(self.state.body)
            self._follow()
