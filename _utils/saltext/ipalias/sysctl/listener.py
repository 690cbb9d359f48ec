"""The listener: sets our settings of an interface the moment the kernel tells of it.

Runs as a service from the frozen copy, with nothing but the standard library. Effects only;
what it hears is understood in `links`, what it sets is in the ledger of settings.
"""

from __future__ import annotations

import errno
import os
import select
import socket

from .. import processes, system
from ..effects import WriteKernel
from ..errors import EffectError, IpaliasError
from ..paths import Paths
from . import keys, same_value
from .ledger import Entries, parse_ledger
from .links import DONE, ERROR, Links, dump_request, parse_messages

#: rtnetlink's group of interfaces, rtnetlink(7): RTMGRP_LINK.
GROUP = 1
#: Seconds between two tries of what is not there yet, and how many.
AGAIN, TRIES = 0.02, 100
BUFFER = 1 << 20


def listen(paths: Paths) -> int:
    """Set what is there, say that we are ready, and set what comes; ends only by a signal.

    It listens before it asks what is there, so nothing comes in between unseen. Without a
    setting of an interface there is nothing to do, and it ends.

    :return: exit code.
    """
    host = system.RealHost(paths)
    if not any(keys.split_interface(key) for key in read_entries(host, paths)):
        say_ready()
        return 0
    links = Links(TRIES)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        channel.bind((0, GROUP))
        channel.send(dump_request(1))
        ready = False
        while True:
            for name in links.waiting:
                links.done(name, whole=set_interface(host, paths, name))
            timeout = AGAIN if links.waiting else None
            if not select.select([channel], [], [], timeout)[0]:
                continue
            ended = _hear(channel, host, paths, links)
            if ended and not ready:
                say_ready()
                ready = True


def _hear(channel: socket.socket, host: system.RealHost, paths: Paths, links: Links) -> bool:
    """Take what the kernel says; tell whether it has told of all interfaces now."""
    try:
        data = channel.recv(1 << 16)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise
        # Something was lost: so everything is asked for once more.
        channel.send(dump_request(2))
        return False
    ended = False
    for event in parse_messages(data):
        name = links.take(event)
        if name is not None:
            links.done(name, whole=set_interface(host, paths, name))
        ended = ended or event.kind in (DONE, ERROR)
    return ended


def read_entries(host: system.RealHost, paths: Paths) -> Entries:
    """Return the ledger; an unreadable one is told to the system's log and holds nothing."""
    try:
        text = host.read(paths.sysctl)
        return {} if text is None else parse_ledger(text, paths.sysctl)
    except IpaliasError as error:
        processes.log(f"settings of interfaces are not set: {error}")
        return {}


def set_interface(host: system.RealHost, paths: Paths, name: str) -> bool:
    """Set what is ours of one interface; False where a setting is not there (yet)."""
    whole = True
    for key, entry in read_entries(host, paths).items():
        split = keys.split_interface(key)
        if split is None or split[1] != name:
            continue
        path = keys.proc_path(key)
        try:
            now = host.read(path)
            if now is None:
                whole = False
            elif not same_value(now, entry.value):
                host.perform(WriteKernel(path, entry.value))
                processes.log(f"{name} appeared: {key} = {entry.value}")
        except EffectError as error:
            processes.log(f"{key} = {entry.value} is not set: {error}")
    return whole


def say_ready() -> None:
    """Tell systemd that interfaces may come now; sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(b"READY=1", "\0" + address[1:] if address[0] == "@" else address)
