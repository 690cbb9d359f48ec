"""Make the venv and install the distribution's packages that demo, tests and lint need.

Standard library only: it runs before anything is installed. What is already there is
left alone, so a second call costs a few milliseconds.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINIMUM = (3, 10)
#: Requirement files of each set, beside Salt itself.
SETS: Mapping[str, tuple[str, ...]] = {"demo": (), "test": ("requirements/test.txt",)}
#: Where Debian asks whether a package may start its service.
POLICY = Path("/usr/sbin/policy-rc.d")


class SetupError(Exception):
    """Say in one sentence why the set-up cannot go on, and the way out."""


def venv_path(salt: str) -> Path:
    """Return the venv's folder: one for each Salt that is asked for."""
    return ROOT / (f".venv-{salt}" if salt else ".venv")


def salt_requirement(salt: str) -> str:
    """Return the requirement for `SALT`.

    :param salt: a branch (``3006``), a release (``3007.15``), or empty for the range in
        ``requirements/salt.txt``.
    """
    if not salt:
        lines = (ROOT / "requirements/salt.txt").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line and not line.startswith("#"))
    branch, _, release = salt.partition(".")
    if not branch.isdigit() or (release and not release.isdigit()):
        raise SetupError(f"SALT={salt} is neither a branch (3006) nor a release (3007.15)")
    return f"salt=={salt}" if release else f"salt>={branch},<{int(branch) + 1}"


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run a command without a terminal to ask at; its output goes to ours."""
    sys.stdout.flush()
    return subprocess.run(argv, stdin=subprocess.DEVNULL, env=env, cwd=ROOT, check=False).returncode


def run_twice(argv: Sequence[str], env: Mapping[str, str] | None = None) -> bool:
    """Run a command that fetches; a second time when the first fails, for networks hiccup."""
    if run(argv, env) == 0:
        return True
    print(f"set-up: {argv[0]} failed, once more", flush=True)
    return run(argv, env) == 0


def is_root() -> bool:
    """Tell whether packages can be installed and namespaces made."""
    return os.geteuid() == 0


# --- the distribution's packages ---------------------------------------------------------


def needs_module() -> object | None:
    """Return `rig.needs`, which knows what each lane needs, or None where it is absent."""
    if not (ROOT / "test/rig/needs.py").exists():
        return None
    folder = str(ROOT / "test")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("rig.needs")


def needed(name: str) -> list[str]:
    """Return a list of `rig.needs`, empty where it has none of that name."""
    return list(getattr(needs_module(), name, ()))


def missing_packages(names: Iterable[str]) -> list[str]:
    """Return those of the packages that dpkg does not report as installed."""
    names = list(names)
    if not names:
        return []
    said = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    installed = {line.split()[0] for line in said.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


@contextmanager
def services_held_back() -> Iterator[None]:
    """Keep the packages' daemons from starting: the lanes start their own, in namespaces."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install_packages(names: Sequence[str]) -> None:
    """Install packages with apt, their services not started."""
    print(f"set-up: apt-get install {' '.join(names)}", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["-q", "-y", "--no-install-recommends"]
    run_twice(["apt-get", "update", "-q"], env)
    with services_held_back():
        if not run_twice(["apt-get", "install", *quiet, *names], env):
            raise SetupError(f"apt-get could not install {' '.join(names)}; see its words above")


def prepare_packages() -> None:
    """Install the packages `rig.needs.APT` lists; without root, leave it to the lanes.

    A lane that then finds a program missing says so itself (`rig.lanes`).
    """
    if not (is_root() and shutil.which("apt-get")):
        return
    names = missing_packages(needed("APT"))
    if names:
        install_packages(names)


# --- the venv ----------------------------------------------------------------------------


def stamp_text(name: str, salt: str) -> str:
    """Return what the venv must have been made from to count as ready."""
    files = [(ROOT / path).read_text(encoding="utf-8") for path in SETS[name]]
    return "\n".join([sys.version, salt_requirement(salt), *files])


def stamp(venv: Path, name: str) -> Path:
    """Return the file that records a finished installation."""
    return venv / f".ready-{name}"


def is_ready(venv: Path, name: str, salt: str) -> bool:
    """Tell whether a requirement set is installed as the files ask for it now."""
    record = stamp(venv, name)
    return (
        (venv / "bin/python").exists()
        and record.exists()
        and record.read_text(encoding="utf-8") == stamp_text(name, salt)
    )


def is_usable(python: Path) -> bool:
    """Tell whether a venv is whole and made from the Python we run on."""
    if not python.exists():
        return False
    ask = [str(python), "-c", "import pip, sys; print(sys.version, end='')"]
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout == sys.version


def make_venv(venv: Path) -> None:
    """Make an empty venv, with Debian's separate package for it where that is missing."""
    check = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(check, capture_output=True, check=False).returncode:
        if not (is_root() and shutil.which("apt-get")):
            raise SetupError("this Python has no venv module; install python3-venv")
        install_packages(["python3-venv"])
    print(f"set-up: {venv.name} from Python {sys.version.split()[0]}", flush=True)
    if run([sys.executable, "-m", "venv", "--clear", str(venv)]):
        raise SetupError(f"could not make the venv {venv}; see the words above")


def prepare_venv(name: str, salt: str) -> Path:
    """Return the venv's Python, with a requirement set installed."""
    venv = venv_path(salt)
    python = venv / "bin/python"
    if is_ready(venv, name, salt):
        return python
    if not is_usable(python):
        make_venv(venv)
    requirements = [word for path in SETS[name] for word in ("-r", path)]
    print(f"set-up: pip install {salt_requirement(salt)} {' '.join(SETS[name])}", flush=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    pip += ["--no-input", salt_requirement(salt), *requirements]
    if not run_twice(pip):
        raise SetupError("pip could not install the requirements; see its words above")
    # Whoever has a set has the smaller ones too.
    for each in SETS:
        if set(SETS[each]) <= set(SETS[name]):
            stamp(venv, each).write_text(stamp_text(each, salt), encoding="utf-8")
    return python


def check_python() -> None:
    """Refuse a Python the project does not run on."""
    if sys.version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise SetupError(
            f"Python {wanted} or newer is needed, this is {sys.version.split()[0]}; "
            "name another with PYTHON=…"
        )


def main(arguments: Sequence[str]) -> int:
    """Prepare the venv for ``demo`` or ``test``."""
    try:
        check_python()
        prepare_venv(arguments[0], os.environ.get("SALT", ""))
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"set-up: {error.filename} is somebody else's; make a clone of your own, or run as its"
            " owner",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
