"""What is broken for each line of the DSR proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

#: On removal the settings are given up before the VIPs go.
_SETTINGS_FIRST = (
    "dsrsteps.py",
    "        ours = held(ledger)\n",
    "        self._give_up(list(self.tuning.wanted()), test)\n        ours = held(ledger)\n",
)
#: Whether the host is silent is not looked at before a VIP is added.
_NOT_LOOKED = (
    "dsrsteps.py",
    "            if loud:\n                raise VerifyError(",
    "            if loud and not loud:\n                raise VerifyError(",
)

SABOTAGES: dict[int, Sabotage] = {
    19: broken(
        "trixie",
        "networkd",
        "no boot starts the listener",
        ("sysctl/service.py", "Wants={NAME}.service", "Documentation=man:systemd.unit(5)"),
    ),
    101: broken(
        "",
        "namespaces",
        "every change begins by taking all VIPs away",
        (
            "dsrsteps.py",
            '            self._run("prepared", commands, test)\n',
            "            self._remove(config, None, test)\n"
            '            self._run("prepared", commands, test)\n',
        ),
    ),
    201: broken(
        "",
        "namespaces",
        "the VIPs come first, the settings second",
        (
            "dsrsteps.py",
            "            silenced = self.tuning.present(wishes, vips, config.where, test)\n",
            "            self._add_vips(config, whole, carrier)\n"
            "            silenced = self.tuning.present(wishes, vips, config.where, test)\n",
        ),
        _NOT_LOOKED,
    ),
    202: broken(
        "",
        "namespaces",
        "what the ledger of settings has is taken to be live",
        (
            "sysctl/plan.py",
            "        if differs(now[key], target, stored=store.STORED)\n",
            "        if key not in after or key not in before\n",
        ),
        _NOT_LOOKED,
    ),
    203: broken(
        "",
        "namespaces",
        "on removal the settings are given up first",
        _SETTINGS_FIRST,
    ),
    204: broken(
        "",
        "networkmanager",
        "on removal the settings are given up first",
        _SETTINGS_FIRST,
    ),
    205: broken(
        "",
        "namespaces",
        "settings are given up whether they keep a host silent or not",
        ("vips.py", "    if vips and first is not None:\n", "    if vips and first is None:\n"),
    ),
    301: broken(
        "trixie",
        "ifupdown",
        "the file with the settings is not written",
        ("sysctl/plan.py", "        (*ours, *units),\n", "        tuple(units),\n"),
    ),
    302: broken(
        "bookworm",
        "networkd",
        "the listener does not hear of interfaces that come",
        ("sysctl/listener.py", "channel.bind((0, GROUP))", "channel.bind((0, 0))"),
    ),
    303: broken(
        "trixie",
        "networkd",
        "the whole host is said to be silenced, and eth0 alone is",
        (
            "silence/linux.py",
            'return ["all"] if config.scope == SCOPE_ALL else list(config.interfaces)',
            "return list(config.interfaces)",
        ),
    ),
    401: broken(
        "",
        "freebsd",
        "what drops the traffic for lo0 is left as it is",
        (
            "silence/freebsd.py",
            'return [(key, "0") for key in keys(config, snapshot) if values.get(key) is not None]',
            'return [(key, "0") for key in (PROXY,) if values.get(key) is not None]',
        ),
    ),
    402: broken(
        "",
        "windows",
        "the loopback adapter is not told to send what is not its own",
        (
            "silence/windows.py",
            '        yield f"{kind}/{name}/weakhostsend", _ON\n',
            "",
        ),
    ),
    501: broken(
        "trixie",
        "networkd",
        "our file sorts before those of others, and nobody looks who wins",
        (
            "sysctl/files.py",
            'OURS = "/etc/sysctl.d/zz-ipalias.conf"',
            'OURS = "/etc/sysctl.d/00-ipalias.conf"',
        ),
        ("sysctl/plan.py", "    if same_value(then.value, value):\n", "    if value:\n"),
    ),
    502: broken(
        "",
        "namespaces",
        "the value found before is not kept",
        (
            "sysctl/plan.py",
            "return replace(entry, found=store.read_values(host, [key])[key], beside=beside)",
            "return replace(entry, beside=beside)",
        ),
    ),
    503: broken(
        "",
        "namespaces",
        "files are written whether they differ or not",
        ("sysctl/plan.py", "if text != file.text}", "if file.text is not None}"),
    ),
    504: broken(
        "",
        "namespaces",
        "test=True is not asked for before the change is made",
        ("request.py", "        elif change is not None:\n", "        if change is not None:\n"),
    ),
    601: broken(
        "",
        "namespaces",
        "a VIP may be a whole subnet",
        ("dsr.py", "    if prefix != longest:\n", "    if prefix > longest:\n"),
    ),
    602: broken(
        "",
        "namespaces",
        "what an interface's settings are is not asked for",
        (
            "silence/linux.py",
            "            if str(value) not in silent:\n",
            "            if str(value) in silent:\n                continue\n"
            "            if value > 2:\n",
        ),
    ),
}
