"""What a reboot leaves: every alias, every label, every source policy, and nothing after clean."""

from __future__ import annotations

from typing import Any

from proof.registry import cases, check, demand
from proof.stage import LABELS, SOURCE4, SOURCE6, Stage, changed
from rig.setups import GATEWAYS

#: Where `renew_primary` leads a route without a gateway: there the kernel takes the first
#: address that it may, and after the primary came back an alias is the first.
BARE = "203.0.113.252/30"
#: Off-link, on-link, in the subnet of an alias, and by that route.
TARGETS = {
    4: ("203.0.113.200", GATEWAYS[0], "198.51.100.200", "203.0.113.253"),
    6: ("2001:db8:ffff::1", GATEWAYS[1], "2001:db8:1::200"),
}


def wishes(setup: str) -> dict[str, Any]:
    """Return pillar items by address and prefix: all that a set-up can express."""
    items: dict[str, Any] = {}
    # These first: what the kernel takes where it does not mind is the first one.
    never = {"source": "never"}
    if setup in SOURCE4:
        items["198.51.100.11/24"] = {"address": "198.51.100.11/24", **never}
        items["198.51.100.240/32"] = {"address": "198.51.100.240/32", **never}
    if setup in SOURCE6:
        items["2001:db8:1::10/64"] = {"address": "2001:db8:1::10/64", **never}
        items["2001:db8:1::11/128"] = {"address": "2001:db8:1::11/128", **never}
    items["203.0.113.10/32"] = "203.0.113.10"
    items["203.0.113.11/25"] = "203.0.113.11/25"
    items["2001:db8:3::10/128"] = "2001:db8:3::10"
    if setup in LABELS:
        items["203.0.113.12/32"] = {"address": "203.0.113.12", "label": "eth0:vip"}
    # 203.0.113.200 must be off-link where the source of such a target is asked for.
    if setup in SOURCE4:
        del items["203.0.113.11/25"]
    return items


def demand_there(stage: Stage, when: str) -> None:
    """Demand every alias with its label, and that none is a source that must not be."""
    items = wishes(stage.setup)
    stage.demand_live(*items, when=when)
    found = {str(address): address for address in stage.host.addresses()}
    for cidr, item in items.items():
        if isinstance(item, dict) and "label" in item:
            label = found[cidr].label
            demand(label == item["label"], f"{cidr} has the label {label}{when}")
    never = {
        cidr.partition("/")[0]
        for cidr, item in items.items()
        if isinstance(item, dict) and item.get("source") == "never"
    }
    for family in (4, 6):
        if not any((":" in address) == (family == 6) for address in never):
            continue
        for target in TARGETS[family]:
            source = stage.host.source(target)
            demand(source not in never, f"{source} is the source towards {target}{when}")


def renew_primary(stage: Stage) -> None:
    """Delete the host's own addresses and give them again, the default routes with them."""
    host = stage.host
    for cidr, gateway, family in zip(stage.own, GATEWAYS, ("-4", "-6"), strict=True):
        host.ip("address", "del", cidr, "dev", "eth0")
        host.ip("address", "add", cidr, "dev", "eth0")
        host.await_addresses(cidr)
        host.ip(family, "route", "replace", "default", "via", gateway, "dev", "eth0")
    host.ip("route", "replace", BARE, "dev", "eth0")


@check(30, "after a reboot every alias is back, labels and sources as asked")
def back_after_reboot(stage: Stage) -> str:
    """Aliases of both families, labels, and ``source: never`` hold over a reboot.

    Asked after the run, after the primary was deleted and added again, after a reboot, and
    after deleting and adding it again then.
    """
    items = wishes(stage.setup)
    stage.apply(*items.values())
    demand_there(stage, "")
    renew_primary(stage)
    demand_there(stage, " after the primary was deleted and added")
    stage.host.reboot()
    stage.host.await_addresses(*items, timeout=20)
    demand_there(stage, " after the reboot")
    renew_primary(stage)
    demand_there(stage, " after the reboot and the primary deleted and added")
    again = stage.state()
    demand(not again.changes, f"the run after the reboot changed {again.changes}")
    return f"{len(items)} aliases"


@check(31, "after clean and a reboot, none")
def none_after_clean(stage: Stage) -> None:
    """``ipalias.clean`` takes everything away, and a reboot brings nothing back."""
    before = stage.config()
    stage.apply("203.0.113.10", "203.0.113.11/25", "2001:db8:3::10")
    demand(stage.call("ipalias.add", "203.0.113.12")["result"], "ipalias.add failed")
    stage.state("ipalias.clean")
    stage.demand_live(when=" after clean")
    left = changed(before, stage.config())
    demand(not left, f"not as before: {', '.join(left)}")
    demand(not stage.ledger(), f"the ledger still has {stage.ledger()}")
    stage.host.reboot()
    stage.demand_live(when=" after clean and a reboot")


REFUSED = {
    "netplan_networkd": [{"address": "203.0.113.10/32", "source": "never"}],
    "netplan_nm": [
        {"address": "203.0.113.10/32", "source": "never"},
        {"address": "203.0.113.10", "label": "vip"},
        {"address": "2001:db8:3::10", "source": "never"},
    ],
    "networkmanager": [
        {"address": "203.0.113.10/32", "source": "never"},
        {"address": "203.0.113.10", "label": "vip"},
        {"address": "2001:db8:3::10", "source": "never"},
    ],
}


@check(35, "what a dialect cannot keep is refused, nothing written", over=cases(tuple(REFUSED)))
def refused(stage: Stage) -> str:
    """A label or source policy the files cannot hold fails with its reason, and changes nothing."""
    before = stage.config()
    for item in REFUSED[stage.setup]:
        run = stage.apply("203.0.113.77", item, must=False)
        demand(run.failed, f"{item} was taken")
        named = item["address"].partition("/")[0] in run.failed[0]
        demand(named and "way out" not in run.failed[0], f"the reason: {run.failed[0][:200]}")
        demand(not run.changes, f"refused, yet changed {run.changes}")
        stage.demand_live()
    demand(not changed(before, stage.config()), "refused, yet a file changed")
    return f"{len(REFUSED[stage.setup])} refusals"
