"""The product's own clients with a DHCP server, and what comes of them as a line of JSON.

dhcp_ours.py INTERFACE SERVER COUNT RELEASED HERE

COUNT clients get leases, renew them, renew them with any server, and RELEASED give theirs back.
Then the drill's own clients: on the server's own interface HERE, from it, and from another.
"""

from __future__ import annotations

import json
import sys

from saltext.ipalias.dhcp.client import Clients, Wire, lease, numbered_mac


def client_id(number: int) -> bytes:
    """Return the id that a client gives: with all that a file has to escape, or none."""
    return b'\0\xff"\\};' + bytes([number]) if number % 2 else b""


def main() -> None:
    """Ask."""
    interface, server, count, released, here = sys.argv[1:]
    with Clients(Wire(interface)) as living:
        clients = [
            living.add(numbered_mac(n), hostname=f"host{n}", client_id=client_id(n))
            for n in range(int(count))
        ]
        told: dict[str, object] = {
            "leased": len(living.obtain(clients, 30)),
            "renewed": len(living.renew(clients, 30)),
            "rebound": len(living.rebind(clients, 30)),
            "held": [(c.held.address, c.mac, c.held.server) for c in clients if c.held],
        }
        living.release(clients[: int(released)])
        told["macs"] = sorted(living.ask(server, clients[0].mac))
    told["here"] = lease(here, 2, 30, server)
    told["there"] = lease(interface, 2, 30, server)
    told["other"] = lease(interface, 2, 30, "192.0.2.99")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
