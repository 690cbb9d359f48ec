"""A host that is a folder: what the library reads lies in files, commands have fixed answers.

A golden case is a folder with ``case.json``, the tree ``before`` and the tree ``after``.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saltext.ipalias.backends import Backend
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.model import Activation, Alias, Change, Evidence, File, Found, Wanted

CODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


@dataclass
class TreeHost:
    """Read a folder as if it were the root; see `host.Host`.

    :param answers: standard output by command line; a command without one is not installed.
    :param system: which kernel it runs.
    """

    root: Path
    answers: Mapping[str, str] = field(default_factory=dict)
    system: str = "linux"

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str | None:
        try:
            with self.at(path).open(**CODING) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, path: str) -> bool:
        return self.at(path).exists()

    def glob(self, pattern: str) -> list[str]:
        root = glob.escape(str(self.root))
        return sorted(found[len(str(self.root)) :] for found in glob.glob(root + pattern))

    def which(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if any(k.split()[0] == name for k in self.answers) else None

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        answer = self.answers.get(" ".join(argv))
        if answer is None:
            return Result(NOT_FOUND, "", f"{argv[0]}: not installed")
        return Result(0, answer, "")

    def write(self, path: str, text: str) -> None:
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        with self.at(path).open("w", **CODING) as file:
            file.write(text)

    def link(self, name: str, index: int, mac: str = "02:00:00:00:00:01") -> None:
        """Give the host a link, as /sys shows it."""
        self.write(f"/sys/class/net/{name}/ifindex", f"{index}\n")
        self.write(f"/sys/class/net/{name}/address", f"{mac}\n")

    def store(self, files: Iterable[File]) -> list[File]:
        """Write what was rendered; return the files that differed."""
        changed = []
        for file in files:
            if self.read(file.path) == file.text:
                continue
            changed.append(file)
            if file.text is None:
                self.at(file.path).unlink()
            else:
                self.write(file.path, file.text)
        return changed

    def texts(self, folder: str = "/etc") -> dict[str, str]:
        """Return every file's text below a folder, empty folders left out."""
        found = (p for p in sorted(self.at(folder).rglob("*")) if p.is_file())
        names = (str(path)[len(str(self.root)) :] for path in found)
        return {name: self.read(name) or "" for name in names}


def evidence_of(backend: Backend, host: TreeHost, interface: str) -> Evidence:
    """Return what `detect` finds, held to own the interface."""
    evidence = backend.detect(host, interface)
    assert evidence.owns, evidence.reasons
    return evidence


def apply(
    backend: Backend,
    host: TreeHost,
    interface: str,
    aliases: Iterable[Alias],
    *,
    adopt: Iterable[Found] = (),
    assume: bool = False,
) -> Change:
    """Render an interface's whole list into the tree; return the change, for `activate`."""
    evidence = (backend.assume if assume else backend.detect)(host, interface)
    former = [found.alias for found in backend.parse(host, evidence) if found.ours]
    wanted = Wanted(interface, tuple(aliases), evidence, former=tuple(former), adopt=tuple(adopt))
    changed = host.store(backend.render(wanted, host))
    added = tuple(alias for alias in wanted.aliases if alias not in former)
    removed = tuple(alias for alias in former if alias not in wanted.aliases)
    return Change(interface, evidence, added, removed, tuple(changed))


def cases(folder: Path) -> list[Path]:
    """Return the golden cases of a folder."""
    return sorted(path.parent for path in folder.glob("*/case.json"))


def run_case(backend: Backend, case: Path, tmp_path: Path) -> TreeHost:
    """Run a golden case and compare; a second run must change nothing."""
    told: dict[str, Any] = json.loads((case / "case.json").read_text())
    root = tmp_path / "root"
    shutil.copytree(case / "before", root, symlinks=True)
    host = TreeHost(root, told["answers"])
    interface = told["interface"]
    aliases = [Alias(interface=interface, **alias) for alias in told["aliases"]]
    assume = bool(told.get("assume"))
    evidence = (backend.assume if assume else backend.detect)(host, interface)
    adopt = [f for f in backend.parse(host, evidence) if f.alias.cidr in told.get("adopt", ())]
    change = apply(backend, host, interface, aliases, adopt=adopt, assume=assume)
    assert host.texts() == TreeHost(case / "after").texts()
    activation = backend.activate(change, host)
    assert commands(activation) == told["activation"]
    assert told.get("note", "") in activation.note
    assert bool(told.get("note")) == bool(activation.note)
    again = apply(backend, host, interface, aliases, assume=assume)
    assert again.files == ()
    held = [found.alias for found in backend.parse(host, evidence) if found.ours]
    assert held == aliases
    return host


def run_shared_case(backend: Backend, case: Path, tmp_path: Path) -> TreeHost:
    """Run a golden case of files that others share, where the ledger tells what is ours.

    A second run must change nothing, and taking everything out gives the first bytes back
    (``reversible`` false: the case begins with something of ours).
    """
    told: dict[str, Any] = json.loads((case / "case.json").read_text())
    root = tmp_path / "root"
    shutil.copytree(case / "before", root)
    host = TreeHost(root, told["answers"])
    interface = told["interface"]
    evidence = evidence_of(backend, host, interface)
    assert evidence.strength == told["strength"]
    aliases = tuple(Alias(interface=interface, **one) for one in told["aliases"])
    former = tuple(Alias(interface=interface, **one) for one in told["former"])
    files = host.store(backend.render(Wanted(interface, aliases, evidence, former), host))
    assert not any(file.owned for file in files)
    if os.environ.get("UPDATE_GOLDEN"):
        shutil.rmtree(case / "after", ignore_errors=True)
        shutil.copytree(root, case / "after")
    assert host.texts() == TreeHost(case / "after").texts()

    kept = {alias.cidr for alias in aliases}
    gone = tuple(alias for alias in former if alias.cidr not in kept)
    change = Change(interface, evidence, aliases, gone, tuple(files))
    activation = backend.activate(change, host)
    assert (commands(activation) if files else []) == told["activation"]
    assert told.get("note", "") in activation.note
    assert bool(told.get("note")) == bool(activation.note)

    again = Wanted(interface, aliases, evidence, aliases)
    assert host.store(backend.render(again, host)) == []
    found = {item.alias.cidr for item in backend.parse(host, evidence)}
    assert found >= kept
    assert not found & {alias.cidr for alias in gone}
    if told.get("reversible", True):
        host.store(backend.render(Wanted(interface, (), evidence, aliases), host))
        assert host.texts() == TreeHost(case / "before").texts()
    return host


def commands(activation: Activation) -> list[str]:
    """Return every command of an activation, in the order it runs."""
    parts = (*activation.before, *activation.up, *activation.tell, *activation.derive)
    return [" ".join(command.argv) for command in parts]
