"""Hold a real server against what it should be: settings, VIPs, and what hinders the traffic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from . import dsrfirewall, silence
from .dsr import DSR, DsrConfig
from .dsrrefusals import refuse_interfaces
from .dsrsteps import Dsr, boot_values
from .errors import InputError
from .host import SYSTEMS, Host
from .live import Snapshot
from .model import MAX_PREFIX
from .procnet import parse_address
from .request import Answer
from .values import parse_int, short
from .vips import held

#: Kernel tables of sockets, proc_net_tcp(5), and the state of one that waits for peers: a TCP
#: listener, an unconnected UDP socket.
_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
#: An id as a minion can have one, without what Salt would take for a pattern.
_MINION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}")
#: Longest comment of a prober that is told.
_LONGEST = 2000


def check(dsr: Dsr) -> Answer:
    """Return what is as it should be and what is not, as plain data and as a comment.

    :return: ``result`` (False where the host would answer for a VIP or lacks one), ``vips``,
        ``settings``, ``faults``, ``remarks``, ``firewall``, ``services``, ``comment``.
    :raises InputError: no VIP in the pillar, or one that cannot be meant.
    """
    config = _config(dsr)
    host, snapshot = dsr.engine.host, dsr.engine.snapshot()
    carrier = dsr.system.loopback(config, snapshot)
    refuse_interfaces(config, snapshot, carrier)
    keys = dsr.system.keys(config, snapshot)
    rows = dsr.tuning.rows(keys)
    now = {row["key"]: row["live"] for row in rows}
    boot = boot_values(rows)
    vips, faults = _vips(dsr, config, carrier, snapshot)
    faults += dsr.system.faults(config, snapshot, now)
    faults += [f"after a boot: {one}" for one in dsr.system.faults(config, snapshot, boot)]
    remarks = dsr.system.remarks(config, host, snapshot, now)
    firewall: Answer = {"looked_at": [], "found": []}
    services: list[Answer] = []
    if host.system == "linux":
        looked, found = dsrfirewall.look(host, config.addresses)
        firewall = {"looked_at": looked, "found": found}
        services = read_services(host, config.addresses)
        unserved = {*config.addresses} - {one["address"] for one in services}
        remarks += [f"no service waits for what is sent to {vip}" for vip in sorted(unserved)]
    else:
        remarks.append(f"firewall and services were not looked at: this is {SYSTEMS[host.system]}")
    if host.system == "linux" and not firewall["looked_at"]:
        remarks.append("no packet filter was looked at: neither nft nor iptables-save answered")
    said = [*faults, *remarks, *firewall["found"]]
    head = f"{len(vips)} VIPs on {carrier}, silent, live and after a boot"
    return {
        "result": not faults,
        "interface": carrier,
        "vips": vips,
        # A system has other names for the same, by release.
        "settings": [_row(row) for row in rows if row["live"] is not None or row["sources"]],
        "faults": faults,
        "remarks": remarks,
        "firewall": firewall,
        "services": services,
        "comment": "; ".join([*([] if faults else [head]), *said]),
    }


def _config(dsr: Dsr) -> DsrConfig:
    config = dsr.config()
    if not config.vips:
        listed = [vip for found in held(dsr.engine.ledger()).values() for vip in found]
        there = f"; {', '.join(listed[:5])} is still there of an earlier one" if listed else ""
        # By hand a minion answers with the pillar that it keeps, which a state run leaves alone.
        raise InputError(
            f"no VIP is asked for{there}",
            where=f"{config.where}:vips",
            way_out="list them there, or run `saltutil.refresh_pillar` where they are listed",
        )
    return config


def _row(row: Mapping[str, Any]) -> Answer:
    """Return a setting for the answer: what is live, what a boot makes of it, who says so."""
    return {key: row[key] for key in ("key", "live", "after_boot", "winner", "sources")}


def _vips(
    dsr: Dsr, config: DsrConfig, carrier: str, snapshot: Snapshot
) -> tuple[list[Answer], list[str]]:
    """Return a row for each VIP, and what is wrong with them."""
    ledger = dsr.engine.ledger()
    block = dsr.engine.settings_of(carrier, dsr.engine.config(), ledger)
    situation = dsr.engine.situation(carrier, block, ledger, snapshot)
    files = {found.alias.address: found for found in situation.found}
    rows: list[Answer] = []
    faults: list[str] = []
    for vip in config.vips:
        live = [address for address in snapshot.addresses if address.address == vip.address]
        entry = ledger.on(carrier).get(vip.cidr)
        found = files.get(vip.address)
        rows.append(
            {
                "address": vip.address,
                "live": [f"{address.cidr} on {address.interface}" for address in live],
                "label": next((address.label for address in live if address.label), None),
                "scope": next((address.scope for address in live), None),
                "file": found.where if found is not None else None,
                "carried_by": situation.backend.NAME,
                "ours": entry is not None and entry.origin == DSR,
            }
        )
        longest = MAX_PREFIX[vip.family]
        if not any(address.interface == carrier for address in live):
            faults.append(f"{vip.address} is not live on {carrier}")
        if found is None:
            faults.append(f"{vip.address} is in no file: it is gone after a boot")
        for address in live:
            if address.interface != carrier:
                faults.append(f"{vip.address} is live on {address.interface}, which answers for it")
            elif address.prefix != longest:
                faults.append(f"{vip.address} is live as {address.cidr}, not /{longest}")
    return rows, faults


def read_services(host: Host, vips: Sequence[str]) -> list[Answer]:
    """Return what waits for packets that are sent to a VIP, on its own or on any address."""
    rows: list[Answer] = []
    for table, state in _TABLES.items():
        for line in (host.read(f"/proc/net/{table}") or "").splitlines()[1:]:
            words = line.split()
            if len(words) < 4 or words[3] != state:
                continue
            digits, _, port = words[1].rpartition(":")
            bound = parse_address(digits)
            for vip in vips:
                # A socket on :: takes IPv4 as well, unless it was told not to.
                any_of = ("::",) if ":" in vip else ("0.0.0.0", "::")
                if bound == vip or bound in any_of:
                    rows.append(
                        {
                            "address": vip,
                            "protocol": table.rstrip("6"),
                            "port": int(port, 16),
                            "bound": bound,
                        }
                    )
    unique = {tuple(row.values()): row for row in rows}
    return list(unique.values())


# What a prober is asked, and what it said


def probe_words(dsr: Dsr) -> list[str]:
    """Return the arguments of `ipalias_dsr.probe` for another host of the segment.

    :raises InputError: no VIP, or no address of this host's own to ask for.
    """
    config = _config(dsr)
    snapshot = dsr.engine.snapshot()
    carrier = dsr.system.loopback(config, snapshot)
    names = silence.receiving(config, snapshot, carrier)
    # An alias may be another host's tomorrow: it tells nothing of this one.
    aliases = {
        e.alias.address for on in dsr.engine.ledger().interfaces.values() for e in on.values()
    }
    real: dict[int, str] = {}
    for name in names:
        for live in snapshot.on(name):
            usual = live.scope in ("global", "site") and not live.flags & {"temporary"}
            if usual and live.address not in {*config.addresses, *aliases}:
                real.setdefault(live.family, live.address)
    if not real:
        raise InputError(
            f"{', '.join(names) or 'no interface'} has no address to compare with",
            where=f"{config.where}:interfaces",
            way_out="name the interface that receives from the balancer",
        )
    # With dashes: YAML would take 12:34:56:12:34:56 for a number.
    macs = [snapshot.by_link[name].mac.replace(":", "-") for name in names]
    return [",".join(config.addresses), "", ",".join(real.values()), ",".join(macs)]


def parse_prober(prober: object, timeout: object) -> tuple[str, int]:
    """Read whom to ask, and for how many seconds to wait.

    :raises InputError: not the id of one minion (a pattern would have many ask at once).
    """
    if not isinstance(prober, str) or _MINION.fullmatch(prober) is None:
        raise InputError(
            f"{short(prober)} is not the id of a minion",
            where="prober",
            way_out="give the id of one that is on the segment, as `salt-key -L` shows it",
        )
    return prober, parse_int(timeout, "timeout", 1, 600)


def with_probe(answer: Answer, prober: str, words: Sequence[str], said: object) -> Answer:
    """Return a check's answer with what the prober said.

    :param said: what the publish module returned: the answer by minion, or nothing. What comes
        from another host is believed in this one form alone.
    """
    told = said.get(prober) if isinstance(said, Mapping) else None
    if _is_answer(told):
        probed: Answer = {**told, "comment": told["comment"][:_LONGEST]}
    else:
        why = f"it said: {str(told)[:300]!a}" if told else "no answer came"
        vips, _, real, macs = words
        line = f"salt {prober} ipalias_dsr.probe {vips} real={real} macs={macs}"
        fault = (
            f"{prober} could not be asked ({why}): the master's `peer` configuration has to let "
            f"this minion run ipalias_dsr.probe there, or run `{line}` on the master"
        )
        probed = {"result": False, "comment": fault}
    told_by = (
        probed["comment"]
        if probed["comment"].startswith(prober)
        else f"{prober}: {probed['comment']}"
    )
    faults = [] if probed["result"] else [told_by]
    comment = answer["comment"] if faults else f"{answer['comment']}; {told_by}"
    return {
        **answer,
        "result": answer["result"] and not faults,
        "prober": probed,
        "faults": [*answer["faults"], *faults],
        "comment": "; ".join([comment, *faults]),
    }


def _is_answer(told: object) -> TypeGuard[Mapping[str, Any]]:
    """Tell whether this is what `ipalias_dsr.probe` answers with."""
    return (
        isinstance(told, Mapping)
        and isinstance(told.get("result"), bool)
        and isinstance(told.get("comment"), str)
        and told["comment"].isprintable()
    )
