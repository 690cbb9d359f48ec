"""The network as the executor uses it: frames out, answers in, checks. Effects only."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from .checks import CHECK_TIMEOUT, CheckSpec
from .effects import Probe, Send
from .errors import EffectError
from .probe import ETH_ARP, ETH_IPV6, parse_answer, render_probe

_RECEIVE_BUFFER = 1 << 22
#: Longest that frames are still read when the time is over (s): a segment may never be quiet.
_FLOOD = 1.0


def send(effect: Send) -> None:
    """Send frames; a full queue or a link going down loses the rest, which is no error."""
    with packet_socket(effect.interface) as sender:
        for turn in range(effect.count):
            if turn:
                time.sleep(effect.interval)
            for frame in effect.frames:
                sender.send(frame)


def packet_socket(interface: str, kind: int = 0) -> socket.socket:
    """Return a packet socket on an interface; `kind` 0 receives nothing.

    :raises EffectError: the platform has none.
    """
    family = getattr(socket, "AF_PACKET", None)
    if family is None:
        raise EffectError("this platform has no packet sockets", where=interface)
    opened = socket.socket(family, socket.SOCK_RAW, socket.htons(kind))
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        opened.bind((interface, kind))
    except BaseException:
        opened.close()
        raise
    return opened


def probe(effect: Probe) -> dict[str, str]:
    """Ask for addresses and return those answered for, with the first hardware address."""
    return {address: macs[0] for address, macs in probe_every(effect).items()}


def probe_every(effect: Probe) -> dict[str, list[str]]:
    """Ask for addresses and return those answered for, with the hardware addresses.

    The listeners are open before the first frame leaves, so no answer is missed. Unless every
    claim counts, it ends with the first for each.
    """
    asked = frozenset(effect.asked)
    heard: dict[str, list[str]] = {}
    families = {ETH_IPV6 if ":" in address else ETH_ARP for address in asked}
    with contextlib.ExitStack() as stack:
        ears = [stack.enter_context(packet_socket(effect.interface, k)) for k in families]
        mouth = stack.enter_context(packet_socket(effect.interface))
        if ETH_IPV6 in families:
            # An answer to one who has no address yet goes to all nodes (RFC 4861, 7.2.4).
            _join_all_nodes(ears, effect.interface)
        for _ in range(effect.rounds):
            for count, frame in enumerate(effect.frames):
                mouth.send(frame)
                if count % 64 == 63:
                    _listen(ears, effect, asked, heard, 0.0)
            _listen(ears, effect, asked, heard, effect.listen)
            if len(heard) == len(asked) and not effect.every:
                break
    return heard


def _join_all_nodes(ears: list[socket.socket], interface: str) -> None:
    index = socket.if_nametoindex(interface)
    membership = index.to_bytes(4, "little") + (0).to_bytes(2, "little") + (6).to_bytes(2, "little")
    membership += b"\x33\x33\x00\x00\x00\x01\x00\x00"
    packet_add_membership, sol_packet = 1, 263
    for ear in ears:
        with contextlib.suppress(OSError):
            ear.setsockopt(sol_packet, packet_add_membership, membership)


def _listen(
    ears: list[socket.socket],
    effect: Probe,
    asked: frozenset[str],
    heard: dict[str, list[str]],
    seconds: float,
) -> None:
    """Take answers in until the time is over, and what is there by then."""
    end = time.monotonic() + seconds
    while True:
        now = time.monotonic()
        ready, _, _ = select.select(ears, [], [], max(0.0, end - now))
        if not ready or now > end + _FLOOD:
            return
        for ear in ready:
            found = parse_answer(ear.recv(2048), effect.mac, asked)
            if found is None:
                continue
            address, mac = found
            claims = heard.setdefault(address, [])
            if mac not in claims:
                claims.append(mac)
            if len(heard) == len(asked) and not effect.every:
                return


def check_gateway(spec: CheckSpec, mac: str) -> str:
    """Ask the segment for a gateway's hardware address; return the problem, or nothing."""
    frame = render_probe(mac, spec.address)
    effect = Probe(spec.interface, mac, (spec.address,), (frame,), 4, CHECK_TIMEOUT / 8)
    return "" if probe(effect) else "nobody answers for it"


def check_tcp(spec: CheckSpec) -> str:
    """Open a connection; return the problem, or nothing. The address is never a name."""
    family = socket.AF_INET6 if ":" in spec.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(CHECK_TIMEOUT)
        try:
            client.connect((spec.address, spec.port))
        except OSError as error:
            return error.strerror or str(error) or "no answer"
    return ""
