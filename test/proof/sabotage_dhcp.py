"""What is broken for each line of the proof of a DHCP pair; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

#: A drill's server is taken to run already, and its timer is taken away.
_NOT_STARTED = (
    "dhcp/drill.py",
    "    if not serving(server, read_sockets(setup.host)):\n        yield from started(",
    "    if serving(server, read_sockets(setup.host)):\n        yield from started(",
)

SABOTAGES: dict[int, Sabotage] = {
    25: broken(
        "trixie",
        "isc",
        "the peer's port is taken to be one's own",
        ("dhcp/isc.py", 'f"  peer port {peer.port};"', 'f"  peer port {me.port};"'),
    ),
    101: broken(
        "trixie",
        "isc",
        "files are written whether they differ or not",
        (
            "dhcp/setup.py",
            "tuple(file for file in files if now[file.path] != file.text), images",
            "tuple(file for file in files if file.text is not None and now), images",
        ),
    ),
    102: broken(
        "trixie",
        "isc",
        "systemd is asked whether the server runs",
        (
            "dhcp/setup.py",
            "        if not states[0].pids:\n",
            "        if not states[0].enabled:\n",
        ),
    ),
    103: broken(
        "trixie",
        "isc-short",
        "numbers of a pair that never gives up its peer",
        (
            "dhcp/isc.py",
            'f"  max-response-delay {pair.max_response_delay};"',
            'f"  max-response-delay {60 * pair.max_response_delay};"',
        ),
        (
            "dhcp/isc.py",
            'f"  load balance max seconds {pair.load_balance_max_seconds};"',
            'f"  load balance max seconds {100 * pair.load_balance_max_seconds};"',
        ),
    ),
    104: broken(
        "bookworm",
        "kea-short",
        "nobody fetches what was given out meanwhile",
        (
            "dhcp/synchronize.py",
            "        keactl.synchronize(kea.control_socket, other.name)\n",
            "        assert keactl, (kea, other)\n",
        ),
    ),
    105: broken(
        "trixie",
        "kea",
        "an interface is named without an address",
        ("dhcp/setup.py", "hooks[:1], listen=listen)", "hooks[:1], listen=listen[:0])"),
    ),
    106: broken(
        "bookworm",
        "kea-standby",
        "dhcpd's leases stay where they are",
        ("dhcp/apply.py", "        yield from carried(plan.carry, host)\n", "        pass\n"),
    ),
    107: broken(
        "trixie",
        "kea-postgresql",
        "a database is taken to replicate, whatever the block says",
        ("dhcp/kea.py", "if kea.leases.replicated else {}", "if kea.leases.is_database else {}"),
    ),
    201: broken(
        "",
        "pytest",
        "`mclt` and `split` stand on both sides",
        ("dhcp/isc.py", "    if me.role == PRIMARY:\n", "    if me.role:\n"),
    ),
    301: broken(
        "bookworm",
        "isc",
        "the beacon looks neither at the state nor at the peer",
        (
            "dhcp/watch.py",
            "        (STATE, _state(reading) if reading.asked else former.get(STATE)),\n"
            "        (SILENT, _silent(reading, limits.silence)),\n"
            "        (BLOCKED, _blocked(reading, former)),\n",
            "",
        ),
    ),
    302: broken(
        "trixie",
        "isc",
        "which way is blocked is not told",
        (
            "dhcp/peer.py",
            "min(heard, default=None), tuple(blocked), last)",
            "min(heard, default=None), tuple(blocked[:0]), last)",
        ),
    ),
    401: broken(
        "trixie",
        "isc",
        "files are written in pieces, and nobody notes what they were",
        ("dhcp/apply.py", "        files={**images, **beside},\n", "        files={**beside},\n"),
        (
            "dhcp/apply.py",
            "    if plan.check is not None:\n        yield from ask_server(",
            "    pieces = [type(f)(f.path, (f.text or '')[:99], f.mode) for f in plan.files]\n"
            "    yield from put_files(tuple(pieces), like)\n"
            "    if plan.check is not None:\n        yield from ask_server(",
        ),
    ),
    402: broken(
        "trixie",
        "isc",
        "a half of a backup is not taken away by the next one",
        (
            "dhcp/backup.py",
            '        if named and not host.exists(f"{path}/{INDEX}"):\n',
            '        if named and host.exists(f"{path}/{INDEX}.none"):\n',
        ),
    ),
    501: broken("mixed", "isc", "a drill's server is not started again", _NOT_STARTED),
    502: broken("trixie", "kea", "a drill's server is not started again", _NOT_STARTED),
    601: broken(
        "",
        "pytest",
        "a pool may lie outside of its subnet",
        (
            "dhcp/config_subnets.py",
            "            if address not in network:\n",
            "            if address in (None, network):\n",
        ),
    ),
}
