"""What is broken for each line of the platforms' proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

SABOTAGES: dict[int, Sabotage] = {
    1: broken(
        "",
        "netifrc",
        "nothing is removed from the kernel",
        ("plan.py", "return tuple(situation.live[cidr] for cidr in going)", "return ()"),
    ),
    2: broken(
        "",
        "freebsd",
        "what is in the files is taken to be live",
        (
            "report.py",
            'live_missing = live_wanted and not row["live"]',
            "live_missing = False",
        ),
    ),
    3: broken(
        "",
        "openbsd",
        "a thousand aliases and no more are written",
        (
            "plan.py",
            "aliases = tuple(entry.alias for entry in entries if entry.file)",
            "aliases = tuple(entry.alias for entry in entries if entry.file)[:1000]",
        ),
    ),
    4: broken(
        "",
        "ifcfg_rh",
        "of a name that is assigned twice the first value counts",
        (
            "text/shellvars.py",
            "return self._found[name][-1][0] if name in self._found else None",
            "return self._found[name][0][0] if name in self._found else None",
        ),
    ),
    5: broken(
        "",
        "ipadm",
        "a store of commands is not put back",
        (
            "recover.py",
            "STORED:\n            yield from attempt(activation.up, problems)",
            "STORED:\n            yield from attempt((), problems)",
        ),
    ),
    6: broken(
        "",
        "freebsd",
        "an address is added by a word that ifconfig does not know",
        ("live/bsd.py", '*words, "alias")', '*words, "add")'),
    ),
    8: broken(
        "",
        "windows",
        "test=True says that all is as wanted",
        ("surroundings.py", 'answer["result"] = None if todo else True', 'answer["result"] = True'),
    ),
    9: broken(
        "",
        "every system",
        "the job comes after FreeBSD's network",
        ("bootunit.py", "# BEFORE: netif", "# REQUIRE: netif"),
    ),
}
