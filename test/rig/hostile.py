"""Hostile strings in every pillar field and every function argument: none gets anywhere.

A program of its own, so that a check can run it on another copy of the checkout:

    hostile.py CHECKOUT [STEP]     with STEP only every STEP-th string

A string that is refused leaves no trace: it is looked for in every effect (texts, paths,
commands and their input), in every file and program asked for, and in the lock's note. A value
of another kind is refused or taken, and never a traceback.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

CHECKOUT = sys.argv[1]
sys.path[:1] = [str(Path(__file__).resolve().parents[1]), f"{CHECKOUT}/_utils"]

from salt.exceptions import CommandExecutionError  # noqa: E402

from rig import dhcphostile, simsysctl  # noqa: E402
from rig.hostile_strings import MARK, every, odd, places, put  # noqa: E402
from rig.simhost import SimHost  # noqa: E402
from rig.simnm import OWNERS  # noqa: E402
from saltext.ipalias import engine, paths, pillar  # noqa: E402
from saltext.ipalias.effects import Check, Effect  # noqa: E402
from saltext.ipalias.host import Result  # noqa: E402

#: Longest error that may come back: a string of a megabyte must not.
LONGEST = 4000


def strings() -> list[str]:
    """Return the hostile strings, or as many as the command line says."""
    return every()[:: int(sys.argv[2]) if len(sys.argv) > 2 else 1]


class Recorder:
    """A host that notes every string it is given."""

    system = "linux"

    def __init__(self, host: SimHost) -> None:
        self.host = host
        self.given: list[object] = []

    def perform(self, effect: Effect) -> Any:
        self.given.append(effect)
        return self.host.perform(effect)

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        self.given.append((argv, stdin))
        return self.host.run(argv, stdin, timeout)

    def read(self, path: str) -> str | None:
        self.given.append(path)
        return self.host.read(path)

    def exists(self, path: str) -> bool:
        self.given.append(path)
        return self.host.exists(path)

    def glob(self, pattern: str) -> list[str]:
        self.given.append(pattern)
        return self.host.glob(pattern)

    def which(self, name: str) -> str | None:
        self.given.append(name)
        return self.host.which(name)

    @contextlib.contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        self.given.append(purpose)
        yield

    def reached(self) -> str:
        """Return what was given a hostile string; nothing when none was."""
        for thing in self.given:
            if MARK in str(thing):
                return f"{type(thing).__name__}: {str(thing)[:300]!r}"
        return ""


class Attack:
    """The execution module over a recording host."""

    #: What each argument that has no default is given.
    needed: ClassVar[dict[str, Any]] = {
        "address": "203.0.113.9",
        "backend": "networkd",
        "name": "eth0",
    }

    def __init__(self, template: SimHost, module: str = "ipalias") -> None:
        self.template = template
        self.module = load_module(module)
        self.tried = 0
        self.problems: list[str] = []
        self.fields: set[str] = set()

    def engine_on(self, recorder: Recorder, data: Any) -> Callable[..., Any]:
        def make(
            path: str = "ipalias", given: Any = None, root: str | None = None, confirm: bool = False
        ) -> Any:
            block = data if given is None else given
            return engine.Engine(
                host=recorder,  # type: ignore[arg-type]
                data=block,
                root=root or "ipalias",
                settings=paths.Settings(confirm=confirm),
                locked=recorder.lock,
                new_id=lambda: "id-1",
            )

        return lambda pillar="ipalias", data=None, root=None, confirm=False: make(
            pillar, data, root, confirm
        )

    def arm(self, recorder: Recorder, data: Any) -> None:
        """Let the module work on a recording host, with a pillar's block."""
        self.module._engine = self.engine_on(recorder, data)

    def reached(self, recorder: Recorder, field: str, text: object) -> str:
        """Return what was given the string and must not have been.

        The program of a check, and its arguments, are the operator's to name.
        """
        if field.startswith("pillar guard:checks:2"):
            recorder.given = [thing for thing in recorder.given if not isinstance(thing, Check)]
        return recorder.reached()

    def attempt(self, field: str, text: object, data: Any, call: Callable[[], Any]) -> None:
        """Make one call with one hostile value and see what comes of it."""
        self.tried += 1
        self.fields.add(field)
        recorder = Recorder(self.template.twin())
        self.arm(recorder, data)
        what = f"{field} = {repr(text)[:60] if isinstance(text, str) else type(text).__name__}"
        try:
            told = call()
        except CommandExecutionError as error:
            if len(str(error)) > LONGEST:
                self.problems.append(f"{what}: the error has {len(str(error))} characters")
            told = None
        except BaseException as error:
            self.problems.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")
            return
        if reached := self.reached(recorder, field, text):
            self.problems.append(f"{what}: reached {reached}")
        if told is not None and len(json.dumps(told, default=str)) > 100_000:
            self.problems.append(f"{what}: a return of that size")

    def control(self) -> None:
        """Give the mark where it is a good label: it must be seen to reach a file."""
        recorder = Recorder(self.template.twin())
        self.module._engine = self.engine_on(recorder, {"check_duplicates": False})
        self.module.add("203.0.113.9", interface="eth0", label=MARK)
        if "WriteTemporary" not in str(recorder.given) or not recorder.reached():
            self.problems.append("the control: a good label is not seen to reach a file")

    def pillar_fields(self) -> None:
        """Put each string in each place of a whole pillar: values and keys."""
        whole: dict[str, Any] = {
            "backend": "auto",
            "purge": "owned",
            "adopt": False,
            "announce": {"count": 1, "interval": 0.1},
            "form": "stanza",
            "check_duplicates": False,
            **{"restart": "alias", "convert_dhcp": False, "dns_servers": ["192.0.2.53"]},
            "guard": {"timeout": 60, "checks": ["master", "tcp://192.0.2.1:443", ["/bin/true"]]},
            "interfaces": {
                "eth0": {
                    "addresses": [
                        "203.0.113.9",
                        "203.0.113.20-203.0.113.22",
                        {"address": "203.0.113.10/32", "label": "x", "source": "auto"},
                        {"block": "203.0.113.16/30", "source": "auto"},
                    ],
                    **{"backend": "auto", "purge": "owned", "adopt": False, "form": "stanza"},
                    **{"check_duplicates": False, "announce": 1},
                }
            },
        }
        self.each_place(whole)

    def each_place(self, whole: dict[str, Any]) -> None:
        """Apply a pillar with each string and each value of another kind in each place of it."""
        for place in places(whole):
            for text in [*strings(), *odd()]:
                data = copy.deepcopy(whole)
                if place[-2:-1] == ("KEY",) and not isinstance(text, Hashable):
                    continue
                put(data, place, text)
                where = ":".join(map(str, place))
                self.attempt(f"pillar {where}", text, data, lambda: self.module.apply())

    def arguments(self) -> None:
        """Give each string as each argument of each function."""
        functions = {
            name: value
            for name, value in vars(self.module).items()
            if isinstance(value, types.FunctionType) and name[0] != "_"
        }
        needed = self.needed
        for name, function in functions.items():
            signature = inspect.signature(function)
            for argument in signature.parameters:
                for text in [*strings(), *odd()]:
                    given = {
                        key: needed[key]
                        for key, value in signature.parameters.items()
                        if value.default is inspect.Parameter.empty
                    }
                    self.attempt(
                        f"{name}({argument})",
                        text,
                        {},
                        lambda f=function, g={**given, argument: text}: f(**g),  # type: ignore
                    )


class Settings(Attack):
    """The module of kernel settings: its pillar's block, and each argument.

    A name may be looked for among the settings, and a value may be a word, which the kernel
    then refuses; nothing else goes anywhere.
    """

    KEY = "net.ipv4.conf.all.arp_ignore"
    WORDS = re.compile(r"[A-Za-z0-9_.,:/%|@+=() \t-]{1,4000}")
    needed: ClassVar[dict[str, Any]] = {"name": KEY, "value": 1}

    def arm(self, recorder: Recorder, data: Any) -> None:
        self.module.__pillar__ = {"ipalias": data}
        self.module._shared().Formula.surroundings = lambda self, **settings: {
            "host": recorder,
            "settings": paths.Settings(**settings),
            "locked": recorder.lock,
            "new_id": lambda: "id-1",
        }

    def reached(self, recorder: Recorder, field: str, text: object) -> str:
        values = field.endswith(("(value)", f"sysctl:{self.KEY}"))
        if values and isinstance(text, str) and self.WORDS.fullmatch(text):
            same = recorder.host.state() == self.template.state()
            return "" if same else "the host, and was not taken back"
        looked = [thing for thing in recorder.given if str(thing).startswith("/proc/sys/")]
        recorder.given = [thing for thing in recorder.given if thing not in looked]
        bad = [path for path in looked if ".." in path.split("/") or not path.isprintable()]
        return f"paths {bad[:3]}" if bad else recorder.reached()

    def control(self) -> None:
        """Give a word of the grammar: it must be seen to reach a file, and be taken back."""
        recorder = Recorder(self.template.twin())
        self.arm(recorder, {})
        with contextlib.suppress(CommandExecutionError):
            self.module.present(self.KEY, MARK)
        if "WriteTemporary" not in str(recorder.given) or not recorder.reached():
            self.problems.append("the control: a word is not seen to reach a file")

    def pillar_fields(self) -> None:
        """Put each string in each place of the block: names, values, and what lies around."""
        whole: dict[str, Any] = {"sysctl": {self.KEY: 1}, "guard": {"timeout": 60, "checks": []}}
        self.each_place(whole)


def load_module(name: str) -> Any:
    """Return an execution module without Salt's loader."""
    spec = importlib.util.spec_from_file_location("attacked", f"{CHECKOUT}/_modules/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__opts__ = {}  # type: ignore[attr-defined]
    module.__pillar__ = {}  # type: ignore[attr-defined]
    # The library that is loaded already: the host above is made of its classes.
    module._shared().Formula.library = lambda self, name: importlib.import_module(
        f"saltext.ipalias.{name}"
    )
    return module


def main() -> None:
    """Attack, one owner for the pillar and another for the arguments; then the settings."""
    assert pillar.__file__.startswith(CHECKOUT), pillar.__file__
    told: dict[str, Any] = {"strings": len(strings()), "tried": 0, "fields": 0, "problems": []}
    attacks: list[Attack] = []
    for owner, kind in (("networkd", "pillar_fields"), ("ifupdown", "arguments")):
        attack = Attack(OWNERS[owner]())
        attack.control()
        getattr(attack, kind)()
        attacks.append(attack)
    settings = Settings(simsysctl.linux(), "ipalias_sysctl")
    settings.control()
    settings.pillar_fields()
    settings.arguments()
    for attack in (*attacks, settings):
        told["tried"] += attack.tried
        told["fields"] += len(attack.fields)
        told["problems"] += attack.problems
    tried, fields, problems = dhcphostile.attack([*strings(), *odd()])
    told["tried"] += tried
    told["fields"] += fields
    told["problems"] += problems
    print(json.dumps(told))


if __name__ == "__main__":
    main()
