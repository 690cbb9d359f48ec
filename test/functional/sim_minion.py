"""Salt's real loader and state compiler on a simulated host: one process, one platform.

    sim_minion.py CHECKOUT FOLDER DIALECT

The whole path runs as on a minion (pillar, SLS, state, module, library, transaction); only
`system.RealHost` is the rig's host, and the grains are the platform's. Reads one JSON request
a line, ``[function, arguments, {named}]`` or ``["rig", what]``, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

CHECKOUT, FOLDER, DIALECT = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
sys.path[:0] = [f"{CHECKOUT}/_utils", f"{CHECKOUT}/test"]

import salt.config  # noqa: E402
import salt.exceptions  # noqa: E402
import salt.loader  # noqa: E402
import salt.version  # noqa: E402
from saltext import ipalias as library  # noqa: E402

from rig.simhost import SimHost  # noqa: E402
from rig.simnm import OWNERS  # noqa: E402
from saltext.ipalias import platforms, system  # noqa: E402
from saltext.ipalias.errors import IpaliasError  # noqa: E402

#: What Salt says of each platform's host; Linux's own dialects are Debian's here.
GRAINS: dict[str, dict[str, str]] = {
    "freebsd": {"os": "FreeBSD", "os_family": "FreeBSD", "kernel": "FreeBSD"},
    "openbsd": {"os": "OpenBSD", "os_family": "OpenBSD", "kernel": "OpenBSD"},
    "solaris": {"os": "Solaris", "os_family": "Solaris", "kernel": "SunOS"},
    "ipadm": {"os": "OmniOS", "os_family": "Solaris", "kernel": "SunOS"},
    "windows": {"os": "Windows", "os_family": "Windows", "kernel": "Windows"},
    "ifcfg_rh": {"os": "CentOS", "os_family": "RedHat", "kernel": "Linux"},
    "ifcfg_suse": {"os": "openSUSE", "os_family": "Suse", "kernel": "Linux"},
    "netifrc": {"os": "Gentoo", "os_family": "Gentoo", "kernel": "Linux"},
    "cpanel": {"os": "AlmaLinux", "os_family": "RedHat", "kernel": "Linux"},
}
DEBIAN = {"os": "Debian", "os_family": "Debian", "kernel": "Linux"}
#: A service is not started on the machine that runs the tests.
SERVICE = "def enabled(name, **_):\n    return True\n\n\ndef enable(name, **_):\n    return True\n"


def options(pillar: dict[str, Any]) -> dict[str, Any]:
    """Return a minion's configuration: masterless, the formula used in place."""
    roots = FOLDER / "roots"
    if not roots.exists():
        roots.mkdir(parents=True)
        (roots / "ipalias").symlink_to(f"{CHECKOUT}/ipalias")
        (FOLDER / "stub/modules").mkdir(parents=True)
        (FOLDER / "stub/modules/service.py").write_text(SERVICE)
        (FOLDER / "pillar").mkdir()
        (FOLDER / "pillar/top.sls").write_text(json.dumps({"base": {"*": ["test"]}}))
    (FOLDER / "pillar/test.sls").write_text(f"#!json\n{json.dumps(pillar)}")
    given = {
        "id": "minion",
        "root_dir": str(FOLDER),
        "file_client": "local",
        "file_roots": {"base": [str(roots)]},
        "pillar_roots": {"base": [str(FOLDER / "pillar")]},
        "extension_modules": str(FOLDER / "stub"),
        "module_dirs": [CHECKOUT],
        "utils_dirs": [f"{CHECKOUT}/_utils"],
        "autoload_dynamic_modules": False,
        "log_level_logfile": "quiet",
    }
    (FOLDER / "minion").write_text(json.dumps(given))
    made: dict[str, Any] = salt.config.minion_config(str(FOLDER / "minion"))
    versions = {"pythonversion": list(sys.version_info), "saltversion": salt.version.__version__}
    made["grains"] = {**GRAINS.get(DIALECT, DEBIAN), "id": "minion", **versions}
    made["pillar"] = pillar
    return made


def settle_library() -> None:
    """Keep the loaded library: the module drops one that it has not loaded itself."""
    spec = importlib.util.spec_from_file_location("thin", f"{CHECKOUT}/_modules/_ipalias.py")
    assert spec and spec.loader
    thin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(thin)
    library.loaded_stamp = thin._stamp(library)  # type: ignore[attr-defined]


def stand_in(host: SimHost) -> None:
    """Put the simulated host in the place of the real one."""
    host.read("/")
    system.RealHost = lambda paths=None: host  # type: ignore[assignment, misc]
    system.lock = lambda *words, **named: contextlib.nullcontext()  # type: ignore[assignment]
    system.is_root = lambda: True
    platforms.system = lambda name="": host.system  # type: ignore[assignment]


def answer(host: SimHost, request: list[Any]) -> Any:
    """Carry out one request."""
    if request[0] == "rig":
        state = host.state()
        return json.loads(json.dumps(state[request[1]], default=repr, sort_keys=True))
    name, arguments, named, pillar = request
    opts = options(pillar)
    modules = salt.loader.minion_mods(opts, utils=salt.loader.utils(opts))
    return modules[name](*arguments, **named)


def main() -> None:
    """Answer requests until standard input ends."""
    logging.getLogger().setLevel(logging.CRITICAL)
    out, sys.stdout = sys.stdout, sys.stderr
    settle_library()
    host = OWNERS[DIALECT]()
    stand_in(host)
    for line in sys.stdin:
        try:
            said: dict[str, Any] = {"value": answer(host, json.loads(line))}
        except (IpaliasError, salt.exceptions.SaltException) as error:
            said = {"error": str(error)}
        print(json.dumps(said, default=repr), file=out, flush=True)


if __name__ == "__main__":
    main()
