"""
What the execution modules of this formula share: the way to the library, and out of it.

Salt's loader passes over a file whose name begins with an underscore, and a sync brings it
like any other. Each module loads it from beside itself, for nothing else says where it is:
the library cannot be asked how to find the library.
"""

import contextlib
import importlib
import os
import sys

import salt.payload
import salt.utils.data
from salt.exceptions import CommandExecutionError

#: Version of the library these modules belong to; both come from one source, and a mix of
#: two (a wheel and a fileserver) is refused by name.
LIBRARY = "0.1.0"


class Formula:
    """Reach the library for one call, with what the loader has given a module."""

    def __init__(self, opts, pillar):
        self.opts = opts
        self.pillar = pillar

    def library(self, name):
        """Return a module of the library; without one, Salt's own error and no traceback."""
        try:
            return self.imported(name)
        except ImportError as error:
            raise CommandExecutionError(f"ipalias: {error}") from error

    def imported(self, name):
        """
        Return a module of the library, fresh from disk and of this version.

        A running minion keeps the old library in memory when a sync brings a new one, so what
        was loaded from files that have changed since is dropped first. A folder emptied by a
        cache purge imports as an empty namespace package: that is an ImportError here.
        """
        # Salt puts these folders on the path when it starts, and only those that exist then: a
        # minion that has just synced for the first time has ours nowhere. What it syncs into
        # is among them too, but without the minion's `root_dir` before it where that has one.
        folders = list(self.opts.get("utils_dirs") or ())
        if self.opts.get("extension_modules"):
            folders.append(os.path.join(self.opts["extension_modules"], "utils"))
        for folder in folders:
            if os.path.isdir(folder) and folder not in sys.path:
                sys.path.append(folder)
        package = sys.modules.get("saltext.ipalias")
        known = package is not None and getattr(package, "loaded_stamp", None) == _stamp(package)
        if not known:
            for key in [key for key in sys.modules if key.split(".")[:2] == ["saltext", "ipalias"]]:
                del sys.modules[key]
            importlib.invalidate_caches()
        try:
            package = importlib.import_module("saltext.ipalias")
        except ImportError as error:
            raise ImportError(_absence()) from error
        where = getattr(package, "__file__", None)
        if where is None:
            raise ImportError(
                f"the library is not synced (empty folder {list(package.__path__)}); "
                "run saltutil.sync_all"
            )
        if package.__version__ != LIBRARY:
            raise ImportError(
                f"{where} is version {package.__version__}, this module is {LIBRARY}; "
                "remove the one that is not wanted, or run saltutil.sync_all"
            )
        if not known:
            package.loaded_stamp = _stamp(package)
        return importlib.import_module(f"saltext.ipalias.{name}")

    def pillar_at(self, path):
        """Return the pillar's block at a path, or an empty one."""
        if not isinstance(path, str) or not path.isprintable() or len(path) > 256:
            short = self.library("values").short
            raise CommandExecutionError(f"pillar: {short(path)} is not a path of the pillar")
        return salt.utils.data.traverse_dict_and_list(self.pillar, path, {}, ":")

    def block_at(self, path):
        """Return the pillar's block at a path, which has to be a mapping."""
        block = self.pillar_at(path)
        if not isinstance(block, dict):
            raise CommandExecutionError(f"{path}: is not a mapping")
        return block

    def surroundings(self, **settings):
        """
        Return host, lock, ids and settings as every engine of the library takes them.

        settings
            Further fields of ``paths.Settings``.
        """
        system, paths = self.library("system"), self.library("paths")
        usual = paths.paths_of(self.library("platforms").system())
        places = paths.Paths(usual.state, self.opts.get("ipalias.frozen", usual.frozen))
        return {
            "host": system.RealHost(places),
            "settings": paths.Settings(paths=places, master=self.master(), **settings),
            "locked": lambda purpose: system.lock(places, f"{purpose}{self.job()}"),
            "new_id": system.now_id,
        }

    def job(self):
        """
        Return the id of the job that this process carries out, for whoever waits for it in vain.

        A minion notes each job in its ``proc`` folder, with the process that does it.
        """
        folder = os.path.join(self.opts.get("cachedir") or "", "proc")
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(Exception), open(os.path.join(folder, name), "rb") as file:
                    if salt.payload.load(file).get("pid") == os.getpid():
                        return f", job {name}"
        return ""

    def master(self):
        """
        Return address and port of the master that this minion is connected to, or None.

        ``master_uri`` holds the address already looked up: no name server is asked.
        """
        uri = str(self.opts.get("master_uri") or "").removeprefix("tcp://")
        host, _, port = uri.rpartition(":")
        if self.opts.get("file_client") == "local" or not host or not port.isdigit():
            return None
        return host.strip("[]"), int(port)

    def call(self, function, *args, **kwargs):
        """
        Call into the library; its errors become Salt's own.

        Never SaltInvocationError: Salt answers that with the whole docstring, a thousand times
        over on a fleet.
        """
        errors = self.library("errors")
        try:
            return function(*args, **kwargs)
        except errors.IpaliasError as error:
            raise CommandExecutionError(error.text()) from error

    def mutate(self, method, test, **kwargs):
        """Call a method that changes the host, or only shows what it would change."""
        test = self.test_mode(test)
        if not test:
            self.call(self.library("engine").refuse_unprivileged, self.library("system").is_root())
        return self.call(method, test=test, **kwargs)

    def test_mode(self, test):
        """Return whether nothing may change: as given, else as the minion is told."""
        if test is None:
            return bool(self.opts.get("test"))
        return self.call(self.library("values").parse_bool, test, "test")


def _absence():
    """Return why there is no library: one regular package hides all others of its name."""
    hiding = getattr(sys.modules.get("saltext"), "__file__", None)
    if hiding:
        return f"{hiding} hides the library, for `saltext` must have no __init__.py; remove it"
    return "the library is not synced; run saltutil.sync_all"


def _stamp(package):
    """Return what changes when a file of the library changes on disk."""
    newest = 0
    folders = list(getattr(package, "__path__", []))
    while folders:
        # Not os.walk: this runs a dozen times in a state run, and the listing has the types.
        with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    newest = max(newest, entry.stat().st_mtime_ns)
                elif entry.name != "__pycache__" and entry.is_dir():
                    folders.append(entry.path)
    return newest
