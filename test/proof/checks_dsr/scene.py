"""Real servers of a case with a balancer and a client around them, and the formula on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from proof.registry import Case, cases, demand
from proof.stage import Run, Stage, shorten
from rig.dsr_network import FIRST, SECOND, DsrNetwork, Vip, mac_of, read_sysctl
from rig.dsr_programs import PROBE_PERIOD, Heard, Prober
from rig.host import BootedHost
from rig.netns import NetHost
from rig.process import CommandFailed
from rig.setups import SETUPS

#: Where no systemd runs: faster, and what the kernel does with a setting is the same.
NAMESPACES = "namespaces"
PLAIN = [Case("", NAMESPACES)]
EVERYWHERE = [*PLAIN, *cases()]
#: The owner's files of a host in namespaces; networkd itself does not run there.
NETWORK = "/etc/systemd/network/50-default.network"
LOOPBACK = "/etc/systemd/network/10-lo.network"
#: The questions of a phase, in each family.
QUESTIONS = 1000

Server = NetHost | BootedHost
Prepare = Callable[[BootedHost], None]

IGNORE, ANNOUNCE = "arp_ignore", "arp_announce"


class Scene:
    """The servers, the network around them, and another host that asks for the VIPs.

    :param count: real servers.
    :param prepare: changes files of a halted host, before its first boot.
    """

    def __init__(self, stage: Stage, count: int = 1, prepare: Prepare | None = None) -> None:
        self.stage = stage
        self.segment = stage.segment
        self.servers: list[Server] = []
        self._net: DsrNetwork | None = None
        try:
            for _ in range(count):
                self.servers.append(self._server(prepare))
            self._net = DsrNetwork(self.segment, [server.number for server in self.servers])
        except BaseException:
            self.close()
            raise

    def _server(self, prepare: Prepare | None) -> Server:
        case = self.stage.case
        if case.setup == NAMESPACES:
            plain = NetHost(self.segment)
            # The machine's own folders are seen there, a sabotaged checkout in /tmp as well.
            plain.checkout = str(self.stage.source)
            plain.write(NETWORK, f"[Match]\nName=eth0\n\n[Network]\nAddress={plain.primary}/24\n")
            plain.write(LOOPBACK, "[Match]\nName=lo\n\n[Network]\nAddress=127.0.0.1/8\n")
            return plain
        host = BootedHost(case.suite, self.segment)
        host.checkout_from = self.stage.source
        SETUPS[case.setup](host)
        if prepare:
            prepare(host)
        host.boot()
        return host

    @property
    def net(self) -> DsrNetwork:
        """Return the network."""
        assert self._net
        return self._net

    @property
    def server(self) -> Server:
        """Return the only server, or the first."""
        return self.servers[0]

    @property
    def booted(self) -> BootedHost:
        """Return the first server as a host with systemd."""
        assert isinstance(self.server, BootedHost)
        return self.server

    @property
    def balancer(self) -> str:
        """Return the MAC that alone may answer for a VIP."""
        return mac_of(self.net.balancer.number)

    # -- the formula --------------------------------------------------------------------

    def pillar(self, *vips: Vip, **settings: Any) -> dict[str, Any]:
        """Return a pillar with these VIPs, and more of the block ``dsr``."""
        listed = [address for vip in vips for address in vip]
        data = {"dsr": {"vips": listed, "interfaces": ["eth0"], **settings}}
        # Where no daemon runs, nobody but the pillar says who owns lo.
        owner = {"backend": "networkd"} if self.stage.setup == NAMESPACES else {}
        return {"ipalias": {**owner, **data}}

    def state(
        self,
        server: Server,
        sls: str = "ipalias.dsr",
        pillar: Mapping[str, Any] | None = None,
        *words: str,
        must: bool = True,
    ) -> Run:
        """Run ``state.apply`` of one SLS on a server."""
        told = server.salt_call("state.apply", sls, *words, pillar=pillar)
        demand(isinstance(told, dict), f"state.apply {sls} did not run: {told}")
        failed = tuple(str(row["comment"]) for row in told.values() if row["result"] is False)
        changes = {row["__id__"]: row["changes"] for row in told.values() if row["changes"]}
        comment = "; ".join(str(row["comment"]) for row in told.values())
        if must:
            demand(not failed, f"state.apply {sls} failed: {shorten('; '.join(failed))}")
        return Run(failed, changes, comment)

    def apply(self, server: Server, *vips: Vip, **settings: Any) -> Run:
        """Bring these VIPs about by the pillar; none given, take them all away by it."""
        return self.state(server, pillar=self.pillar(*vips, **settings))

    def clean(self, server: Server) -> Run:
        """Take everything of DSR's away."""
        return self.state(server, "ipalias.dsr.clean")

    def call(self, server: Server, *words: str) -> Any:
        """Call a function; a refusal comes back as the text it is."""
        try:
            return server.salt_call(*words)
        except CommandFailed as error:
            return str(error)

    # -- who asks -----------------------------------------------------------------------

    def prober(self, period: float = PROBE_PERIOD) -> Prober:
        """Return another host that asks for every VIP, and now and then for real addresses."""
        nearby = {}
        for server in self.servers:
            nearby[server.primary] = mac_of(server.number)
            nearby[f"2001:db8::{server.number:x}"] = mac_of(server.number)
        peer = self.stage.peer
        own = (peer.primary, f"2001:db8::{peer.number:x}")
        return Prober(peer, own, [*FIRST, *SECOND], nearby, self.net.servers, period)

    def demand_silent(self, prober: Prober, when: str) -> str:
        """End a phase, and demand that nobody but the balancer has answered in it.

        :return: the phase and how many were asked.
        """
        heard = self.heard(prober)
        others = heard.by_others(self.balancer)
        demand(
            not others,
            f"answered by a real server, {when}: "
            + "; ".join(f"{address} {row}" for address, row in others.items()),
        )
        # The plain ones and those of a duplicate check: the direct ones go to the servers.
        plain = (heard.asked4 + heard.asked6) * 3 // (3 + len(self.servers))
        answered = heard.by(self.balancer)
        demand(answered > plain * 0.9, f"{when}: the balancer answered {answered} of {plain}")
        demand(heard.nearby, f"{when}: nobody answered for a real address either")
        return f"{when} {heard.asked4} ARP, {heard.asked6} ND"

    def heard(self, prober: Prober) -> Heard:
        """End a phase once it has asked often enough."""
        return prober.end(QUESTIONS)

    # -- what is there ------------------------------------------------------------------

    def demand_live(self, server: Server, *vips: Vip, when: str = "") -> None:
        """Demand that exactly these VIPs are live on lo, and none anywhere else."""
        want = {f"{vip.v4}/32" for vip in vips} | {f"{vip.v6}/128" for vip in vips}
        have = {str(found) for found in server.addresses("lo")} - {"127.0.0.1/8", "::1/128"}
        demand(not want - have, f"not on lo{when}: {', '.join(sorted(want - have))}")
        demand(not have - want, f"still on lo{when}: {', '.join(sorted(have - want))}")
        elsewhere = [
            f"{found.address} on {found.interface}"
            for found in server.addresses(None)
            if found.interface != "lo" and found.address in {*FIRST, *SECOND}
        ]
        demand(not elsewhere, f"a VIP is {', '.join(elsewhere)}")

    def close(self) -> None:
        """End the hosts; the segment is the stage's."""
        if self._net:
            self._net.close()
        for server in self.servers:
            server.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def effective(server: Server, name: str, interface: str = "eth0") -> int:
    """Return what counts on an interface: the larger of its own value and that of ``all``."""
    return max(int(live(server, name, part)) for part in ("all", interface))


def live(server: Server, name: str, part: str = "all") -> str:
    """Return one of IPv4's settings of an interface as the kernel holds it."""
    return read_sysctl(server, f"net/ipv4/conf/{part}/{name}")


def demand_settings(server: Server, interface: str = "eth0", when: str = "") -> None:
    """Demand that the host is silent on an interface."""
    found = {name: effective(server, name, interface) for name in (IGNORE, ANNOUNCE)}
    demand(found == {IGNORE: 1, ANNOUNCE: 2}, f"on {interface}{when}: {found}")


def sysctl_files(server: Server, folders: Sequence[str] = ("/etc/sysctl.d",)) -> dict[str, str]:
    """Return the files with settings, and what stands in them."""
    found = server.tree(*(folder for folder in folders if server.exists(folder)))
    texts = {path: text for path, (_, text) in found.items()}
    texts["/etc/sysctl.conf"] = server.read("/etc/sysctl.conf") or ""
    return texts
