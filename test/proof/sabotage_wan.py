"""What is broken for each line of the multi-WAN proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

_FLUSHING = "        self._owed |= stranded - self._stranded\n"
_NOT_FLUSHING = "        self._owed |= frozenset()\n"
#: What the settings promise is computed too short.
_PROMISE = (
    "wan/bounds.py",
    "return calm + max(wanted + min(trip, wanted), burst) + max(step, quick) + hard + LOOP",
    "return min(calm, max(wanted, trip, burst), step, quick, hard, LOOP)",
)
#: The journal is written by who decides.
_WRITTEN_AT_ONCE = (
    "wan/writer.py",
    "            self._entries.append((path, text))\n",
    "            append(path, text)\n",
)


def plain(setup: str, what: str, *edits: tuple[str, str, str]) -> Sabotage:
    """Return a sabotage of a line that boots no host."""
    return broken("", setup, what, *edits)


def here(what: str, *edits: tuple[str, str, str]) -> Sabotage:
    """Return a sabotage of a line that has one combination, in namespaces."""
    return plain("namespaces", what, *edits)


SABOTAGES: dict[int, Sabotage] = {
    20: here(
        "probes carry no mark, and no rule asks for their source first",
        (
            "wan/probes.py",
            "Out(way.line.family, way.interface, link.index, mark, source)",
            "Out(way.line.family, way.interface, link.index, 0 and mark, source)",
        ),
    ),
    21: here(
        "a line that is back is watched as one that is down",
        (
            "wan/verdict.py",
            "        self.watch.turn(not up, now, cause in (LOSS, LATENCY))\n",
            "        _ = up or self.watch.turn(True, now, cause in (LOSS, LATENCY))\n",
        ),
    ),
    22: here(
        "with the last line the default route goes",
        ("wan/policy.py", "            elif before:\n", "            elif before and fresh:\n"),
    ),
    23: here(
        "a line is held down for a hundred times as long",
        (
            "wan/verdict.py",
            "self.hold_until = now + self.uplink.probe.hold_down",
            "self.hold_until = now + 100 * self.uplink.probe.hold_down",
        ),
    ),
    31: here(
        "flows are forgotten before the route is changed",
        (
            "wan/switch.py",
            "        changes = self._at_once(wanted)\n        done = self.reconcile()\n",
            "        self._flush()\n"
            "        __import__('time').sleep(0.1)\n"
            "        changes = self._at_once(wanted)\n        done = self.reconcile()\n",
        ),
    ),
    32: plain(
        "carrier",
        "that a carrier is back is not heard",
        (
            "wan/monitor.py",
            "events.append(Carrier(notice.interface, notice.carrier))",
            "events.append(Carrier(notice.interface, False))",
        ),
    ),
    33: here(
        "the main table is not asked before the default routes",
        (
            "wan/routes.py",
            "rules.append(Rule(family, first + SPECIFIC, TABLE_MAIN, protocol, suppress=0))",
            "pass",
        ),
    ),
    34: here(
        "the command by hand goes where any packet goes",
        (
            "wan/byhand.py",
            'return f"ping -n -c 1 -W {wait} -m {mark} -I {source} {host}{scope}"',
            'return f"ping -n -c 1 -W {wait} {host}{scope}"',
        ),
    ),
    35: here(
        "addresses are read once",
        ("wan/monitor.py", "            moved.add(notice.interface)\n", "            pass\n"),
    ),
    36: here(
        "the age of the last word is not counted",
        (
            "wan/status.py",
            '    age = max(0.0, now.boot - float(state.get("heartbeat", 0.0)))\n',
            "    age = 0.0\n",
        ),
    ),
    101: plain(
        "beyond the gateway, RTT 0",
        "the flows of a lost line are not forgotten",
        ("wan/switch.py", _FLUSHING, _NOT_FLUSHING),
    ),
    102: plain("beyond", "what the settings promise is computed too short", _PROMISE),
    103: plain(
        "fast",
        "the kernel's word of a carrier is not heard",
        ("wan/policy.py", "state.set_carrier(event.up, now)", "pass"),
    ),
    104: plain(
        "10% lost, RTT 30 ms",
        "a second miss in a row is taken for proof",
        (
            "wan/silence.py",
            "            span >= required + self._extra(required)\n"
            "            and sum(sent.asked.loss.weight() for sent in expired) >= EVIDENCE\n"
            "            and len(shown) >= min(BREADTH, len(members))\n",
            "            len(expired) > 1\n            and (required, span, shown)\n",
        ),
    ),
    105: plain(
        "10 %",
        "bursts of loss are not learnt from",
        (
            "wan/estimate.py",
            "        self._learnt = min(max(self.least, needed), self.most)\n",
            "        self._learnt = min(self.least, needed)\n",
        ),
    ),
    106: plain(
        "pytest",
        "twice of what is ridden through is promised",
        (
            "wan/bounds.py",
            "    return probe.silence.least if probe.confirm else",
            "    return 2 * probe.silence.least if probe.confirm else",
        ),
    ),
    110: plain(
        "keepalived, interval 1, fall 2",
        "what the settings promise is computed too short",
        _PROMISE,
    ),
    111: plain(
        "the guide's loop, 30 s", "what the settings promise is computed too short", _PROMISE
    ),
    201: here(
        "each line of a group weighs the same",
        ("wan/rtnl.py", "_MEMBER.pack(ident, weight - 1, 0, 0)", "_MEMBER.pack(ident, 0, 0, 0)"),
    ),
    202: here(
        "a flow's line is not looked up for its next packet",
        (
            "wan/nat.py",
            'f"iifname {outside} return", *copied]',
            'f"iifname {outside} return", *copied[:0]]',
        ),
    ),
    301: here(
        "no rule leads from a line's source to its table",
        (
            "wan/routes.py",
            "            rules.append(Rule(family, first + SOURCES, table, protocol, own))\n",
            "            pass\n",
        ),
    ),
    302: here(
        "probes are bound to the line's interface",
        (
            "wan/echoes.py",
            "pktinfo4(out.source))",
            'struct.pack("=i", out.ifindex) + pktinfo4(out.source)[4:])',
        ),
    ),
    501: broken(
        "trixie",
        "networkd",
        "what somebody takes away is not brought back",
        (
            "wan/acting.py",
            "            self._reconcile_at = max(now, self._last + self._pause)\n",
            "            pass\n",
        ),
        ("wan/acting.py", "CALM = 30.0", "CALM = 3000.0"),
    ),
    601: here(
        "silence is counted by the clock, whether anybody has asked or not",
        (
            "wan/silence.py",
            "        self._seen, self._stalls = now, stalls\n        due = self._deadlines",
            "        self._seen, self._stalls = now, stalls\n"
            "        if not self.down and now - self.last_heard > 10 * self.probe.silence.least:\n"
            "            self.why = 'no answer'\n"
            "        due = self._deadlines",
        ),
    ),
    602: here("what the settings promise is computed too short", _PROMISE),
    603: here("who decides writes the journal as well", _WRITTEN_AT_ONCE),
    604: here("who decides writes the journal as well", _WRITTEN_AT_ONCE),
    605: here(
        "names are looked up by the C library",
        (
            "wan/probes.py",
            "        return self.names.find(way, probe.target.host, self._starter(pending))\n",
            "        import socket\n"
            "        try:\n"
            "            socket.getaddrinfo(probe.target.host, 80)\n"
            "        except OSError:\n"
            "            pass\n"
            "        return self.names.find(way, probe.target.host, self._starter(pending))\n",
        ),
    ),
    701: plain(
        "pytest",
        "no line is held down",
        ("wan/verdict.py", "        if now < self.hold_until or cause", "        if cause"),
    ),
    702: plain(
        "pytest",
        "the last tier carries",
        ("wan/policy.py", "tier = min(s.uplink.tier", "tier = max(s.uplink.tier"),
    ),
    703: plain(
        "pytest",
        "a group is made anew for each switch",
        (
            "wan/routes.py",
            "            return old.resilient != new.resilient\n",
            "            return True\n",
        ),
    ),
    24: plain(
        "pytest",
        "that a transition was acted on is not looked up",
        (
            "wan/delivery.py",
            "        _write(path, render_acted(store))\n    return new\n",
            "        _write(path, render_acted(store))\n    return bool(path)\n",
        ),
    ),
    401: plain(
        "fleet",
        "what has been sent once counts as received",
        (
            "wan/delivery.py",
            "    oldest, rest = owed[:limit], owed[limit:]\n",
            "    oldest, rest = owed[:limit], owed[limit:]\n"
            "    note_received(places, [entry.ident for entry in oldest])\n",
        ),
    ),
    902: plain(
        "engine",
        "nothing is left to a reaction, and the monitor does it when its time is over",
        ("wan/reaction.py", "    if data is None:\n", "    if data is None or True:\n"),
    ),
    901: plain(
        "reactor",
        "reactions do nothing",
        (
            "wan/reaction.py",
            "if config is None or config.react != EVENT:",
            "if config is None or config.react == EVENT:",
        ),
    ),
    1001: plain(
        "openbsd",
        "the kernel is not told to use several routes",
        (
            "wan/openbsd.py",
            'found = [(f"{name}.multipath", "1") for name in ("net.inet.ip", "net.inet6.ip6")]',
            "found: list[tuple[str, str]] = []",
        ),
    ),
    1002: plain(
        "pytest",
        "the last line that is lost takes its route with it",
        (
            "wan/ifstated.py",
            "if carries and w.line not in carries]",
            "if w.line not in carries]",
        ),
    ),
}
