"""Many DHCP clients on one interface, each with a hardware address of its own (RFC 2131).

dhcp_clients.py INTERFACE

Written for itself, and not with the product's client: what judges a pair must not be part of it.
Commands come as lines of JSON and each has one line for its answer:

``lease``   clients get a lease: DISCOVER, OFFER, REQUEST, ACK
``ask``     clients say DISCOVER and take nothing: who offers?
``renew``   the leases that are held: twice to the server that gave it, then to all

``every`` is the time from one client's beginning to the next one's, ``again`` the time until a
client that is not answered asks again (without it as RFC 2131, 4.1 has it), ``counts`` whether it
says in ``secs`` how long it has waited. An answer tells the time since the client began
(``seconds``) and since the command did (``at``).

A client holds its address until the end, and answers ARP for it.
"""

from __future__ import annotations

import json
import random
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

ETH_IP, ETH_ARP, OUTGOING = 0x0800, 0x0806, 4
PACKET_ADD_MEMBERSHIP, PACKET_PROMISC, SOL_PACKET = 1, 1, 263
#: Not among Python's own names (asm-generic/socket.h).
SO_RCVBUFFORCE = 33
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
COOKIE = b"\x63\x82\x53\x63"
EVERYBODY = b"\xff" * 6
#: REQUESTs that nobody answers, after which a client begins anew.
TRIES = 3


def checksum(data: bytes) -> int:
    """Return the Internet checksum, RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def options_of(data: bytes) -> dict[int, bytes]:
    """Return the options behind the cookie."""
    found, at = {}, 240
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


@dataclass
class Client:
    """Hold one client; times in seconds."""

    number: int
    address: str = ""
    server: str = ""
    server_mac: bytes = EVERYBODY
    #: Of the exchange that goes on: what was sent last, and what came of it.
    stage: str = ""
    began: float = 0.0
    due: float = 0.0
    wait: float = 0.0
    sent: int = 0
    requests: int = 0
    offered: tuple[str, str] = ("", "")
    took: float | None = None
    done: float = 0.0
    naks: int = 0
    servers: list[str] = field(default_factory=list)

    @property
    def mac(self) -> bytes:
        """Return the hardware address, a local one."""
        return bytes([2, 0, 0x5E, 0x44, self.number >> 8, self.number & 255])


class Clients:
    """Hold all clients of an interface."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        # Beyond the kernel's usual limit: of two hundred answers at once some did not fit.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((interface, 3))
        joined = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_PROMISC, 0, b"")
        self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, joined)
        self.known: dict[int, Client] = {}
        self.macs: dict[bytes, Client] = {}
        self.held: dict[str, Client] = {}
        self.chance = random.Random(1)

    def of(self, number: int) -> Client:
        """Return a client, a new one where there is none yet."""
        if number not in self.known:
            made = self.known[number] = Client(number)
            self.macs[made.mac] = made
        return self.known[number]

    # -- what goes out ----------------------------------------------------------------------

    def message(self, client: Client, kind: int, secs: int, options: dict[int, bytes]) -> bytes:
        """Return a client's message; it wants no broadcast, for it hears everything."""
        own = client.address if client.stage in ("renew", "rebind") else "0.0.0.0"
        body = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0xD0000000 | client.number, secs, 0)
        body += socket.inet_aton(own) + bytes(12) + client.mac + bytes(10 + 192) + COOKIE
        rows = {53: bytes([kind]), 55: bytes([1, 3, 51, 54, 58, 59]), **options}
        body += b"".join(bytes([key, len(value)]) + value for key, value in rows.items())
        return (body + b"\xff").ljust(300, b"\0")

    def send(self, client: Client, now: float, counts: bool) -> None:
        """Send what is next of a client."""
        secs = int(now - client.began) if counts else 0
        source, target, mac = "0.0.0.0", "255.255.255.255", EVERYBODY
        options: dict[int, bytes] = {}
        kind = REQUEST
        if client.stage in ("discover", "ask"):
            kind = DISCOVER
        elif client.stage == "request":
            options[54] = socket.inet_aton(client.offered[1])
            options[50] = socket.inet_aton(client.offered[0])
            client.requests += 1
        else:
            source = client.address
            if client.stage == "renew":
                target, mac = client.server, client.server_mac
        body = self.message(client, kind, secs, options)
        datagram = struct.pack("!HHHH", 68, 67, 8 + len(body), 0) + body
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0),
            socket.inet_aton(source),
            socket.inet_aton(target),
        )
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        self.socket.send(mac + client.mac + struct.pack("!H", ETH_IP) + head + datagram)
        client.sent += 1

    # -- what comes in ----------------------------------------------------------------------

    def hear(self, frame: bytes) -> Client | None:
        """Take a frame; return the client whose exchange has gone on."""
        kind = int.from_bytes(frame[12:14], "big")
        if kind == ETH_ARP:
            self.answer_arp(frame)
        elif kind == ETH_IP and frame[23] == 17 and len(frame) > 14 + 28 + 240:
            start = 14 + 4 * (frame[14] & 15)
            if frame[start : start + 4] == b"\0\x43\0\x44":
                return self.answered(frame[6:12], frame[start + 8 :])
        return None

    def answer_arp(self, frame: bytes) -> None:
        """Say where an address is that a client holds."""
        if frame[20:22] != b"\0\1":
            return
        held = self.held.get(socket.inet_ntoa(frame[38:42]))
        if held is not None:
            asker = frame[22:32]
            body = frame[14:20] + b"\0\2" + held.mac + frame[38:42] + asker
            self.socket.send(asker[:6] + held.mac + struct.pack("!H", ETH_ARP) + body)

    def answered(self, source: bytes, data: bytes) -> Client | None:
        """Take a server's message."""
        client = self.macs.get(data[28:34])
        if client is None or int.from_bytes(data[4:8], "big") != 0xD0000000 | client.number:
            return None
        options = options_of(data)
        kind = options.get(53, b"\0")[0]
        address, server = socket.inet_ntoa(data[16:20]), socket.inet_ntoa(options.get(54, bytes(4)))
        if kind == OFFER and client.stage == "ask":
            if server not in client.servers:
                client.servers.append(server)
            return None
        if kind == OFFER and client.stage == "discover":
            client.offered, client.stage, client.requests = (address, server), "request", 0
            return client
        if kind == ACK and client.stage in ("request", "renew", "rebind"):
            self.held.pop(client.address, None)
            client.address, client.server, client.server_mac = address, server, source
            self.held[address] = client
            client.done, client.stage = time.monotonic(), ""
            client.took = client.done - client.began
        if kind == NAK and client.stage in ("request", "renew", "rebind"):
            client.naks += 1
            client.stage = "discover"
            return client
        return None

    # -- commands ---------------------------------------------------------------------------

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; return what became of each client."""
        first = {"lease": "discover", "ask": "ask", "renew": "renew"}[job["do"]]
        again, counts = job.get("again"), job.get("counts", True)
        waiting = [self.of(number) for number in job["who"]]
        everyone, going = list(waiting), []
        begun = following = time.monotonic()
        end = begun + job["limit"]
        while (going or waiting) and (now := time.monotonic()) < end:
            while waiting and len(going) < job.get("width", 25) and now >= following:
                client = waiting.pop(0)
                following += job.get("every", 0.0)
                client.stage, client.began, client.due = first, now, now
                client.wait = again or 4.0
                client.sent = client.requests = client.naks = 0
                client.took, client.servers = None, []
                going.append(client)
            for client in going:
                if client.due <= now:
                    self.turn(client, now, counts, again)
            nearest = min([client.due for client in going], default=end)
            if waiting and job.get("every"):
                nearest = min(nearest, following)
            self.listen(min(max(nearest - time.monotonic(), 0.0), 0.5), counts, again)
            going = [client for client in going if client.stage]
        for client in everyone:
            client.stage = ""
        return {str(client.number): self.told(client, begun) for client in everyone}

    def turn(self, client: Client, now: float, counts: bool, again: float | None) -> None:
        """Send a client's message once more, and say when the next one is due."""
        if client.stage == "request" and client.requests >= TRIES:
            client.stage = "discover"
        if client.stage == "renew" and client.sent >= 2:
            client.stage = "rebind"
        self.send(client, now, counts)
        # RFC 2131, 4.1: twice as long each time, off by up to a second.
        off = 0.0 if again else self.chance.uniform(-1.0, 1.0)
        client.due = now + client.wait + off
        client.wait = again or min(2 * client.wait, 64.0)

    def listen(self, seconds: float, counts: bool, again: float | None) -> None:
        """Take all frames that are there, after waiting for the first one."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return
        while True:
            try:
                frame, source = self.socket.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            client = None if source[2] == OUTGOING else self.hear(frame)
            if client is not None:
                client.wait = again or 4.0
                self.turn(client, time.monotonic(), counts, again)

    def told(self, client: Client, begun: float) -> dict[str, Any]:
        """Return what is known of a client."""
        return {
            "mac": client.mac.hex(":"),
            "address": client.address,
            "server": client.server,
            "seconds": None if client.took is None else round(client.took, 3),
            "at": None if client.took is None else round(client.done - begun, 3),
            "sent": client.sent,
            "naks": client.naks,
            "offers": client.servers,
        }


def main() -> None:
    """Carry out commands until there are no more; ARP is answered in between."""
    clients = Clients(sys.argv[1])
    print("ready", flush=True)
    pending = b""
    while True:
        ready, _, _ = select.select([clients.socket, 0], [], [])
        if clients.socket in ready:
            clients.listen(0.0, False, None)
        if 0 not in ready:
            continue
        chunk = sys.stdin.buffer.raw.read(65536)  # type: ignore[attr-defined]
        if not chunk:
            return
        pending += chunk
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            print(json.dumps(clients.run(json.loads(line))), flush=True)


main()
