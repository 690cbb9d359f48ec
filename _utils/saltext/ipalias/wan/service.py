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

from .. import disk, processes
from ..errors import MALFORMED, EffectError, InputError, IpaliasError, RefusedError
from . import clocks, nat, writer
from .acting import NOBODY, REACTION
from .delivery import has_acted
from .events import Listener
from .exchanges import READ
from .loader import Loader
from .model import REPORT, Transition, WanConfig
from .monitor import Monitor, Surroundings
from .notify import Log, Service
from .places import Places
from .policy import Policy, Start
from .record import (
    ROTATE_AT,
    kept,
    last_counter,
    parse_journal,
    parse_position,
    render_entry,
    render_note,
)
from .sockets import Watch
from .stored import parse_config
from .switch import Switch
from .writer import Writer

#: Seconds until links and addresses must be known at the start.
SYNC = 10.0
#: Seconds that nft may take.
NFT = 5.0
#: Size of the record of probes (bytes) at which it is put aside; one older one is kept.
PROBES_AT = 16 << 20
USAGE = "usage: run.py wan STATE [-d [-n]]"


def main(arguments: Sequence[str]) -> int:
    """Run ``wan STATE [-d [-n]]``; return the exit code."""
    options = [word for word in arguments[1:] if word.startswith("-")]
    folders = [word for word in arguments[1:] if not word.startswith("-")]
    if len(folders) != 1 or not set(options) <= {"-d", "-n"}:
        print(USAGE, file=sys.stderr)
        return 2
    places = Places(state=f"{folders[0]}/wan")
    try:
        return serve(places, debug="-d" in options, act="-n" not in options)
    except IpaliasError as error:
        Log().say(error.text())
        print(error.text(), file=sys.stderr)
        return 1


def read_config(path: str) -> WanConfig:
    """Return the configuration that the state has written: the pillar's block, as data.

    :raises InputError: it is not there, or is refused.
    :raises ParseError: it is damaged.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text"
        raise InputError(reason, where=path, way_out="apply the state ipalias.wan") from error
    return parse_config(text, path)


def serve(places: Places, *, debug: bool = False, act: bool = True) -> int:
    """Watch until told to stop.

    :param debug: print what happens.
    :param act: False: whatever happens, change nothing and write nothing.
    :raises IpaliasError: no configuration, another monitor, no right to raw sockets.
    """
    config = read_config(places.config)
    if not act:
        config = replace(config, react=REPORT)
        # Its journal as well: the ids in it would be those of the monitor that acts.
        aside = f"{places.run}/watch-{os.getpid()}"
        places = Places(run=aside, state=aside)
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
    disk_ = Writer("journal", after=lambda path: rotate(places, path))
    around = Surroundings(places, disk_, Writer("status"), log, Service(), debug)
    try:
        listener = Listener(watch, config.numbers, nat.TABLE)
        _sync(watch, listener)
        loader = Loader(watch, run_nft, lambda complaint: monitor.loaded(complaint))
        switch = Switch(config, loader)
        policy = Policy(config, _known(config, places, listener, switch))
        monitor = Monitor(config, watch, listener, policy, switch, around)
    except OSError as error:
        raise EffectError(
            f"the kernel refuses: {error.strerror or error}",
            where="ipalias-wan",
            way_out="it needs CAP_NET_ADMIN and CAP_NET_RAW",
        ) from error
    _stop_on_signals(watch, monitor)
    for note in unsettled(places):
        disk_.append(places.journal, note)
    monitor.begin([line for line, state in policy.lines.items() if not state.up])
    loader.beside = True
    return monitor


def _known(config: WanConfig, places: Places, listener: Listener, switch: Switch) -> Start:
    links = {way.interface: listener.view.link(way.interface) for _, way in config.ways()}
    now = clocks.read_moment()
    return Start(
        now=now.boot,
        wall=now.wall,
        boot=processes.boot_id(),
        counter=last_counter(_entries(places), processes.boot_id()),
        standing=switch.standing(),
        carrier={name: link is not None and link.works for name, link in links.items()},
        remembered=_remembered(places.remembered),
    )


def unsettled(places: Places) -> list[str]:
    """Return notes on who has acted where the last monitor has died before it knew.

    This one finds by itself, under ids of its own, what it had left to a reaction, and nothing
    is left under the old ones any more; a reaction that was in time says so in its own store.
    """
    left = [entry.ident for entry in _entries(places) if not entry.acted]
    try:
        by_reaction = has_acted(places, left)
    except IpaliasError:
        return []
    return [render_note(i, REACTION if i in by_reaction else NOBODY) for i in left]


def _entries(places: Places) -> tuple[Transition, ...]:
    return parse_journal(_text(places.journal), places.journal).entries


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


# --- what the disk's thread does beside appending ---------------------------------------------


def rotate(places: Places, path: str) -> None:
    """Make a journal, or a record of probes, anew that has grown too large.

    :raises OSError: as the system says.
    :raises ParseError: a later version has written it.
    """
    limit = {places.journal: ROTATE_AT, places.probes: PROBES_AT}.get(path)
    if limit is None or os.stat(path).st_size <= limit:
        return
    if path == places.probes:
        os.replace(path, f"{path}.1")
        return
    entries = parse_journal(_text(path), path).entries
    position = parse_position(_text(places.position))
    text = "".join(map(render_entry, kept(entries, position)))
    writer.replace(path, text, sync=True)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
