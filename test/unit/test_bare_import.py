"""The library imports where the platform has no fcntl, pwd, grp, syslog, resource or termios."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from saltext import ipalias

ABSENT = ("fcntl", "pwd", "grp", "syslog", "resource", "termios", "posix_ipc")
SCRIPT = """
import importlib, pkgutil, sys

ABSENT = set(sys.argv[1].split(","))
asked = set()

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in ABSENT:
            asked.add(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

for name in ABSENT:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocker())
try:
    import fcntl
except ModuleNotFoundError:
    pass
else:
    sys.exit("the blocker does not block")
asked.clear()
import saltext.ipalias as library
names = [m.name for m in pkgutil.walk_packages(library.__path__, f"{library.__name__}.")]
for name in names:
    importlib.import_module(name)
from saltext.ipalias import processes
processes.log("no log here, and no error")
print(len(names))
"""


def test_every_module_imports_without_what_a_platform_may_lack() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", SCRIPT, ",".join(ABSENT)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = [
        path
        for path in Path(str(ipalias.__file__)).parent.rglob("*.py")
        if path != Path(str(ipalias.__file__))
    ]
    assert int(done.stdout) == len(modules)
