"""Bring a host to its side of a DHCP pair, and back: files, service and ports in one change.

Each server alone ends right, whichever is first: a primary without its secondary serves, a
secondary without its primary waits for it, and both find to `normal` when the other comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import platforms
from ..difference import render_diff
from ..effects import Effects, FileState, ReadFile, ReadLive
from ..errors import InputError, UnsupportedError
from ..guarded import Verdict
from ..live import Snapshot
from ..model import Alias, File
from ..request import Answer, PillarRequest, nothing
from ..values import mapping
from . import attributes, conffiles, firewall, keactl
from .apply import Plan, Wanted, apply, describe
from .bounds import dangers
from .carry import Carry, moved_from, plan_carry
from .coming import addresses_of, coming_aliases, note
from .conffiles import Files, Found
from .config import find_member, parse_dhcp, refuse_misplaced
from .database import describe as describe_store
from .database import refuse_database
from .heldback import leave_to_drill
from .isc import render_isc
from .iscfile import refuse_clash, standing
from .kea import HOOKS, listening, render_kea
from .model import ISC, KEA, DhcpConfig, Member, OmapiKey
from .omapikey import FILE as KEY_FILE
from .omapikey import MODE as KEY_MODE
from .omapikey import make_key, parse_key, render_key
from .places import Places
from .ports import refuse_used
from .releases import Asking, refuse_peers_release
from .restarting import dropin_files
from .services import SERVERS, Socket, State, read_sockets, read_state, refuse_drill

RELEASES = (
    "The peer's release of Kea shows only when its Kea runs: both need one "
    "(`salt-run ipalias_dhcp.releases PRIMARY SECONDARY`)"
)
TOGETHER = (
    "The other member is to be changed at once: after {seconds:g} s (`max_response_delay`) without "
    "its answer a Kea gives out the whole pool, beside a dhcpd that does so too"
)


@dataclass
class Setup(PillarRequest):
    """Hold a request's surroundings.

    :param minion: this minion's id.
    """

    minion: str = ""
    new_key: Callable[[], OmapiKey] = make_key
    clock: Callable[[], float] = time.time
    ask_peer: Asking = keactl.ask_peer

    # -- requests -----------------------------------------------------------------------

    def managed(self, *, test: bool = False) -> Answer:
        """Bring the host to its side of the pillar's ``dhcp``.

        :return: ``result``, ``changes`` (``files``: path → diff, ``service``: unit → what is
            done to it), ``comment``, ``notes``.
        :raises IpaliasError: see `config`, `apply` and `guarded`; everything is as it was.
        """
        if mapping(self.data, self.root).get("dhcp") is None:
            if self.found() is None:
                return nothing("The pillar has no `dhcp`")
            raise InputError(
                "there is no `dhcp`, and this host is a member of a pair",
                where=self.root,
                way_out="take it away by the state ipalias.dhcp.clean",
            )
        with self.lock("ipalias_dhcp.apply", test):
            snapshot: Snapshot = self.host.perform(ReadLive())
            coming: list[Alias] = []
            try:
                config, me = self.member(snapshot)
            except InputError:
                if not test:
                    raise
                # Aliases of this pillar may have to come first: the same, or another refusal.
                coming = coming_aliases(self.data, self.root, snapshot)
                config, me = self.member(snapshot, coming)
            planned = self._plan(config, me, addresses_of(snapshot, coming), test)
            if not coming:
                return self._carry_out(planned, test)
            planned = replace(planned, notes=(note(coming, config, me), *planned.notes))
            return {**self._carry_out(planned, test), "result": None}

    def absent(self, *, test: bool = False) -> Answer:
        """Take our configuration away; what was there before is back, and leases stay."""
        if self.host.system != "linux" or self.found() is None:
            return nothing("Nothing of ours is concerned")
        with self.lock("ipalias_dhcp.clean", test):
            return self._carry_out(self._removal(), test)

    # -- reading ------------------------------------------------------------------------

    @property
    def places(self) -> Places:
        """Return where our own files lie."""
        return Places(f"{self.settings.paths.state}/dhcp")

    def config(self) -> DhcpConfig:
        """Return the pillar's block, checked.

        :raises InputError: see `config.parse_dhcp`.
        :raises UnsupportedError: not Debian.
        """
        self._refuse_system()
        block = mapping(self.data, self.root).get("dhcp")
        return parse_dhcp(block, f"{self.root}:dhcp")

    def member(
        self, snapshot: Snapshot | None = None, coming: Iterable[Alias] = ()
    ) -> tuple[DhcpConfig, Member]:
        """Return the pillar's block and which of its members this host is.

        :param coming: addresses that count as this host's although they are not live yet.
        :raises InputError: it is none, or its interfaces contradict the block.
        """
        live: Snapshot = self.host.perform(ReadLive()) if snapshot is None else snapshot
        config = self.config()
        addresses = addresses_of(live, coming)
        own = {text.partition("/")[0] for listed in addresses.values() for text in listed}
        me = find_member(config, self.minion, own)
        refuse_misplaced(config, me, addresses)
        return config, me

    @property
    def key_path(self) -> str:
        """Return the path of the key for dhcpd's control."""
        return f"{self.settings.paths.state}/{KEY_FILE}"

    def omapi_key(self) -> OmapiKey | None:
        """Return the key that dhcpd's control has on this host; None: none yet."""
        text = self.host.read(self.key_path)
        return parse_key(text, self.key_path) if text else None

    def _refuse_system(self) -> None:
        started_by = platforms.init(self.host.system, self.host.exists)
        if started_by != "systemd" or not self.host.exists("/etc/debian_version"):
            raise UnsupportedError(
                "a DHCP pair is for Debian 12 and 13 with systemd", where=f"{self.root}:dhcp"
            )

    def found(self) -> Found | None:
        """Return what the host had before us; None: nothing of ours is here."""
        text = self.host.read(self.places.found)
        return conffiles.parse_found(text, self.places.found) if text else None

    # -- planning -----------------------------------------------------------------------

    def _plan(
        self, config: DhcpConfig, me: Member, addresses: Mapping[str, Sequence[str]], test: bool
    ) -> Plan:
        """Return what a configuration changes on this host.

        :param addresses: interface → its IPv4 addresses, with prefix lengths.
        :raises RefusedError: another program has a port of ours.
        """
        server = SERVERS[config.implementation]
        notes = [*firewall.firewall_notes(config, me, self.host), *dangers(config)]
        installed = self._installed(config, me, test)
        if not installed:
            notes.append(f"{server.package} is not installed yet: its own check is still to come")
        sockets = read_sockets(self.host)
        former = self.found()
        refuse_used(config, me, sockets, former.implementation if former else "")
        unseen = self._refuse_database(config, installed, test)
        going, carry, said = self._taking_over(config, former, seen=not unseen)
        notes += [*unseen, *said]
        base = None
        if former is not None and former.implementation == config.implementation:
            base = former
        if base is None:
            base = self._before_us(config, sockets, former)
        else:
            conffiles.refuse_other_main(base, self.host)
        base = replace(base, whole=config.whole)
        if config.implementation == ISC and not config.whole:
            self._refuse_clash(config, base)
        key = None
        if config.implementation == ISC:
            key = self.omapi_key() or self.new_key()
        text = self._render(config, me, key, addresses)
        servers = conffiles.present(base, text, config, self.host)
        ours = [
            File(self.places.found, conffiles.render_found(base), 0o600),
            File(self.key_path, None if key is None else render_key(key), KEY_MODE),
        ]
        rules = firewall.firewall_files(config, me, self.host)
        listed = [*going.files, *servers.files, *rules, *dropin_files(config), *ours]
        files, images = self._differing(listed)
        own = attributes.differing(listed, images, servers.like, conffiles.made_by_us(base))
        changed = {file.path for file in files} & {file.path for file in servers.files}
        asked = installed and changed - {conffiles.ISC_DEFAULTS}
        read = [file.path for file in servers.files if file.path != conffiles.ISC_DEFAULTS]
        changed |= attributes.unreadable(read, own, images, server, self.host)
        check = conffiles.check_of(config.implementation, base.main, servers.files)
        planned = Plan(
            (*files, *(file for file in listed if file.path in own)),
            attributes.texts(images),
            check if asked else None,
            like={**own, **going.like, **servers.like},
            attributes=attributes.describe(images, own),
            notes=tuple(notes),
            rules=firewall.unit_step(files),
            carry=carry,
            **self._doing(config, me, former, sockets, bool(changed)),
        )
        return leave_to_drill(planned, server.unit, self.host)

    def _installed(self, config: DhcpConfig, me: Member, test: bool) -> bool:
        """Tell whether the server is there, and such that its peer understands it.

        :raises InputError: it is not, and is to serve now.
        :raises UnsupportedError: the peer's release is one that it does not go with.
        """
        server = SERVERS[config.implementation]
        if self.host.which(server.program) is None:
            if test:
                return False
            raise InputError(
                f"{server.program} is not installed",
                where=f"{config.where}:implementation",
                way_out=f"apply the state ipalias.dhcp, or install {server.package}",
            )
        if config.implementation == KEA:
            refuse_peers_release(self.host, config, me, self.ask_peer)
        return True

    def _refuse_database(self, config: DhcpConfig, installed: bool, test: bool) -> list[str]:
        """Refuse a database that Kea would not start by; return why it was not looked at."""
        store = config.pair.kea.leases
        if config.implementation != KEA or not store.is_database:
            return []
        if not installed:
            return [f"{describe_store(store)} is not looked at yet"]
        return refuse_database(self.host, store, f"{config.where}:kea:lease_database", test=test)

    def _taking_over(
        self, config: DhcpConfig, former: Found | None, *, seen: bool
    ) -> tuple[Files, Carry | None, list[str]]:
        """Return what goes of the other implementation, which leases come along, and notes.

        :param seen: the database has been looked into, or there is none.
        """
        going, notes = Files(()), list[str]()
        other = former is not None and former.implementation != config.implementation
        if former is not None and other:
            refuse_drill(self.host)
            going = conffiles.absent(former, self.host)
        carry: Carry | None = None
        if config.implementation == KEA and seen:
            carry, notes = self._carry(config, former)
        if config.implementation == KEA and other:
            seconds = config.pair.kea.max_response_delay
            notes = [*notes, RELEASES, TOGETHER.format(seconds=seconds)]
        return going, carry, notes

    def _carry(self, config: DhcpConfig, former: Found | None) -> tuple[Carry | None, list[str]]:
        """Return which leases are to come along into Kea's, and what is to be said of it.

        A Kea that served before us is asked for a database alone: its file is ours as well.
        """
        source = None
        if former is None or former.implementation == KEA:
            main = SERVERS[KEA].main if former is None else former.main
            source = moved_from(self.host.read(main), config, unknown=former is None)
            if source is None:
                return None, []
        owner = conffiles.owner_of_leases(self.host)
        carry, said = plan_carry(self.host, config, self.clock(), owner, source)
        return carry, [said] if said else []

    def _refuse_clash(self, config: DhcpConfig, base: Found) -> None:
        """Refuse what the server's own file declares as well, and ours is only included by."""
        text = self.host.read(base.main)
        if text is not None and not conffiles.is_ours(text):
            refuse_clash(standing(self.host.read, base.main, [conffiles.OWN]), config)

    def _before_us(self, config: DhcpConfig, sockets: list[Socket], former: Found | None) -> Found:
        """Return what this host has before our first change."""
        files: dict[str, FileState | None] = {}
        for path in conffiles.found_paths(config.implementation, self.host):
            files[path] = self.host.perform(ReadFile(path))
        state = read_state(config.implementation, self.host, sockets)
        return conffiles.find(config.implementation, config.whole, files, state, former)

    def _doing(
        self,
        config: DhcpConfig,
        me: Member,
        former: Found | None,
        sockets: list[Socket],
        changed: bool,
    ) -> dict[str, Any]:
        """Return what services do now and shall do."""
        server = SERVERS[config.implementation]
        states = [read_state(config.implementation, self.host, sockets)]
        wanted = [Wanted(config.implementation, True, True, changed, (me.address, me.port))]
        services: dict[str, str] = {}
        if former is not None and former.implementation != config.implementation:
            states.append(read_state(former.implementation, self.host, sockets))
            # Were it left enabled, a boot would start both, and one would have the ports.
            wanted.insert(0, Wanted(former.implementation, False, False))
            if states[-1].pids:
                services[SERVERS[former.implementation].unit] = "stopped"
        if not states[0].pids:
            services[server.unit] = "started"
        elif changed:
            services[server.unit] = "restarted"
        elif not states[0].enabled:
            services[server.unit] = "enabled"
        return {
            "states": tuple(states),
            "wanted": tuple(wanted),
            "services": services,
        }

    def _removal(self) -> Plan:
        """Return what takes everything of ours away."""
        found = self.found()
        assert found is not None
        refuse_drill(self.host)
        sockets = read_sockets(self.host)
        server = SERVERS[found.implementation]
        own = [File(self.places.found, None), File(self.key_path, None)]
        servers = conffiles.absent(found, self.host)
        rules = firewall.firewall_files(None, None, self.host)
        gone = [*servers.files, *rules, *dropin_files(None), *own]
        files, images = self._differing(gone)
        state = read_state(found.implementation, self.host, sockets)
        wanted = _as_found(found.service)
        services = {}
        if state.pids or wanted.runs:
            services[server.unit] = "restarted" if wanted.runs else "stopped"
        for other in found.others:
            services[SERVERS[other.implementation].unit] = "started" if other.pids else "enabled"
        return Plan(
            files,
            attributes.texts(images),
            None,
            (state, *(read_state(o.implementation, self.host, sockets) for o in found.others)),
            (wanted, *map(_as_found, found.others)),
            firewall.unit_step(files),
            services,
            servers.like,
            ("Leases, backups and the reports of drills stay, and so does the package",),
        )

    def _render(
        self,
        config: DhcpConfig,
        me: Member,
        key: OmapiKey | None,
        addresses: Mapping[str, Sequence[str]],
    ) -> str:
        if config.implementation == ISC:
            return render_isc(config, me, key)
        hooks = [path for path in self.host.glob(HOOKS) if self.host.exists(path)]
        listen = listening(config, me, addresses)
        return render_kea(config, me, *hooks[:1], listen=listen)

    def _differing(
        self, files: Iterable[File]
    ) -> tuple[tuple[File, ...], dict[str, FileState | None]]:
        """Return the files whose text is another one, and what all of them are now."""
        images: dict[str, FileState | None] = {}
        for file in files:
            images[file.path] = self.host.perform(ReadFile(file.path))
        now = attributes.texts(images)
        return tuple(file for file in files if now[file.path] != file.text), images

    # -- what requests share ------------------------------------------------------------

    def _carry_out(self, planned: Plan, test: bool) -> Answer:
        """Show a change (`test`) or make it, and answer with plain data."""
        said = [*self._settled, *planned.notes]
        changes: dict[str, dict[str, object]] = {}
        diffs = self._diffs(planned)
        if diffs:
            changes["files"] = dict(diffs)
        if planned.services:
            changes["service"] = dict(planned.services)

        def change() -> Effects[Verdict]:
            settings = self.guarded_settings()
            return apply(planned, self.host, settings, self.new_id(), self._purpose)

        answer = self.answer(changes, said, change if planned.touches_host else None, test)
        answer["comment"] = ". ".join([describe(planned, test), *said])
        return answer

    def _diffs(self, planned: Plan) -> dict[str, str]:
        """Return the diffs to show: no secret in them, and of our own notes that they change."""
        keys = [self.omapi_key()]
        keys += [
            parse_key(f.text, f.path) for f in planned.files if f.path == self.key_path and f.text
        ]
        shown: dict[str, str] = {}
        for file in planned.files:
            if file.path in planned.attributes:
                shown[file.path] = planned.attributes[file.path]
                continue
            if file.path in (self.places.found, self.key_path):
                shown[file.path] = "taken away" if file.text is None else "written"
                continue
            diff = render_diff(file.path, planned.texts[file.path], file.text)
            for key in keys:
                diff = diff if key is None else diff.replace(key.secret, "***")
            shown[file.path] = diff
        return shown


def make(**surroundings: Any) -> Setup:
    """Return the request's engine.

    :param surroundings: see `Setup`.
    """
    return Setup(**surroundings)


def _as_found(state: State) -> Wanted:
    runs = bool(state.pids)
    return Wanted(state.implementation, runs, state.enabled, anew=runs)
