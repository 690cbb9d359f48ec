"""Both ends of many small requests, run on the hosts as programs of their own.

dsr_requests.py serve NAME PORT       answers TCP and UDP of both families on every address,
                                      with NAME and the address it was asked on
dsr_requests.py ask LEAST PERIOD PATIENCE PORT ADDRESS...
                                      asks every address over TCP and UDP in turn, a request
                                      every PERIOD seconds, until standard input is closed and
                                      at least LEAST have been asked; then says in JSON what
                                      became of them. Lost is what has no answer in PATIENCE
                                      seconds

Standard library only: it runs in whatever Python a host has.
"""

import asyncio
import json
import socket
import struct
import sys
import time

#: Requests under way at once: above it the program waits instead of piling up more.
MOST = 256
#: Losses told of one by one.
TOLD = 5
#: Where tcp_info has tcpi_total_retrans (linux/tcp.h).
RETRANSMITTED = 100


def family_of(address):
    """Return the socket family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp_socket(family, port):
    """Return a socket that tells of each datagram the address it came to."""
    made = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        made.bind(("::", port))
    else:
        # IP_PKTINFO, which socket has no name for before Python 3.14 (ip(7)).
        made.setsockopt(socket.IPPROTO_IP, 8, 1)
        made.bind(("0.0.0.0", port))
    made.setblocking(False)
    return made


def answer_datagram(listening, name):
    """Answer a datagram from the address it was sent to, by whatever way the routes say."""
    data, extra, _, peer = listening.recvmsg(2048, 256)
    for level, kind, value in extra:
        if level == socket.IPPROTO_IP:
            _, local, _ = struct.unpack("=I4s4s", value[:12])
            where = socket.inet_ntop(socket.AF_INET, local)
            back = (level, kind, struct.pack("=I4s4s", 0, local, bytes(4)))
        else:
            local = value[:16]
            where = socket.inet_ntop(socket.AF_INET6, local)
            back = (level, kind, local + struct.pack("=I", 0))
        listening.sendmsg([reply(name, where, data)], [back], 0, peer)


def reply(name, where, data):
    """Return the answer to a request."""
    return json.dumps({"server": name, "at": where, "token": data.decode()}).encode()


async def serve(name, port):
    """Answer for ever."""

    async def answer(reader, writer):
        try:
            data = await reader.read(2048)
            where = writer.get_extra_info("sockname")[0]
            writer.write(reply(name, where, data))
            await writer.drain()
            # The client closes first, so that no port of the server's waits.
            await reader.read(1)
        except OSError:
            pass
        writer.close()

    loop = asyncio.get_running_loop()
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        await asyncio.start_server(answer, everywhere, port, family=family, backlog=1024)
        listening = udp_socket(family, port)
        loop.add_reader(listening, answer_datagram, listening, name)
    print("ready", flush=True)
    await asyncio.Event().wait()


class Asker:
    """Ask, and count."""

    def __init__(self, addresses, port, patience):
        self.patience = patience
        self.turns = [(kind, a) for a in addresses for kind in ("tcp", "udp")]
        self.port = port
        self.kinds = {}
        self.lost = []
        self.retransmitted = 0

    async def ask(self, kind, address, token):
        """Ask one question and return the answer."""
        loop = asyncio.get_running_loop()
        stream = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
        with socket.socket(family_of(address), stream) as link:
            link.setblocking(False)
            await loop.sock_connect(link, (address, self.port))
            await loop.sock_sendall(link, token.encode())
            data = await loop.sock_recv(link, 2048)
            if kind == "tcp":
                info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                self.retransmitted += struct.unpack_from("=I", info, RETRANSMITTED)[0]
            return json.loads(data)

    async def one(self, kind, address, token):
        """Ask one question and count what becomes of it."""
        name = f"{kind}{6 if ':' in address else 4}"
        row = self.kinds.setdefault(name, {"asked": 0, "answered": 0, "servers": {}})
        row["asked"] += 1
        try:
            told = await asyncio.wait_for(self.ask(kind, address, token), self.patience)
            if told["token"] != token or told["at"] != address:
                raise ValueError(f"answered as {told}")
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            self.lost.append(f"{name} {address}: {type(error).__name__}: {error}".strip(": "))
            return
        row["answered"] += 1
        row["servers"][told["server"]] = row["servers"].get(told["server"], 0) + 1

    async def run(self, least, period):
        """Ask until told to stop."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        loop.add_reader(0, lambda: (loop.remove_reader(0), stop.set()))
        under_way = set()
        asked = 0
        due = began = time.monotonic()
        while not stop.is_set() or asked < least:
            kind, address = self.turns[asked % len(self.turns)]
            asked += 1
            task = loop.create_task(self.one(kind, address, f"request {asked}"))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            # Due from now where the processor was not to be had: no burst makes up for it.
            due = max(due + period, time.monotonic() - period)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if len(under_way) >= MOST:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            if asked == 2 * len(self.turns):
                print("ready", flush=True)
        if under_way:
            await asyncio.wait(under_way)
        return {
            "asked": asked,
            "answered": sum(row["answered"] for row in self.kinds.values()),
            "lost": len(self.lost),
            "first_lost": self.lost[:TOLD],
            "kinds": self.kinds,
            "retransmitted": self.retransmitted,
            "seconds": round(time.monotonic() - began, 1),
        }


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
    least, period, patience, port = map(float, sys.argv[2:6])
    client = Asker(sys.argv[6:], int(port), patience)
    print(json.dumps(asyncio.run(client.run(int(least), period))), flush=True)
