"""Look whether a member is as it shall be, and can reach its peer; nothing is changed."""

from __future__ import annotations

from typing import Any

from ..errors import IpaliasError, UnsupportedError
from .bounds import describe
from .conffiles import Check, check_command, main_path, refusal
from .firewall import firewall_notes
from .kea import uncarried
from .model import KEA, DhcpConfig, Member
from .reading import read
from .releases import refuse_peers_release
from .services import SERVERS
from .setup import Setup
from .status import rows

REPLICATED = (
    "The members do not tell each other of leases, for `lease_database:replicated` says that the "
    "database does; `ipalias_dhcp.conflicts` with `peer` shows whether it does"
)


def check_config(setup: Setup) -> dict[str, Any]:
    """Return what a member's configuration and its way to the peer are like.

    :return: ``result`` (True where nothing is wrong), ``problems`` (sentences), ``member``,
        ``file``, ``differs`` (paths that an apply would write), ``ports`` (both directions of the
        peer's port), ``promised`` (`bounds.describe`), ``notes``.
    :raises IpaliasError: the pillar's block is refused, see `config`.
    """
    config, me = setup.member()
    main = main_path(config.implementation, setup.host)
    problems = _server_says(setup, config, main)
    differs = _differing(setup, problems)
    # Of Kea a short look asks nothing while its port is open, and so not whether it hears us.
    whole = config.implementation == KEA
    told = rows(read(setup.host, config, me, state=setup.settings.paths.state, whole=whole))
    ports: dict[str, Any] = told["ports"]
    problems += ports["blocked"]
    if config.implementation == KEA:
        problems += _versions(setup, config, me)
    notes = firewall_notes(config, me, setup.host)
    if config.implementation == KEA:
        notes += uncarried(config)
        if config.pair.kea.leases.replicated:
            notes.append(REPLICATED)
    return {
        "result": not problems,
        "problems": problems,
        "member": me.name,
        "role": me.role,
        "file": main,
        "differs": differs,
        "ports": ports,
        "promised": describe(config),
        "notes": notes,
    }


def _server_says(setup: Setup, config: DhcpConfig, main: str) -> list[str]:
    """Return what the server has against its file as it stands."""
    server = SERVERS[config.implementation]
    if setup.host.which(server.program) is None:
        return [f"{server.program} is not installed"]
    command = check_command(config.implementation, main)
    told = setup.host.run(command.argv)
    if told.code in command.ok:
        return []
    said = refusal(told.err + told.out, Check((), {}, command, server.program))
    return [f"{main}: {server.program} refuses it: {said}"]


def _differing(setup: Setup, problems: list[str]) -> list[str]:
    """Return the files that an apply would write; why there can be none is a problem."""
    try:
        changes = setup.managed(test=True)["changes"]
    except IpaliasError as error:
        problems.append(error.text())
        return []
    found: list[str] = sorted(changes.get("files", {}))
    return found


def _versions(setup: Setup, config: DhcpConfig, me: Member) -> list[str]:
    """Return whether both releases of Kea understand each other, as far as both say theirs."""
    try:
        refuse_peers_release(setup.host, config, me, setup.ask_peer)
    except UnsupportedError as error:
        return [error.text()]
    return []
