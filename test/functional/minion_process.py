"""A minion in one process: Salt's real loader, asked over standard input, one line a request.

Run inside a host. Each request is carried out in a fork of a process that has imported Salt
and nothing of ours, so none sees what another has loaded; the steps of one request share a
process, as the jobs of a running minion do, and with ``keep`` the requests that follow share it
as well, until an empty one.

A request: ``{"opts": {…}, "pillar": {…}, "uid": N, "steps": [[verb, …], …], "keep": true}``;
the answer: a list with one ``{"value": …}`` or ``{"error": kind, "text": …}`` a step.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any, TextIO

import salt.config
import salt.loader
import salt.minion
import salt.state
import salt.utils.args

CONFIG = "/etc/salt/minion"
PILLAR = Path("/srv/pillar")


class Minion:
    """What a minion holds between two jobs."""

    def __init__(self, base: dict[str, Any], request: dict[str, Any]) -> None:
        self.opts = {**base, **request.get("opts", {})}
        # A state run compiles the pillar from these files for itself; for all else it is
        # given as it is. JSON is YAML: no rendering stands between test and pillar.
        self.opts["pillar"] = request["pillar"]
        self.write(str(PILLAR / "top.sls"), json.dumps({"base": {"*": ["test"]}}))
        self.write(str(PILLAR / "test.sls"), f"#!json\n{json.dumps(request['pillar'])}")
        # A process that starts now would find these folders, and know no older listing of them.
        sys.path_importer_cache.clear()
        salt.config.insert_system_path(self.opts, self.opts["utils_dirs"])
        self.refresh()
        if "uid" in request:
            os.setgroups([])
            os.setgid(request["uid"])
            os.setuid(request["uid"])

    def refresh(self) -> None:
        """Load everything anew, as a minion does after a sync."""
        self.utils = salt.loader.utils(self.opts)
        self.modules = salt.loader.minion_mods(self.opts, utils=self.utils)
        self.states = {test: self._states(test) for test in (False, True)}

    def _states(self, test: bool) -> Any:
        return salt.loader.states({**self.opts, "test": test}, self.modules, self.utils, {})

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call an execution function; arguments it does not know are refused as Salt does."""
        words = [*args, {"__kwarg__": True, **kwargs}] if kwargs else list(args)
        taken, named = salt.minion.load_args_and_kwargs(self.modules[name], words, data={})
        return self.modules[name](*taken, **named)

    def state(self, name: str, args: list[Any], kwargs: dict[str, Any], test: bool) -> Any:
        """Return what a state function returns."""
        return self.states[test][name](*args, **kwargs)

    def reason(self, kind: str, name: str) -> str:
        """Return what Salt says of a function that is not available; empty when it is."""
        loader = self._loader(kind)
        return "" if name in loader else loader.missing_fun_string(name)

    def names(self, kind: str, module: str = "ipalias") -> list[str]:
        """Return the functions that are loaded under our name."""
        return sorted(self._ours(kind, module))

    def described(self, kind: str, module: str = "ipalias") -> dict[str, Any]:
        """Return docstring, arguments, and what takes arguments without a name."""
        found = {}
        for name, function in self._ours(kind, module).items():
            spec = salt.utils.args.get_function_argspec(function)
            doc = inspect.getdoc(function)
            found[name] = {"doc": doc, "args": spec.args, "any": [spec.varargs, spec.keywords]}
        return found

    def _ours(self, kind: str, module: str) -> dict[str, Any]:
        loader = self._loader(kind)
        return {name: loader[name] for name in loader if name.startswith(f"{module}.")}

    def _loader(self, kind: str) -> Any:
        # To list a loader, or to miss a name in it, is to load every module there is. The same
        # loader over the folders that are not Salt's own takes milliseconds.
        whole = {"modules": self.modules, "states": self.states[False]}[kind]
        salts = os.path.dirname(salt.loader.__file__).removesuffix("/loader")
        return salt.loader.LazyLoader(
            [folder for folder in whole.module_dirs if not folder.startswith(salts)],
            self.opts,
            tag=whole.tag,
            pack=whole.pack,
            extra_module_dirs=whole.extra_module_dirs,
        )

    def write(self, path: str, text: str) -> None:
        """Write a file, with the folders above it."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    def remove(self, path: str) -> None:
        """Remove a folder."""
        shutil.rmtree(path)

    def lead(self, folder: str) -> None:
        """Put a folder at the beginning of the module search path."""
        sys.path.insert(0, folder)

    def trail(self, folder: str) -> None:
        """Put a folder at the end of the module search path."""
        sys.path.append(folder)

    def library(self) -> Any:
        """Return the file the library was imported from, None when it was not."""
        package = sys.modules.get("saltext.ipalias")
        return getattr(package, "__file__", None)


def answer(minion: Minion, steps: list[list[Any]]) -> list[dict[str, Any]]:
    """Carry out the steps of a request."""
    outcomes: list[dict[str, Any]] = []
    for verb, *rest in steps:
        try:
            outcomes.append({"value": getattr(minion, verb)(*rest)})
        except Exception as error:
            outcomes.append({"error": type(error).__name__, "text": str(error)})
    return outcomes


def serve(base: dict[str, Any], request: dict[str, Any], answers: TextIO) -> None:
    """Answer a request, and those that share its process."""
    minion = Minion(base, request)
    keep = request.get("keep")
    while request:
        print(json.dumps(answer(minion, request["steps"]), default=repr), file=answers, flush=True)
        request = json.loads(sys.stdin.readline() or "{}") if keep else {}
    if keep:
        # The end has an answer too: what comes next must not be read by this process.
        print("[]", file=answers, flush=True)


def prepare() -> dict[str, Any]:
    """Return the configuration with grains, and import what Salt needs for a state run."""
    opts = salt.config.minion_config(CONFIG)
    opts["grains"] = salt.loader.grains(opts)
    minion = Minion(opts, {"pillar": {}})
    minion.call("state.single", ["test.nop", "warm"], {})
    assert minion.library() is None
    return opts


def main() -> None:
    """Answer requests until standard input ends."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints must not disturb the answers
    # Until told otherwise, Salt keeps every message down to the last trace in memory.
    logging.getLogger().setLevel(logging.ERROR)
    base = prepare()
    with os.fdopen(out, "w") as answers:
        # Whoever asks waits for the answer: nothing is read ahead that a fork would miss.
        while line := sys.stdin.readline():
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    serve(base, json.loads(line), answers)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            if os.waitpid(child, 0)[1]:
                print("null", file=answers, flush=True)


if __name__ == "__main__":
    main()
