"""The line in user space and the stream: what they measure is what there is."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from rig.wan_delay import Loss
from rig.wan_lab import Heard, Lab, clock
from rig.wanhosts import GATEWAYS, SERVER

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(delays=True) as made:
        for name, gateway in GATEWAYS.items():
            made.router.ip("route", "add", f"203.0.113.10{int(name[-1]) - 1}/32", "via", gateway)
        made.router.run(["nft", "-f", "-"], _MASQUERADE)
        yield made


_MASQUERADE = """
table ip lab { chain post { type nat hook postrouting priority 100; oifname "wan1" masquerade; } }
"""


def stream(lab: Lab, seconds: float) -> Heard:
    lab.start_stream(address=SERVER)
    lab.sleep_until(clock() + seconds)
    return lab.stop_stream()["udp0"]


def test_a_round_trip_takes_as_long_as_was_said_and_packets_overtake(lab: Lab) -> None:
    lab.tune("wan1", delay=0.1, jitter=0.04, loss=0.0, burst=0.0, seed=1)
    heard = stream(lab, 1.5)
    trips = [at - heard.sent[number] for number, (at, _) in heard.back.items()]
    # The line itself is never quicker than it was told to be.
    assert len(trips) > 50 and min(trips) >= 0.06
    order = [number for number, _ in sorted(heard.back.items(), key=lambda row: row[1][0])]
    assert order != sorted(order)


def test_a_cut_line_delivers_nothing_and_a_mended_one_does(lab: Lab) -> None:
    lab.tune("wan1", delay=0.0, jitter=0.0, loss=0.0, burst=0.0, seed=1)
    lab.start_stream(address=SERVER)
    lab.sleep_until(clock() + 0.3)
    cut = lab.tune("wan1", cut=True)
    lab.sleep_until(clock() + 0.4)
    mended = lab.tune("wan1", cut=False)
    lab.sleep_until(clock() + 0.3)
    heard = lab.stop_stream()["udp0"]
    within = [n for n, at in enumerate(heard.sent) if cut < at < mended - 0.05]
    assert within and not any(number in heard.back for number in within)
    assert heard.first_back(mended)
    assert 0.3 < heard.outage(cut) < float("inf")


@pytest.mark.parametrize("burst", [0.0, 0.02, 0.05, 0.1])
def test_loss_has_the_share_and_the_length_that_were_said(burst: float) -> None:
    rng, share = random.Random(3), 0.1
    loss = Loss(share, burst, 7, 0.0)
    at, lost, spans, row = 0.0, 0, [], 0
    count = 200_000
    for _ in range(count):
        at += rng.uniform(0.0005, 0.0015)
        # A round trip: there and back.
        gone = loss.lost(at) | (loss.lost(at) if not burst else False)
        lost += gone
        if gone:
            row += 1
        elif row:
            spans.append(row * 0.001)
            row = 0
    assert abs(lost / count - share) < 0.03
    if burst:
        assert abs(sum(spans) / len(spans) / burst - 1) < 0.3
