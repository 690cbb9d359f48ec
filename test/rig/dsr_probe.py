"""Ask a segment who has an address, by ARP and by neighbour solicitation, and count who answers.

dsr_probe.py INTERFACE SETTINGS    with SETTINGS in JSON:
    addresses  asked for, both families, in turn
    nearby     {address: MAC}: real addresses, asked for now and then: who asks and hears
               nothing at all proves nothing
    servers    MACs of the real servers: they are asked directly too, as a neighbour asks that
               still holds an old entry
    period     seconds between two requests

Requests on standard input, each answered with a line:
    phase NAME     counts from here on under another name
    enough N       waits until the phase has asked N times in each family, and a moment for the
                   answers; returns the phase

A phase: {"asked4", "asked6", "answers": {address: {MAC: n}}, "nearby": n, "nearby_asked": n}.
ARP is RFC 826, with an empty sender's address RFC 5227; solicitations are RFC 4861, 4.3, with an
empty source RFC 4862, 5.4.2. Standard library only.
"""

import contextlib
import ipaddress
import json
import os
import select
import socket
import struct
import sys
import time

ALL = b"\xff" * 6
#: Seconds in which a late answer still counts for its phase.
LINGER = 0.3
#: Requests for a real address: one for so many others.
NEARBY_EVERY = 20


def raw(mac):
    """Return a hardware address as bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def text(mac):
    """Return a hardware address as text."""
    return mac.hex(":")


def arp(source, sender, target, to=ALL):
    """Return an ARP request; sender 0.0.0.0 for a probe."""
    frame = to + source + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return frame + source + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)


def checksum(data):
    """Return the Internet checksum."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def solicitation(source, sender, target, to=None):
    """Return a neighbour solicitation to the target's group, or to one host directly.

    :param sender: ``::`` for duplicate address detection.
    """
    wanted = ipaddress.IPv6Address(target).packed
    group = bytes.fromhex("ff0200000000000000000001ff") + wanted[13:]
    destination = wanted if to else group
    origin = ipaddress.IPv6Address(sender).packed
    body = bytes(4) + wanted
    if any(origin):
        body += b"\x01\x01" + source
    length = len(body) + 4
    pseudo = origin + destination + struct.pack("!II", length, 58)
    head = struct.pack("!BB", 135, 0)
    total = checksum(pseudo + head + b"\x00\x00" + body)
    packet = struct.pack("!IHBB", 6 << 28, length, 58, 255) + origin + destination
    packet += head + struct.pack("!H", total) + body
    return (to or b"\x33\x33" + group[12:]) + source + b"\x86\xdd" + packet


def claim(frame):
    """Return the address that an ARP reply or a neighbour advertisement says to have, and whose.

    :return: (address, MAC of the frame), or None for any other frame.
    """
    kind = frame[12:14]
    if kind == b"\x08\x06" and len(frame) >= 42 and frame[20:22] == b"\x00\x02":
        return socket.inet_ntoa(frame[28:32]), text(frame[6:12])
    if kind == b"\x86\xdd" and len(frame) >= 78 and frame[20] == 58 and frame[54] == 136:
        return str(ipaddress.IPv6Address(frame[62:78])), text(frame[6:12])
    return None


class Asker:
    """Ask in turn, and count by phase."""

    def __init__(self, interface, settings):
        self.link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.link.bind((interface, 0))
        self.link.setblocking(False)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.mac = self.link.getsockname()[4]
        self.period = settings["period"]
        self.own = settings["own"]
        self.nearby = settings["nearby"]
        self.frames = {4: [], 6: [], 0: []}
        for address in settings["addresses"]:
            self.frames[6 if ":" in address else 4] += self.requests(address, settings["servers"])
        for address in self.nearby:
            self.frames[0] += self.requests(address, [])[:1]
        self.addresses = set(settings["addresses"])
        self.turn = 0
        self.phase = {}
        self.begin()

    def requests(self, address, servers):
        """Return each way of asking for an address: plainly, as a duplicate check, directly."""
        six = ":" in address
        make, nobody = (solicitation, "::") if six else (arp, "0.0.0.0")
        own = self.own["6" if six else "4"]
        plain = make(self.mac, own, address)
        straight = [make(self.mac, own, address, raw(mac)) for mac in servers]
        return [plain, make(self.mac, nobody, address), plain, *straight]

    def begin(self):
        """Begin to count anew."""
        self.phase = {"asked4": 0, "asked6": 0, "answers": {}, "nearby": 0, "nearby_asked": 0}

    def ask(self):
        """Send one request of each family, now and then one for a real address."""
        for family in (4, 6):
            if listed := self.frames[family]:
                self.send(listed[self.turn % len(listed)])
                self.phase[f"asked{family}"] += 1
        if self.frames[0] and self.turn % NEARBY_EVERY == 0:
            self.send(self.frames[0][self.turn // NEARBY_EVERY % len(self.frames[0])])
            self.phase["nearby_asked"] += 1
        self.turn += 1

    def send(self, frame):
        """Send a frame; one that finds no room is sent again with the next turn."""
        with contextlib.suppress(BlockingIOError):
            self.link.send(frame)

    def hear(self):
        """Count what has come."""
        while True:
            try:
                frame, sender = self.link.recvfrom(2048)
            except BlockingIOError:
                return
            if sender[2] == socket.PACKET_OUTGOING or not (found := claim(frame)):
                continue
            address, mac = found
            if self.nearby.get(address) == mac:
                self.phase["nearby"] += 1
            elif address in self.addresses:
                row = self.phase["answers"].setdefault(address, {})
                row[mac] = row.get(mac, 0) + 1

    def enough(self, least):
        """Tell whether the phase has asked so often in every family that there is."""
        return all(self.phase[f"asked{n}"] >= least for n in (4, 6) if self.frames[n])

    def run(self):
        """Ask and obey until standard input is closed."""
        awaited = None
        ends = 0.0
        due = time.monotonic()
        text = b""
        while True:
            now = time.monotonic()
            if awaited is not None and self.enough(awaited):
                # Asks no more, so that what comes late belongs to this phase all the same.
                ends = ends or now + LINGER
                if now >= ends:
                    say(self.phase)
                    awaited, ends, due = None, 0.0, now
            elif now >= due:
                self.ask()
                due = max(due + self.period, now - self.period)
            wait = (ends or due) - time.monotonic()
            ready, _, _ = select.select([self.link, 0], [], [], max(0.0, wait))
            if self.link in ready:
                self.hear()
            if 0 not in ready:
                continue
            got = os.read(0, 4096)
            if not got:
                return
            text += got
            while b"\n" in text:
                line, _, text = text.partition(b"\n")
                word, _, rest = line.decode().partition(" ")
                if word == "phase":
                    self.begin()
                    say({"phase": rest})
                else:
                    awaited = int(rest)


def say(data):
    """Write one answer."""
    print(json.dumps(data), flush=True)


if __name__ == "__main__":
    asker = Asker(sys.argv[1], json.loads(sys.argv[2]))
    print("ready", flush=True)
    asker.run()
