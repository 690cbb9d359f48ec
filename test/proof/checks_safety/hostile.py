"""Hostile input: fuzzed parsers, hostile strings, planted links."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from proof.checks_safety.driver import ask
from proof.checks_safety.together import PLAIN, library, pillar, prepared
from proof.extent import full
from proof.registry import SAFETY, Case, check, demand
from proof.stage import Stage, shorten

HERE = [Case("", "here")]
#: Seconds for each parser; IPALIAS_FUZZ_SECONDS is for longer by hand.
FUZZ_SECONDS = 3.0


def program(stage: Stage, name: str, *arguments: str) -> dict[str, Any]:
    """Run a program of the rig on the checkout of the stage, and return what it says."""
    argv = [sys.executable, "-B", str(stage.source / "test/rig" / name), *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd="/"
    )
    demand(done.returncode == 0, f"{name}: exit {done.returncode}: {done.stderr[-500:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def corpus(stage: Stage) -> list[str]:
    """Return the folders with texts to damage: our golden trees, and real files where they are."""
    found = [stage.source / "test/golden"]
    real = os.environ.get("IPALIAS_CORPUS") or stage.source.parent / "shared/corpus"
    return [str(folder) for folder in (*found, Path(real)) if folder.is_dir()]


@check(601, "every parser fuzzed: our own errors only, no byte lost", over=HERE, book=SAFETY)
def fuzzed(stage: Stage) -> str:
    """Damaged files, dumps, frames and data for every parser, each dialect's files among them:
    aliases go in, are found again and go out, and every foreign file has its bytes again.
    """
    seconds = float(os.environ.get("IPALIAS_FUZZ_SECONDS") or (30 if full() else FUZZ_SECONDS))
    seed = os.environ.get("SEED") or "1"
    told = program(
        stage, "fuzz.py", str(stage.source / "_utils"), str(seconds), seed, *corpus(stage)
    )
    bad = told["bad"]
    demand(not bad, f"{len(bad)}, seed {seed}: {shorten(' | '.join(bad[:3]), 900)}")
    return f"{sum(told['runs'].values())} inputs for {len(told['runs'])} parsers"


@check(602, "hostile strings reach no file and no command", over=HERE, book=SAFETY)
def hostile(stage: Stage) -> str:
    """Newlines, quotes, ``$(``, NUL, ``;``, right-to-left marks, format strings, path traversal,
    strings of a megabyte: in each value and key of a pillar, in each argument of each function.
    """
    told = program(stage, "hostile.py", str(stage.source))
    problems = told["problems"]
    demand(told["strings"] >= 200, f"only {told['strings']} strings")
    demand(not problems, f"{len(problems)}: {shorten(' | '.join(problems[:3]), 900)}")
    return f"{told['strings']} strings, {told['fields']} fields, {told['tried']} calls"


VICTIM = "/srv/victim"
SECRET = "not ours to write\n"
STATE = "/var/lib/ipalias"
DROPIN = "/etc/systemd/network/50-default.network.d"


@check(603, "links planted under our names are not followed", over=PLAIN, book=SAFETY)
def planted(stage: Stage) -> str:
    """Symbolic links to a foreign file under every name that a change writes: temporary files,
    ledger, journal, lock, the dead man's note, the frozen copy. The file keeps its bytes and
    mode, and a planted lock is refused by name.
    """
    host = prepared(stage)
    data = pillar(check_duplicates=False)
    words = {"pillar": data, "library": library(stage)}
    told = ask(host, "effects", old=data, new=_with(data, "203.0.113.10"), library=library(stage))
    names = {name.split(" ", 1)[1] for name in told["effects"] if _writes(name)}
    names = {name for name in names if not re.search(r"-20\d{6}T", name)}
    names |= {f"{STATE}/.ledger.json.ipalias-new", f"{DROPIN}/.60-ipalias.conf.ipalias-new"}
    names |= {"/usr/local/lib/ipalias/current.new", "/usr/local/lib/ipalias/.new"}
    names -= {"/var/lib/ipalias", DROPIN}
    host.write(VICTIM, SECRET, 0o640)
    before = host.tree("/srv")
    for name in sorted(names):
        host.run(["rm", "-f", name])
        host.run(["mkdir", "-p", name.rpartition("/")[0]])
        host.run(["ln", "-s", VICTIM, name])
    for turn, address in enumerate(("203.0.113.11", "203.0.113.12")):
        told = ask(host, "apply", **{**words, "pillar": _with(data, address)})
        # A link in the place of the ledger is read, as a file that is none: a clean refusal.
        error = told.get("error", "")
        demand(told.get("kind") != "crash", f"run {turn}: {error}")
        demand(host.tree("/srv") == before, f"run {turn}: the victim was written: {error}")
        host.remove(f"{STATE}/ledger.json", f"{STATE}/backup/index.json")
    told = ask(host, "apply", **{**words, "pillar": _with(data, "203.0.113.13")})
    demand("error" not in told, f"without the link: {told.get('error')}")
    host.run(["ln", "-sf", VICTIM, f"{STATE}/lock"])
    told = ask(host, "apply", **{**words, "pillar": _with(data, "203.0.113.14")})
    error = told.get("error", "")
    demand(f"{STATE}/lock" in error and told.get("kind") != "crash", f"the lock: {told}")
    demand(host.tree("/srv") == before, "the victim was written through the lock")
    modes = _modes(host.tree(STATE))
    demand(not modes, f"others may read {modes}")
    return f"{len(names) + 1} links"


def _with(data: dict[str, Any], address: str) -> dict[str, Any]:
    return {**data, "interfaces": {"eth0": {"addresses": [address]}}}


def _writes(name: str) -> bool:
    return name.split(" ", 1)[0] in ("WriteTemporary", "Rename")


def _modes(tree: dict[str, tuple[str, str]]) -> list[str]:
    """Return the files of our state that others may read."""
    return [path for path, (mode, _) in tree.items() if int(mode, 8) & 0o077 and "lock" not in path]
