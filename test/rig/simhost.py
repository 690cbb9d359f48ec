"""A whole host in memory: every effect of `effects` is performed on it, and logged.

``files`` is a tree, ``net`` a kernel, ``programs`` what can be run. A test lists the
effects of a change, makes one fail, stops between two of them, or replays them on a copy.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rig.simfiles import FILE, FOLDER, Node, SimFiles
from rig.simip import Ip
from rig.simnet import SimLink, SimNet
from rig.simproc import ROOT, SimProc
from saltext.ipalias.checks import GATEWAY, CheckSpec
from saltext.ipalias.effects import (
    AskAll,
    AwaitArmed,
    Check,
    Effect,
    FileState,
    Freeze,
    Identify,
    MakeFolder,
    Pause,
    Probe,
    ReadClock,
    ReadFile,
    ReadLive,
    ReadWan,
    RemoveFolder,
    Rename,
    Run,
    Send,
    SetWan,
    StartGuard,
    SyncFile,
    SyncFolder,
    Unlink,
    WriteKernel,
    WriteTemporary,
)
from saltext.ipalias.errors import EffectError
from saltext.ipalias.host import NOT_FOUND, Result
from saltext.ipalias.journal import split_name
from saltext.ipalias.live import tools

#: A program: takes its arguments and standard input.
Program = Callable[[Sequence[str], "str | None"], Result]
#: Effects that change nothing, or nothing that a change has to undo (the frozen copy).
READING = (
    ReadFile,
    ReadLive,
    ReadClock,
    Pause,
    Identify,
    AwaitArmed,
    AskAll,
    Check,
    Probe,
    Freeze,
    ReadWan,
)
STATE = "/var/lib/ipalias"


class Crash(BaseException):
    """Raise to end a run on the spot, as a kill or a power loss would."""


@dataclass
class Fault:
    """Let one effect go wrong.

    :param at: index in the log of the effect, counted from 0.
    :param done: True when it has its effect all the same, and only then fails.
    :param crash: True for the end of the process instead of an error.
    :param errno: error number of the system call that fails.
    :param result: what the command says, without or with having done its work.
    """

    at: int
    done: bool = False
    crash: bool = False
    errno: int = 0
    result: Result | None = None


@dataclass
class SimHost:
    """Hold files, kernel, programs and a clock; see `host.Host` and `effects`."""

    files: SimFiles = field(default_factory=SimFiles)
    programs: dict[str, Program] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    #: Which kernel it runs (`host.SYSTEMS`).
    system: str = "linux"
    #: Dialect of `rig.plat` that owns it; empty for the four of `rig.simowners` and `rig.simnm`.
    owner: str = ""

    def __post_init__(self) -> None:
        self.net = SimNet()
        self.ip = Ip(self.net)
        self.programs.setdefault("ip", self.ip)
        self.proc = SimProc()
        #: Services that run, of those that anything here starts.
        self.services: set[str] = set()
        #: Its part of multi-WAN, see `rig.simwan`; None where nothing asks for it.
        self.wan: Any = None
        self.log: list[Effect] = []
        self.frames: list[Send] = []
        #: Who acts: process id, its start time; and which boot this is.
        self.pid, self.started, self.boot = 4242, 77, "boot-1"
        #: Addresses that the kernel of another system than Linux refuses to take.
        self.refused: set[str] = set()
        #: What a check says, by its text, and hardware addresses by taken address.
        self.votes: Callable[[CheckSpec], str] = _passes
        self.taken: dict[str, str] = {}
        #: Gateways that no longer answer, where the system's own programs ask.
        self.gone: set[str] = set()
        #: What a store of the platform holds beside the files; it outlasts a boot.
        self.stored: dict[str, Any] = {}
        #: Texts that programs hold in memory, by the program's name: a boot finds none.
        self.running: dict[str, str] = {}
        self.guard_works = True
        self.guards: list[str] = []
        #: Error number with which the disk refuses an effect, or 0.
        self.refuses: Callable[[Effect], int] = _takes
        #: Called before each effect with its index in the log.
        self.watch: Callable[[int, Effect], None] | None = None

    def twin(self) -> SimHost:
        """Return a copy with a log of its own, to be changed apart; nobody watches it."""
        watch, self.watch = self.watch, None
        log, self.log = self.log, []
        try:
            twin = copy.deepcopy(self)
        finally:
            self.watch, self.log = watch, log
        twin.log = list(log)
        return twin

    def successor(self) -> SimHost:
        """Return a copy as a new process finds it: no log, no faults."""
        fresh = self.twin()
        fresh.log, fresh.faults = [], []
        fresh.pid, fresh.started = self.pid + 1, self.started + 1
        return fresh

    # -- reading: host.Host -----------------------------------------------------------

    def read(self, path: str) -> str | None:
        if self.system == "linux" and path.startswith("/sys/class/net/"):
            return self._sys(path)
        if self.system == "linux" and path.startswith("/proc/sys/net/ipv4/conf/"):
            link = self._promoted(path)
            if link is not None:
                return f"{link.promote}\n"
        if path.startswith(f"{ROOT}/"):
            try:
                return self.proc.read(path)
            except OSError as error:
                raise EffectError(f"cannot be read: {error.strerror}", where=path) from error
        return self.files.read(path)

    def _sys(self, path: str) -> str | None:
        name, _, key = path.removeprefix("/sys/class/net/").partition("/")
        link = self.net.links.get(name)
        values = {"ifindex": f"{link.index}\n", "address": f"{link.mac}\n"} if link else {}
        return values.get(key)

    def exists(self, path: str) -> bool:
        if path.startswith(f"{ROOT}/") and path.removeprefix(f"{ROOT}/") in self.proc.values:
            return True
        return self.files.at(path) is not None or self.read(path) is not None

    def glob(self, pattern: str) -> list[str]:
        if self.system == "linux" and pattern == "/sys/class/net/*":
            return [f"/sys/class/net/{name}" for name in sorted(self.net.links)]
        if pattern.startswith(f"{ROOT}/"):
            return self.proc.glob(pattern)
        return self.files.glob(pattern)

    def which(self, name: str) -> str | None:
        return f"/usr/sbin/{name}" if name in self.programs else None

    def run(self, argv: Sequence[str], stdin: str | None = None, timeout: float = 15.0) -> Result:
        program = self.programs.get(argv[0])
        if program is None:
            return Result(NOT_FOUND, "", f"{argv[0]}: not installed")
        return program(argv, stdin)

    # -- changing: an Executor --------------------------------------------------------

    def perform(self, effect: Effect) -> Any:
        """Perform one effect, or what the next fault says.

        :raises EffectError: it failed, as `system.RealHost` says it.
        :raises Crash: the process ends here.
        """
        at = len(self.log)
        if self.watch is not None:
            self.watch(at, effect)
        self.log.append(effect)
        fault = next((fault for fault in self.faults if fault.at == at), None)
        try:
            if fault is not None and not fault.done:
                return self._fail(fault, effect)
            if number := self.refuses(effect):
                raise OSError(number, os.strerror(number))
            answer = self._perform(effect)
            return answer if fault is None else self._fail(fault, effect)
        except OSError as error:
            raise EffectError(
                f"{type(effect).__name__}: {error.strerror}", where=where_of(effect)
            ) from error

    def _fail(self, fault: Fault, effect: Effect) -> Any:
        if fault.crash:
            raise Crash(f"at effect {fault.at}: {effect}")
        if fault.errno:
            raise OSError(fault.errno, os.strerror(fault.errno))
        if fault.result is not None and isinstance(effect, Run):
            return _checked(effect, fault.result)
        raise EffectError(f"fault at effect {fault.at}", where=where_of(effect))

    def _perform(self, effect: Effect) -> Any:
        files = self.files
        match effect:
            case ReadFile(path):
                return self._state(path)
            case ReadLive():
                return tools.load(self.system).read_snapshot(self)
            case ReadClock():
                return self.net.now
            case Pause(seconds):
                self.net.now += seconds
            case MakeFolder(path, mode):
                return files.make_folders(path, mode)
            case WriteTemporary(path, text, mode, like):
                node = Node(FILE, text, mode)
                if like is not None:
                    node = Node(FILE, text, like.mode, like.uid, like.gid)
                files.nodes.pop(path, None)
                files.create(path, node)
            case SyncFile(path) | SyncFolder(path):
                kind = FILE if isinstance(effect, SyncFile) else FOLDER
                found = files.at(path)
                if found is None or found.kind != kind:
                    raise FileNotFoundError(2, "No such file or directory", path)
            case Rename(source, target):
                files.replace(source, target)
            case Unlink(path):
                self._quietly(files.unlink, path, FileNotFoundError)
            case RemoveFolder(path):
                self._quietly(files.remove_folder, path, OSError)
            case WriteKernel(path, value):
                return self._write_kernel(path, value)
            case Run(command):
                return _checked(effect, self.run(command.argv, command.stdin, command.timeout))
            case AskAll(commands):
                return [self.run(c.argv, c.stdin, c.timeout) for c in commands]
            case Send():
                self.frames.append(effect)
            case Freeze():
                return "/usr/local/lib/ipalias/0-0"
            case ReadWan(text):
                return self.wan.found(text)
            case SetWan(before, after):
                return self.wan.set(before, after)
            case Identify():
                return self.pid, self.started, self.boot
            case StartGuard(ident):
                self.guards.append(ident)
                return self.guard_works
            case Check(specs):
                return [self.votes(spec) or self._gateway(spec) for spec in specs]
            case Probe():
                taken = {a: self.taken[a] for a in effect.asked if a in self.taken}
                return {a: [mac] for a, mac in taken.items()} if effect.every else taken
        return None

    def _gateway(self, spec: CheckSpec) -> str:
        """Ask a gateway by the programs of the system, where it has some."""
        tool = tools.load(self.system)
        if spec.kind != GATEWAY or tool.FRAMES:
            return ""
        try:
            return tool.check_gateway(self, spec.address, spec.interface)
        except EffectError as error:
            return error.what

    def _state(self, path: str) -> FileState | None:
        real = self.files.real(path)
        node = self.files.nodes.get(real)
        if node is None or node.kind != FILE:
            return None
        return FileState(real, node.text, node.mode, node.uid, node.gid)

    @staticmethod
    def _quietly(call: Callable[[str], None], path: str, error: type[OSError]) -> None:
        try:
            call(path)
        except error:
            return

    def _write_kernel(self, path: str, value: str) -> str | None:
        link = self._promoted(path)
        if link is None:
            return self.proc.write(path, value)
        before, link.promote = link.promote, value
        return f"{before}\n"

    def _promoted(self, path: str) -> SimLink | None:
        if not path.endswith("/promote_secondaries"):
            return None
        return self.net.links.get(path.split("/")[6])

    # -- looking back -----------------------------------------------------------------

    @property
    def mutating(self) -> list[Effect]:
        """Return the logged effects that change something."""
        return [effect for effect in self.log if not isinstance(effect, READING)]

    def state(self) -> dict[str, Any]:
        """Return everything a change may touch: to compare before and after.

        The journal, the records of changes, and the folders of our own state are left out.
        """
        tree = {
            path: node
            for path, node in self.files.tree(f"{STATE}/journal").items()
            if not (path.startswith(f"{STATE}/") and split_name(path.rsplit("/", 1)[1]))
        }
        tree.pop(f"{STATE}/backup", None)
        ledger = tree.pop(f"{STATE}/ledger.json", None)
        tree.pop(STATE, None)
        tree.pop("/var/lib", None)
        tree.pop("/var", None)
        return {
            "files": tree,
            "stored": copy.deepcopy(self.stored),
            "running": dict(self.running),
            "addresses": self.net.addresses(),
            "routes": sorted(map(str, self.net.routes)),
            "promote": {name: link.promote for name, link in self.net.links.items()},
            "settings": dict(self.proc.values),
            "services": sorted(self.services),
            "wan": self.wan.state() if self.wan is not None else None,
            "ledger": ledger.text if ledger is not None else None,
        }


def _passes(check: CheckSpec) -> str:
    return ""


def _takes(effect: Effect) -> int:
    return 0


def _checked(effect: Run, result: Result) -> Result:
    """Return what a command said, or raise as the real host does."""
    if effect.check and result.code not in effect.command.ok:
        said = (result.err or result.out).strip() or "no output"
        raise EffectError(f"exit {result.code}: {said}", where=where_of(effect))
    return result


def where_of(effect: Effect) -> str:
    """Return what an effect is about, for a message."""
    if isinstance(effect, Run):
        return f"`{' '.join(effect.command.argv)}`"
    for key in ("path", "target", "interface"):
        if hasattr(effect, key):
            return str(getattr(effect, key))
    return type(effect).__name__


def replay(effects: Iterable[Effect], host: SimHost) -> None:
    """Perform recorded effects again, on another host."""
    for effect in effects:
        host.perform(effect)


def answers(fixed: Mapping[str, str]) -> dict[str, Program]:
    """Return programs with fixed answers by command line; any other line exits 1."""

    def program(argv: Sequence[str], stdin: str | None) -> Result:
        line = " ".join(argv)
        return Result(0, fixed[line], "") if line in fixed else Result(1, "", f"{line}: no answer")

    return {line.split()[0]: program for line in fixed}
