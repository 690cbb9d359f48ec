"""Break the product, not the check: a copy of the checkout with one mechanism taken out.

A line of the proof that cannot turn to FAIL shows nothing. For each there is a small edit of
the library here that must apply exactly once, or the sabotage itself is an error.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proof.registry import Case
from rig.netns import CHECKOUT

LIBRARY = "_utils/saltext/ipalias"
#: What a host, and the property tests, need of a checkout.
PARTS = (
    "_utils",
    "_modules",
    "_states",
    "_beacons",
    "ipalias",
    "docs",
    "test",
    "pyproject.toml",
    "conftest.py",
    "pillar.example",
)


class SabotageError(Exception):
    """Raise where an edit does not fit the library any more."""


@dataclass(frozen=True)
class Edit:
    """Hold one replacement in a file of the library.

    :param old: text that stands there exactly once.
    """

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Sabotage:
    """Hold what is broken for one line, and where that is tried.

    :param what: the mechanism taken out, in words.
    """

    case: Case
    what: str
    edits: tuple[Edit, ...]


def broken(suite: str, setup: str, what: str, *edits: tuple[str, str, str]) -> Sabotage:
    """Return a sabotage; each edit is (file of the library, old text, new text)."""
    return Sabotage(Case(suite, setup), what, tuple(Edit(*edit) for edit in edits))


_MISSING = "missing = tuple(alias for alias, _ in live_wanted if alias.cidr not in situation.live)"
_NO_REMOVAL = (
    "plan.py",
    "return tuple(situation.live[cidr] for cidr in going)",
    "return ()",
)
_NO_FILE = (
    ("transaction.py", "yield from put_files(plan.files, images)", "pass"),
    ("transaction.py", "check_files(plan, backend.parse(host, plan.situation.evidence))", "pass"),
)

SABOTAGES: dict[int, Sabotage] = {
    1: broken(
        "bookworm",
        "networkd",
        "the batch holds the first alias only",
        (
            "livewrite.py",
            "*ops.add_ops([*again, *missing], current, take=_owner_adds(plan)),",
            "*ops.add_ops([*again, *missing][:1], current, take=_owner_adds(plan)),",
        ),
    ),
    2: broken(
        "trixie",
        "networkd",
        "live aliases are compared without their prefix",
        (
            "plan.py",
            _MISSING,
            "missing = tuple(a for a, _ in live_wanted if a.address not in situation.live)",
        ),
    ),
    3: broken(
        "trixie",
        "netplan_networkd",
        "what the ledger has is taken to be live",
        (
            "plan.py",
            _MISSING,
            "missing = tuple(a for a, _ in live_wanted if a.cidr not in situation.entries)",
        ),
    ),
    5: broken("bookworm", "networkd", "nothing is removed from the kernel", _NO_REMOVAL),
    6: broken(
        "trixie",
        "networkmanager",
        "the edited file is tidied up",
        ("backends/networkmanager.py", "document.text(), 0o600", "TIDY, 0o600"),
        (
            "backends/networkmanager.py",
            "    return [File(evidence.file, TIDY",
            '    TIDY = document.text().replace("\\n\\n", "\\n")\n'
            "    return [File(evidence.file, TIDY",
        ),
    ),
    7: broken(
        "bookworm",
        "ifupdown",
        "options are written again in one style",
        (
            "backends/ifupdown.py",
            "files.append(File(path, text, owned=False))",
            'files.append(File(path, text and text.replace("bond-mode   ", "bond-mode "), '
            "owned=False))",
        ),
    ),
    8: broken(
        "trixie",
        "ifupdown",
        "the main file is taken for ours",
        (
            "backends/ifupdown.py",
            "return own_file(tree, wanted.interface) or MAIN",
            "return MAIN",
        ),
    ),
    9: broken(
        "bookworm",
        "ifupdown",
        "a number given once is given again",
        ("plan.py", "            taken.add(free)\n", ""),
    ),
    10: broken(
        "trixie",
        "ifupdown",
        "the ledger is written so that the next call cannot read it",
        ("ledger.py", """{{"schema": {SCHEMA},""", """{{"schema": "one","""),
    ),
    12: broken(
        "trixie",
        "netplan_networkd",
        "the weakest evidence decides who owns the interface",
        (
            "owner.py",
            "key=lambda item: (not item.owns, -item.strength)",
            "key=lambda item: (not item.owns, item.strength)",
        ),
    ),
    13: broken(
        "trixie",
        "networkd",
        "what is missing live is written once more",
        (
            "backends/networkd.py",
            '"\\n".join(_lines(wanted.interface, wanted.aliases))',
            '(host.read(dropin) or "") + "\\n".join(_lines(wanted.interface, wanted.aliases))',
        ),
    ),
    16: broken(
        "trixie",
        "networkd",
        "addresses the owner did not set are not looked for",
        (
            "plan.py",
            "*(cidr for cidr in situation.foreign_live if cidr not in not_foreign),",
            "",
        ),
    ),
    17: broken("trixie", "networkd", "the files are not written", *_NO_FILE),
    18: broken("bookworm", "networkd", "nothing is removed from the kernel", _NO_REMOVAL),
    20: broken(
        "bookworm",
        "networkd",
        "networkd before 255 is told to reload as well",
        ("backends/networkd.py", "GENTLE_RELOAD = 255", "GENTLE_RELOAD = 0"),
    ),
    21: broken(
        "trixie",
        "networkd",
        "networkd is told to reload whatever is live",
        ("backends/networkd.py", "if change.foreign_live:", "if False:"),
    ),
    30: broken(
        "bookworm",
        "networkd",
        "the scope of a hidden alias is not written",
        ("backends/networkd.py", 'yield "Scope=host"', 'yield "Scope=global"'),
    ),
    31: broken(
        "bookworm",
        "networkd",
        "files wholly ours are not removed",
        ("files.py", "yield Unlink(file.path)", "continue"),
    ),
    32: broken(
        "trixie",
        "networkmanager",
        "a highstate removes whatever the pillar does not have",
        (
            "targets.py",
            'leaves = entry.origin == ORIGIN_PILLAR and purge == "owned"',
            'leaves = purge == "owned"',
        ),
    ),
    33: broken(
        "trixie",
        "networkd",
        "a foreign line is taken for ours",
        ("targets.py", "present.append(alias)", "entries.append(Entry(alias, ORIGIN_PILLAR))"),
    ),
    34: broken(
        "trixie",
        "netplan_networkd",
        "what was adopted is noted as the pillar's",
        (
            "targets.py",
            "label=label, number=number), ORIGIN_ADOPTED)",
            "label=label, number=number), ORIGIN_PILLAR)",
        ),
    ),
    35: broken(
        "trixie",
        "networkmanager",
        "a dialect's limits are not asked for",
        (
            "situation.py",
            'return situation.evidence.facts.get(f"unsupported_{key}", "") or str(',
            'return "" and str(',
        ),
    ),
    40: broken(
        "",
        "pytest",
        "an alias is rendered without its prefix",
        (
            "backends/networkd.py",
            'yield f"Address={alias.cidr}"',
            'yield f"Address={alias.address}"',
        ),
    ),
    60: broken(
        "trixie",
        "ifupdown",
        "changes are returned whole",
        ("difference.py", "MAX_DIFF_LINES = 200", "MAX_DIFF_LINES = 10**9"),
        ("difference.py", "MAX_LISTED = 200", "MAX_LISTED = 10**9"),
    ),
}


@contextmanager
def sabotaged(sabotage: Sabotage) -> Iterator[Path]:
    """Give a copy of the checkout with the edits made.

    :raises SabotageError: when a text to replace is not there exactly once.
    """
    with tempfile.TemporaryDirectory(prefix="ipalias-sabotage-") as folder:
        copy = Path(folder) / "checkout"
        copy.mkdir()
        for part in PARTS:
            source = CHECKOUT / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy2(source, copy / part)
        for edit in sabotage.edits:
            path = copy / LIBRARY / edit.path
            text = path.read_text(encoding="utf-8")
            count = text.count(edit.old)
            if count != 1:
                raise SabotageError(f"{edit.path}: {edit.old!r} is there {count} times, not once")
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
        # Where the corpus is found relative to the checkout.
        corpus = CHECKOUT.parent / "shared"
        if corpus.is_dir():
            (Path(folder) / "shared").symlink_to(corpus)
        yield copy
