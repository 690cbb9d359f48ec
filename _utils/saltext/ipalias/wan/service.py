"""Start the monitor: ``run.py wan STATE``, from the frozen copy, by the system's service manager.

``-d`` stays in the foreground and tells everything it does (the guide's ``ifstated -dv``);
``-n`` with it changes nothing, beside a monitor that runs. Everything is imported before the
service says that it is ready; it then needs neither Salt nor its cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import disk, processes
from ..errors import MALFORMED, EffectError, InputError, IpaliasError, RefusedError
from . import clocks, nat
from .config import parse_wan
from .events import Listener
from .exchanges import READ
from .metrics import render_metrics
from .model import REPORT, Line, Transition, WanConfig
from .monitor import Monitor, Places, Surroundings, Words
from .notify import Log, Service
from .policy import Policy, Start
from .sockets import Watch
from .switch import Switch
from .writer import Writer

#: Seconds until links and addresses must be known at the start.
SYNC = 10.0
#: Seconds that nft may take.
NFT = 5.0
USAGE = "usage: run.py wan STATE [-d [-n]]"


def main(arguments: Sequence[str]) -> int:
    """Run ``wan STATE [-d [-n]]``; return the exit code."""
    options = [word for word in arguments[1:] if word.startswith("-")]
    folders = [word for word in arguments[1:] if not word.startswith("-")]
    if len(folders) != 1 or not set(options) <= {"-d", "-n"}:
        print(USAGE, file=sys.stderr)
        return 2
    places = Places(state=f"{folders[0]}/wan", run=os.environ.get("IPALIAS_RUN", Places().run))
    try:
        return serve(places, debug="-d" in options, act="-n" not in options)
    except IpaliasError as error:
        Log().say(error.text())
        print(error.text(), file=sys.stderr)
        return 1


def read_config(path: str) -> WanConfig:
    """Return the configuration that the state has written: the pillar's block, as data.

    :raises InputError: it is not there, or is refused.
    """
    way_out = "apply the state ipalias.wan"
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
        if data["schema"] != 1:
            raise InputError("a later version has written it", where=path, way_out=way_out)
        block = data["wan"]
    except OSError as error:
        raise InputError(f"{error.strerror}", where=path, way_out=way_out) from error
    except MALFORMED as error:
        raise InputError("it is damaged", where=path, way_out=way_out) from error
    return parse_wan(block)


def serve(places: Places, *, debug: bool = False, act: bool = True) -> int:
    """Watch until told to stop.

    :param debug: print what happens.
    :param act: False: whatever happens, change nothing and write nothing.
    :raises IpaliasError: no configuration, another monitor, no right to raw sockets.
    """
    config = read_config(places.config)
    if not act:
        config = replace(config, react=REPORT)
        places = Places(run=f"{places.run}/watch-{os.getpid()}", state=places.state)
    disk.make_folder(places.run, 0o755)
    with contextlib.ExitStack() as stack:
        if act:
            try:
                lock = processes.lock(places.lock, "watches the lines", 0.0 if debug else 10.0)
                stack.enter_context(lock)
            except RefusedError as error:
                raise RefusedError(
                    "another monitor watches the lines",
                    where=places.lock,
                    way_out="stop the service ipalias-wan, or add -n to change nothing",
                ) from error
        else:
            stack.callback(_forget, places.run)
        monitor = start(config, places, _printer() if debug else None)
        stack.callback(monitor.close)
        monitor.run()
    return 0


def start(config: WanConfig, places: Places, debug: Callable[[str], None] | None) -> Monitor:
    """Return a monitor that has reconciled what it found.

    :raises EffectError: the kernel does not let us.
    """
    watch = Watch()
    log = Log()
    journal = Writer("journal")
    around = Surroundings(places, _words(places), journal, Writer("status"), log, Service(), debug)
    try:
        listener = Listener(watch, config.numbers, nat.TABLE)
        _sync(watch, listener)
        switch = Switch(config, run_nft)
        policy = Policy(config, _known(config, places, listener, switch))
        monitor = Monitor(config, watch, listener, policy, switch, around)
    except OSError as error:
        raise EffectError(
            f"the kernel refuses: {error.strerror or error}",
            where="ipalias-wan",
            way_out="it needs CAP_NET_ADMIN and CAP_NET_RAW",
        ) from error
    _stop_on_signals(watch, monitor)
    monitor.begin([line for line, state in policy.lines.items() if not state.up])
    return monitor


def _known(config: WanConfig, places: Places, listener: Listener, switch: Switch) -> Start:
    links = {way.interface: listener.view.link(way.interface) for _, way in config.ways()}
    now = clocks.read_moment()
    return Start(
        now=now.boot,
        wall=now.wall,
        boot=processes.boot_id(),
        counter=last_counter(places.journal, processes.boot_id()),
        standing=switch.standing(),
        carrier={name: link is not None and link.works for name, link in links.items()},
        remembered=_remembered(places.remembered),
    )


def _remembered(path: str) -> Mapping[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, *MALFORMED):
        return {}
    return found if isinstance(found, dict) else {}


def _sync(watch: Watch, listener: Listener) -> None:
    end = clocks.boot_clock() + SYNC
    while not listener.synced:
        if clocks.boot_clock() > end:
            raise EffectError("the kernel does not tell its links", where="rtnetlink")
        watch.run_once(0.1)
    listener.take()


def _stop_on_signals(watch: Watch, monitor: Monitor) -> None:
    """End the loop on SIGTERM and SIGINT: a signal alone does not wake who waits on sockets."""
    inside, outside = socket.socketpair()
    for each in (inside, outside):
        each.setblocking(False)
    signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)

    def wake(mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            inside.recv(64)

    watch.add(inside.fileno(), READ, wake)

    def stop(number: int, frame: object, keep: socket.socket = outside) -> None:
        monitor.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def run_nft(text: str) -> str:
    """Have nft load a text; return its complaint, or nothing."""
    environment = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    try:
        done = processes.run(["nft", "-f", "-"], text, NFT, environment)
    except OSError as error:
        return f"nft: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"nft: not done in {NFT:g} s"
    return "" if done.code == 0 else f"nft: {done.err.strip()[:500] or done.code}"


def _forget(folder: str) -> None:
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            disk.forget(f"{folder}/{name}")
        os.rmdir(folder)


def _printer() -> Callable[[str], None]:
    def show(text: str) -> None:
        moment = clocks.read_moment().wall
        clock = time.strftime("%H:%M:%S", time.localtime(moment))
        print(f"{clock}.{int(moment * 1000) % 1000:03d} {text}", flush=True)

    return show


# --- the journal, in lines of JSON ------------------------------------------------------------


def _words(places: Places) -> Words:
    return Words(render_transition, render_acted, render_metrics)


def render_transition(transition: Transition) -> str:
    """Return a transition's line in the journal."""
    fields: dict[str, Any] = transition._asdict()
    fields["line"] = transition.line.text()
    return json.dumps({"kind": "transition", **fields}) + "\n"


def render_acted(ident: str, who: str, at: float) -> str:
    """Return the line that says who has changed the kernel for a transition."""
    return json.dumps({"kind": "acted", "ident": ident, "acted": who, "at": at}) + "\n"


def last_counter(path: str, boot: str) -> int:
    """Return the number of the last transition of this boot in the journal."""
    last = 0
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(*MALFORMED):
                    ident, _, number = str(json.loads(line)["ident"]).rpartition("-")
                    if ident == boot:
                        last = max(last, int(number))
    except OSError:
        return last
    return last


def line_of(text: str) -> Line:
    """Return the line that a text such as ``wan1/6`` names."""
    name, _, family = text.partition("/")
    return Line(name, 6 if family == "6" else 4)
