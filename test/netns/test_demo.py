"""`make demo`: what a newcomer sees must be true, as root and as a plain user."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from rig.salt import interpreter

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO = "test/demo/demo.py"
NOBODY = 65534
#: Gives a program the rights of a plain user and nothing of root's.
AS_NOBODY = [
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all",
    # setpriv itself still starts its program with root's rights.
    "env",
]
OUTCOMES = (
    "ok   eth0 has its own addresses and no alias",
    "ok   35 addresses and 1 file would be added",
    "ok   neither a file nor an address changed",
    "ok   all 35 aliases are live, and eth0 keeps its own addresses",
    "ok   one file came, the one that test=True had shown; the delivered one is untouched",
    "ok   35 aliases answer the router on the wire",
    "ok   no change",
    "ok   `ipalias.diff` names this address, and only this one",
    "ok   the highstate added this address and touched nothing else",
    "ok   198.51.100.12/32 is still there, as one more than the pillar has",
    "ok   addresses and routes are those of the beginning",
    "ok   /etc is byte for byte what it was, modes too",
    "ok   19 of 19 checks held on the host",
    "ok   this machine's own network is untouched: same addresses, routes and files",
)


def run_demo(
    prefix: Sequence[str] = (), python: Sequence[str] = (sys.executable,), **env: str
) -> subprocess.CompletedProcess[str]:
    argv = [*prefix, *python, DEMO]
    return subprocess.run(
        argv,
        cwd=CHECKOUT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def machine() -> dict[str, str]:
    """Return what the demo must not touch: addresses, routes and files of this machine."""
    seen = {}
    for argv in (["ip", "-o", "address"], ["ip", "route"], ["ip", "-6", "route"]):
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        # Lifetimes of leased addresses count down by themselves.
        lines = [
            line.partition("valid_lft")[0].partition("expires")[0] for line in said.split("\n")
        ]
        seen[" ".join(argv)] = "\n".join(lines)
    for path in sorted(Path("/etc").rglob("*")):
        if path.is_file() and not path.is_symlink():
            seen[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    seen["state"] = str(Path("/var/lib/ipalias").exists())
    return seen


def plain_python() -> tuple[list[str], dict[str, str]]:
    """Return a Python with Salt that a plain user may run, and its environment."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = Path(sys.prefix) / "lib" / version / "site-packages"
    candidates = [*interpreter()[0], f"/usr/bin/{version}"]
    for program in candidates:
        env = {"PYTHONPATH": str(site)}
        probe = [*AS_NOBODY, program, "-c", "import salt, sys; open(sys.argv[1]).close()"]
        done = subprocess.run(
            [*probe, str(CHECKOUT / DEMO)], env={**os.environ, **env}, capture_output=True
        )
        if done.returncode == 0:
            return [program], env
    pytest.skip("not applicable: only root may read this Python or this checkout")


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    lines = [line.strip() for line in done.stdout.splitlines()]
    missing = [outcome for outcome in OUTCOMES if outcome not in lines]
    assert (missing, done.returncode) == ([], 0), done.stdout[-4000:] + done.stderr[-2000:]
    assert "\033" not in done.stdout, "colours in a pipe"
    assert done.stderr == ""


@pytest.mark.slow
def test_the_demo_shows_what_it_says_and_leaves_the_machine_alone():
    before = machine()
    assert_told(run_demo())
    assert machine() == before


@pytest.mark.slow
def test_a_plain_user_sees_the_same():
    python, env = plain_python()
    done = run_demo(AS_NOBODY, python, **env, HOME="/nonexistent", PATH="/usr/bin:/bin")
    assert_told(done)
    assert "in a user namespace" in " ".join(done.stdout.split())


def test_without_the_right_to_make_namespaces_it_says_so():
    # In a user namespace that allows no further one, without any capability left.
    forbid = "echo 0 >/proc/sys/user/max_user_namespaces; "
    drop = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    done = run_demo(["unshare", "--user", "--map-root-user", "sh", "-c", forbid + drop, "sh"])
    assert done.returncode == 1
    assert "Namespaces cannot be made here" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_program_is_named_with_its_package():
    done = run_demo(PATH="/nonexistent")
    assert done.returncode == 1
    assert "`unshare` is missing. It comes with the package util-linux." in done.stdout
