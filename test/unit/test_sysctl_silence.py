"""Settings that keep a host silent under a VIP, after their ledger was lost: none goes unasked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rig.plat import openbsd
from rig.simdsr import VIPS, block, dsr, host_of, loud
from rig.simengine import engine
from rig.simhost import STATE, SimHost
from rig.simserver import VIP, picture
from rig.simserver import dsr as server
from rig.simserver import tuner as operator
from rig.simsysctl import LEDGER, Systemctl, managed, tuner
from saltext.ipalias import upkeep
from saltext.ipalias.errors import RefusedError
from saltext.ipalias.restore import restore
from saltext.ipalias.tuning import Setting

V4 = VIPS[0]
IGNORE, ETH1 = "net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.eth1.arp_ignore"
CONF = "/etc/sysctl.conf"


@pytest.fixture
def host() -> SimHost:
    """Return a real server that no longer knows who wanted its settings."""
    host = host_of("networkd")
    host.programs["systemctl"] = Systemctl(host)
    dsr(host, block(V4)).managed()
    host.files.unlink(LEDGER)
    return host


@pytest.mark.parametrize("aliases", ["known", "lost"])
@pytest.mark.parametrize(
    "request_of",
    [
        managed({IGNORE: 0}),
        managed({ETH1: 3}),
        lambda host: tuner(host).absent([IGNORE]),
        lambda host: tuner(host).clean(),
    ],
    ids=["changed", "louder beside", "absent", "clean"],
)
def test_what_silences_stays(
    host: SimHost, request_of: Callable[[SimHost], object], aliases: str
) -> None:
    if aliases == "lost":
        host.files.unlink(f"{STATE}/ledger.json")
    before = host.state()
    with pytest.raises(RefusedError, match=V4):
        request_of(host)
    assert host.state() == before and loud(host) == []


def test_what_never_silenced_may_be_changed(host: SimHost) -> None:
    managed({"net.core.somaxconn": 8192})(host)
    host.files.unlink(LEDGER)
    managed({"net.core.somaxconn": 512})(host)
    assert host.proc.values["net/core/somaxconn"] == "512" and loud(host) == []


def test_the_change_that_silenced_is_not_rolled_back(host: SimHost) -> None:
    host.proc.values["net/ipv4/conf/all/arp_ignore"] = "0"
    dsr(host, block(V4)).managed()
    host.files.unlink(LEDGER)
    before = host.state()
    with pytest.raises(RefusedError, match=V4):
        upkeep.rollback(engine(host))
    assert host.state() == before and loud(host) == []


@pytest.mark.parametrize("ledgers", [[], [LEDGER.rpartition("/")[2]]], ids=["known", "lost"])
def test_an_original_that_lacks_them_is_not_put_back(ledgers: list[str]) -> None:
    host = openbsd.host()
    host.files.put(CONF, "net.inet.ip.ttl=64\n")
    operator(host).present([Setting("kern.somaxconn", "256")])
    real = server(host, VIP, forwarding=True)
    real.managed()
    state = real.engine.paths.state
    for name in ledgers:
        host.files.unlink(f"{state}/{name}")
    before = picture(host)
    with pytest.raises(RefusedError, match=VIP):
        restore(real.engine, CONF)
    assert picture(host) == before
