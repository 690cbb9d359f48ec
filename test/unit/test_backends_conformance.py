"""Every registered dialect is whole: its functions, its golden cases, its place on the rig.

The registry imports modules by name, so mypy never sees them as `Backend`.

A golden case is a folder below ``test/golden/<dialect>/`` with the trees ``before`` and
``after`` and a JSON file that lists the ``aliases``. Its name, up to the first ``_``, says
which mandatory case it is.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rig.simdsr import host_of
from rig.simengine import present
from rig.simnm import OWNERS
from saltext.ipalias import restarts
from saltext.ipalias.backends import ALONE, ELSEWHERE, MARKS, REGISTRY, Backend, load

GOLDEN = Path(__file__).parents[1] / "golden"
MANDATORY = ("v4", "v6", "two", "removal", "foreign")
#: That of lo lies on hosts whose owner leaves lo alone; `test_dsr_never_answers` goes through it.
HOSTS = {**OWNERS, "loopback": lambda: host_of("networkd")}
CONSTANTS = {
    "NAME",
    "UNSUPPORTED",
    "MAX_ADDRESSES",
    "NUMBERED",
    "OPTIONS",
    "SYSTEMS",
    "STORED",
}
OPTIONS = {"ipv6", "label", "source4", "source6", "wide_source4", "file_alone"}


def functions(owner: Any) -> dict[str, Any]:
    """Return the public functions that a protocol or a module defines itself."""
    return {
        name: value
        for name, value in vars(owner).items()
        if inspect.isfunction(value)
        and name[0] != "_"
        and value.__module__ in (owner.__name__, owner.__module__ if inspect.isclass(owner) else "")
    }


def shape(function: Any, *, method: bool = False) -> list[tuple[str, object, object, object]]:
    """Return name, kind, default and annotation of each parameter, the result's last."""
    signature = inspect.signature(function)
    listed: list[tuple[str, object, object, object]] = [
        (p.name, p.kind, p.default, p.annotation) for p in signature.parameters.values()
    ]
    return [*listed[method:], ("return", None, None, signature.return_annotation)]


def lacks(backend: Any, golden: Path) -> list[str]:
    """Return what a dialect lacks, in sentences."""
    said = [f"no constant {name}" for name in sorted(CONSTANTS) if not hasattr(backend, name)]
    theirs = functions(backend)
    for name, wanted in functions(Backend).items():
        if name not in theirs:
            said.append(f"no function {name}")
        elif shape(theirs[name]) != shape(wanted, method=True):
            said.append(f"{name}{inspect.signature(theirs[name])} is not as in Backend")
    without = {"v6"} if "ipv6" in getattr(backend, "UNSUPPORTED", ()) else set()
    said += [
        f"no golden case {name}"
        for name in MANDATORY
        if name not in without and not cases(golden, name)
    ]
    return said


def cases(golden: Path, name: str) -> list[Path]:
    """Return the whole golden cases of one kind."""
    return [
        path
        for path in sorted(golden.glob(f"{name}*"))
        if path.name.partition("_")[0] == name
        and (path / "before").is_dir()
        and (path / "after").is_dir()
        and list(path.glob("*.json"))
    ]


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_bytes().decode("utf-8", "surrogateescape")
        for path in folder.rglob("*")
        if path.is_file()
    }


def asked(case: Path) -> list[str]:
    """Return the addresses that a case asks for: mappings, or texts with a prefix."""
    (told,) = case.glob("*.json")
    listed = json.loads(told.read_text())["aliases"]
    return [one.partition("/")[0] if isinstance(one, str) else one["address"] for one in listed]


@pytest.fixture(params=REGISTRY)
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    assert name in present(), f"{name} is registered and has no module"
    return name


def test_a_dialect_is_whole(dialect: str) -> None:
    assert lacks(load(dialect), GOLDEN / dialect) == []


def test_its_constants_are_of_their_kind(dialect: str) -> None:
    backend = load(dialect)
    assert dialect == backend.NAME
    assert set(backend.UNSUPPORTED) <= OPTIONS
    assert all(reason.strip() for reason in backend.UNSUPPORTED.values())
    assert isinstance(backend.NUMBERED, bool)
    assert backend.MAX_ADDRESSES is None or backend.MAX_ADDRESSES > 0
    assert all(isinstance(values, tuple) and values for values in backend.OPTIONS.values())
    assert (backend.__doc__ or "").strip()


def test_it_is_found_where_the_registry_says(dialect: str) -> None:
    """The registry says it again, so that a minion imports only what can concern it."""
    assert (ELSEWHERE.get(dialect, "linux"),) == load(dialect).SYSTEMS


def test_its_mark_is_on_its_own_host_and_on_no_other(dialect: str) -> None:
    """Where the mark is absent the module is not asked, so it must have nothing to say there."""
    mark = MARKS.get(dialect)
    if mark is None:
        return
    assert OWNERS[dialect]().glob(mark)
    for name, made in OWNERS.items():
        host = made()
        if not host.glob(mark):
            assert not load(dialect).detect(host, "eth0").owns, name


def test_each_restart_level_has_its_commands(dialect: str) -> None:
    host = HOSTS[dialect]()
    backend = load(dialect)
    evidence = backend.detect(host, ALONE.get(dialect, "eth0"))
    for scope in restarts.CUTS:
        for command in backend.restart(evidence, scope, host):
            assert all(command.argv), scope
    for scope in restarts.HARD:
        assert backend.restart(evidence, scope, host), f"{scope} restarts nothing"


def test_it_has_a_simulated_host(dialect: str) -> None:
    """There its changes are failed, stopped, replayed and run twice."""
    assert dialect in HOSTS


def texts(case: Path, side: str) -> str:
    return "\n".join(tree(case / side).values())


def test_its_cases_are_what_their_names_say(dialect: str) -> None:
    golden = GOLDEN / dialect
    for case in cases(golden, "v4"):
        assert all(":" not in address for address in asked(case)), case
    for case in cases(golden, "v6"):
        assert any(":" in address for address in asked(case)), case
    for case in cases(golden, "two"):
        assert len(asked(case)) > 1, case
    for name in ("v4", "v6", "two"):
        for case in cases(golden, name):
            before, after = texts(case, "before"), texts(case, "after")
            for address in asked(case):
                assert address in after, case
                assert address not in before, case
    for case in cases(golden, "removal"):
        assert texts(case, "before") != texts(case, "after")
        gone = lines(tree(case / "before")) - lines(tree(case / "after"))
        assert gone, case
    for case in cases(golden, "foreign"):
        assert lines(foreign(case)), case
        assert lines(foreign(case)) <= lines(tree(case / "after")), case


def lines(files: dict[str, str]) -> set[str]:
    return {line for text in files.values() for line in text.splitlines() if line.strip()}


def foreign(case: Path) -> dict[str, str]:
    """Return the files of a host's configuration that are not ours, a store among them."""
    return {
        path: text
        for path, text in tree(case / "before").items()
        if path.startswith(("etc/", "store.")) and "ipalias" not in path
    }


# The check itself


def module(name: str, source: Iterable[str]) -> types.ModuleType:
    made = types.ModuleType(name)
    exec("from __future__ import annotations\n" + "\n".join(source), made.__dict__)
    return made


def test_a_dialect_that_lacks_something_is_found_out(tmp_path: Path) -> None:
    said = lacks(module("half", ["NAME = 'half'", "def detect(host: Host): ..."]), tmp_path)
    assert "no constant UNSUPPORTED" in said
    assert "no function render" in said
    assert "detect(host: 'Host') is not as in Backend" in said
    assert [f"no golden case {name}" for name in MANDATORY] == said[-len(MANDATORY) :]


def test_a_case_without_its_trees_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "v4" / "before").mkdir(parents=True)
    (tmp_path / "v4" / "case.json").write_text("{}")
    (tmp_path / "v44").mkdir()
    assert cases(tmp_path, "v4") == []
    (tmp_path / "v4" / "after").mkdir()
    assert [case.name for case in cases(tmp_path, "v4")] == ["v4"]
