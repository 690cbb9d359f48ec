"""Ask `rig.inside` on a host: requests out, answers in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from proof.registry import demand
from proof.stage import Stage
from rig.machine import Machine
from rig.process import CommandFailed, Running
from rig.salt import SaltMinion, interpreter

PROGRAM = "test/rig/inside.py"
#: Seconds a request may take; a bound, not an aim.
PATIENCE = 300.0

OLD = ("203.0.113.10", "203.0.113.12", "2001:db8:3::10")
NEW = ("203.0.113.11", "203.0.113.12", "2001:db8:3::11")


def block(
    addresses: Any, *, guard: Any = None, duplicates: bool = False, **settings: Any
) -> dict[str, Any]:
    """Return a pillar block for eth0; duplicates are not looked for unless asked."""
    data: dict[str, Any] = {
        "interfaces": {"eth0": {"addresses": list(addresses)}},
        "check_duplicates": duplicates,
        "announce": 0,
        **settings,
    }
    if guard is not None:
        data["guard"] = guard
    return data


def argv(host: SaltMinion, checkout: str = "") -> list[str]:
    """Return the command line of the program on a host."""
    return [*interpreter()[0], f"{checkout or host.checkout}/{PROGRAM}"]


def request(host: Machine, do: str, library: str = "", **words: Any) -> str:
    """Return a request as text."""
    folder = library or f"{host.checkout}/_utils"
    return json.dumps({"library": folder, "do": do, **words}) + "\n"


def ask(host: SaltMinion, do: str, **words: Any) -> dict[str, Any]:
    """Send one request and return its answer."""
    done = host.run(
        argv(host),
        request(host, do, **words),
        timeout=PATIENCE,
        check=False,
        env=interpreter()[1],
    )
    demand(done.code == 0 and done.out, f"{do}: exit {done.code}: {done.err[-600:]}")
    answer: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return answer


def applied(host: SaltMinion, pillar: dict[str, Any], **words: Any) -> dict[str, Any]:
    """Apply a pillar and demand that it stands."""
    told = ask(host, "apply", pillar=pillar, **words)
    demand("error" not in told, f"apply: {told.get('error')}")
    return told


def refusal(stage: Stage, *words: str) -> str:
    """Call a function by ``salt-call`` and return what it says, a refusal as its message."""
    try:
        return str(stage.call(*words))
    except CommandFailed as error:
        return str(error)


@contextmanager
def talking(host: SaltMinion, do: str, **words: Any) -> Iterator[Running]:
    """Start the program and send it a request; it ends with the block."""
    program = host.popen(
        argv(host),
        interpreter()[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        tell(program, request(host, do, **words))
        yield program
    finally:
        program.end()


def tell(program: Running, text: str) -> None:
    """Send a line."""
    assert program.stdin
    program.stdin.write(text)
    program.stdin.flush()


def hear(program: Running) -> dict[str, Any]:
    """Return the next answer."""
    assert program.stdout and program.stderr
    line = program.stdout.readline()
    demand(line, f"the program inside ended: {program.stderr.read()[-600:] if not line else ''}")
    answer: dict[str, Any] = json.loads(line)
    return answer
