"""Settings of Windows by hand: of an interface that is there, has gone, or never was."""

from __future__ import annotations

import pytest

from rig.plat import windows
from rig.simhost import SimHost
from rig.simsysctl import tuner
from saltext.ipalias.errors import InputError
from saltext.ipalias.tuning import Setting

METRIC, OTHER = "ipv4/eth0/metric", "ipv4/eth1/metric"


@pytest.fixture
def host() -> SimHost:
    return windows.host(links=("eth0", "eth1"))


@pytest.mark.parametrize("test", [True, False])
def test_an_interface_that_is_not_there_is_refused_by_its_name(host: SimHost, test: bool) -> None:
    before = host.state()
    with pytest.raises(InputError, match="there is no nope that could have ipv4/nope/metric"):
        tuner(host).present([Setting("ipv4/nope/metric", "10", "name")], test=test)
    assert host.state() == before


def test_one_that_has_gone_is_no_change(host: SimHost) -> None:
    tuner(host).present([Setting(METRIC, "10"), Setting(OTHER, "20")])
    del host.net.links["eth1"]
    for table in host.stored.values():
        table.pop("eth1", None)
    assert tuner(host).present([Setting(METRIC, "10")])["changes"] == {}
    assert tuner(host).absent(None)["changes"]["settings"] == {
        METRIC: {"old": "10", "new": "automatic"}
    }
    assert tuner(host).entries() == {}
