"""A masterless Salt minion on a host of the rig, run by the Salt of the tests themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.machine import Machine
from rig.process import CommandFailed

CONFIG = "/etc/salt/minion"
PILLAR = "/srv/pillar"
#: File root: the formula's folders alone. Salt walks the whole root at each `state.apply`,
#: and a checkout holds a virtual environment of a hundred packages.
FILE_ROOT = "/srv/formula"
FORMULA = ("_modules", "_states", "_utils", "ipalias")

_MAIN = "from salt.scripts import salt_call; salt_call()"


def interpreter() -> tuple[list[str], dict[str, str], list[str]]:
    """Return how to run the tests' Python on another root.

    :return: its command line, its environment, and the folders and files it needs bound to
        the same place. A Python of the machine's own (below /usr) is taken by its versioned
        name: the other root may hold another version under the plain one.
    """
    prefix, base = Path(sys.prefix), Path(sys.base_prefix)
    if base != Path("/usr"):
        binds = [str(base)] if prefix == base else [str(base), str(prefix)]
        return [str(prefix / "bin" / "python")], {}, binds
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program, library = f"/usr/bin/{version}", f"/usr/lib/{version}"
    site = str(prefix / "lib" / version / "site-packages")
    return [program], {"PYTHONPATH": site}, [program, library, str(prefix)]


class SaltMinion(Machine):
    """A host with ``salt-call``."""

    def salt_argv(self) -> list[str]:
        """Return the command line of ``salt-call`` on this host, without arguments."""
        return [*interpreter()[0], "-c", _MAIN]

    def salt_environment(self) -> dict[str, str]:
        """Return the environment that `salt_argv` needs."""
        return interpreter()[1]

    def salt_prepare(self, pillar: Mapping[str, Any] | None = None) -> None:
        """Write the minion's configuration, and the pillar unless it is None.

        The checkout is module folder, its formula is file root: nothing has to be synced.
        """
        config = {
            "id": self.name,
            "file_client": "local",
            "file_roots": {"base": [FILE_ROOT]},
            "pillar_roots": {"base": [PILLAR]},
            "module_dirs": [self.checkout],
            "utils_dirs": [f"{self.checkout}/_utils"],
            "enable_fqdns_grains": False,
            "enable_gpu_grains": False,
            "log_level_logfile": "quiet",
        }
        files = {CONFIG: json.dumps(config)}
        if pillar is not None:
            files[f"{PILLAR}/top.sls"] = json.dumps({"base": {"*": ["test"]}})
            # JSON is YAML, and this way no rendering stands between test and pillar.
            files[f"{PILLAR}/test.sls"] = f"#!json\n{json.dumps(dict(pillar))}"
        for path, text in files.items():
            self.write(path, text)
        links = [f"{self.checkout}/{name}" for name in FORMULA]
        self.run(["mkdir", "-p", FILE_ROOT])
        self.run(["ln", "-sfn", "-t", FILE_ROOT, *links])

    def salt_call(
        self,
        *args: str,
        pillar: Mapping[str, Any] | None = None,
        timeout: float = 180.0,
        options: Sequence[str] = (),
    ) -> Any:
        """Run a function by masterless ``salt-call`` and return what it returned.

        :param args: function and arguments as on the command line: ``"state.apply", "ipalias"``,
            ``"test=True"``.
        :param pillar: becomes the minion's pillar and stays it; None leaves the last one.
        :param options: more options of ``salt-call`` itself.
        :raises CommandFailed: when nothing that can be parsed comes back.
        """
        if pillar is not None or not self.exists(CONFIG):
            self.salt_prepare(pillar)
        argv = [*self.salt_argv(), "--local", "--out=json", "--log-level=error", *options, *args]
        done = self.run(argv, timeout=timeout, check=False, env=self.salt_environment())
        try:
            return json.loads(done.out)["local"]
        except (ValueError, KeyError, TypeError):
            said = f"{done.out}\n{done.err}".strip()[-3000:]
            raise CommandFailed(
                f"salt-call {' '.join(args)}: exit code {done.code}: {said}"
            ) from None
