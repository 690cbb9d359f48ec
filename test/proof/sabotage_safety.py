"""What is broken for each line of the safety proof; see `proof.sabotage`."""

from __future__ import annotations

from proof.sabotage import Sabotage, broken

#: The change that failed, or that was found unfinished, is not put back.
_NOT_BACK = (
    "guarded.py",
    "problems = yield from recover(_spared(record, error), host)",
    "problems: list[str] = []",
)
#: A lock that its holder's death does not give back, as a file that says it is taken.
_LOCK_FILE = (
    "processes.py",
    "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "if os.fstat(descriptor).st_size:\n        raise OSError",
)

SABOTAGES: dict[int, Sabotage] = {
    4: broken(
        "trixie",
        "networkd",
        "who answers for an address is not listened to",
        ("duplicates.py", "        if taken:\n", "        if taken and not taken:\n"),
    ),
    14: broken("trixie", "ifupdown", "the lock of a dead holder is still one", _LOCK_FILE),
    15: broken(
        "bookworm",
        "ifupdown",
        "default routes are not put back",
        ("recover.py", "    if record.routes:\n", "    if record.routes and not record.routes:\n"),
    ),
    101: broken(
        "bookworm",
        "networkd",
        "the next run does not look for what was cut short",
        (
            "guarded.py",
            "            continue\n        state = named[0]\n",
            "            continue\n        if named[0] == OPEN:\n            continue\n"
            "        state = named[0]\n",
        ),
    ),
    102: broken(
        "trixie",
        "networkd",
        "a file that has another text already is not put back",
        (
            "recover.py",
            "elif now is None or replace(now, real_path=real_path) != image:",
            "elif now is None:",
        ),
    ),
    103: broken(
        "bookworm",
        "networkd",
        "the boot restore puts nothing back",
        (
            "guarded.py",
            "problems = yield from put_back(record, host, paths, live=live, keep=True)",
            "problems: list[str] = []",
        ),
    ),
    201: broken(
        "",
        "pytest",
        "one fsync is left out: that of a new file's content",
        ("files.py", "        yield SyncFile(temporary)\n", ""),
    ),
    301: broken("trixie", "networkd", "what failed is not put back", _NOT_BACK),
    302: broken("", "pytest", "what failed is not put back", _NOT_BACK),
    401: broken(
        "trixie",
        "networkd",
        "the dead man lives in the minion's control group",
        ("processes.py", "    if commands and all(", "    if not commands and all("),
    ),
    402: broken(
        "bookworm",
        "ifupdown",
        "addresses that fell beside the change are not put back",
        (
            "recover.py",
            "if cidr not in touched and cidr not in now and not old.flags & lasting",
            "if cidr in touched and cidr not in touched and not old.flags & lasting",
        ),
    ),
    403: broken(
        "trixie",
        "networkd",
        "nobody votes after the change",
        ("guarded.py", "    left = tuple(voting)\n", "    left = tuple(voting)[:0]\n"),
    ),
    404: broken(
        "trixie",
        "networkd",
        "the dead man does not ask whether the change was committed",
        (
            "outlive.py",
            "if not _is_pending(host, paths, ident):\n                return",
            "if not host:\n                return",
        ),
        (
            "outlive.py",
            "if not _claim(paths, ident, (OPEN, WAITING)):",
            "if not _claim(paths, ident, (OPEN, WAITING, journal.COMMITTED)):",
        ),
    ),
    405: broken(
        "trixie",
        "networkd",
        "the deadline is wall time",
        (
            "processes.py",
            "return time.clock_gettime(clock) if clock is not None else time.monotonic()",
            "return time.time()",
        ),
    ),
    406: broken(
        "trixie",
        "networkd",
        "the dead man claims a record by copying it",
        (
            "disk.py",
            "        os.rename(source, target)\n",
            "        with open(source) as old, open(target, 'w') as new:\n"
            "            new.write(old.read())\n        os.unlink(source)\n",
        ),
    ),
    501: broken(
        "",
        "namespaces",
        "the lock is not taken",
        ("processes.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"),
    ),
    502: broken("", "namespaces", "the lock of a dead holder is still one", _LOCK_FILE),
    503: broken(
        "",
        "namespaces",
        "a forked child keeps the lock",
        ("processes.py", "os.register_at_fork(after_in_child=_close_held)", "pass"),
    ),
    504: broken(
        "",
        "namespaces",
        "the holder's note is not read",
        (
            "processes.py",
            "note = json.loads(os.read(descriptor, 4096))",
            "note = json.loads('{}')",
        ),
    ),
    505: broken(
        "",
        "pytest",
        "the ledger is not written",
        (
            "transaction.py",
            "    yield from write_ledger(final_ledger(plans), settings)\n    return after",
            "    return after",
        ),
    ),
    601: broken(
        "",
        "here",
        "data of an unknown shape is taken for granted",
        (
            "errors.py",
            "MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, "
            "RecursionError)",
            "MALFORMED = (ValueError,)",
        ),
    ),
    602: broken(
        "",
        "here",
        "a label may be anything",
        (
            "addresses.py",
            '_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")',
            '_LABEL = re.compile(r".*", re.DOTALL)',
        ),
    ),
    603: broken(
        "",
        "namespaces",
        "a temporary file is written through whatever lies under its name",
        (
            "disk.py",
            "    with contextlib.suppress(FileNotFoundError):\n        os.unlink(effect.path)\n"
            "    descriptor = os.open(effect.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | ",
            "    descriptor = os.open(effect.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | 0 & ",
        ),
    ),
    701: broken(
        "trixie",
        "networkd",
        "the dead man loads its code when it fires, from Salt's cache",
        (
            "freeze.py",
            '    return [sys.executable, "-I", f"{folder}/{RUN}"]\n',
            "    here = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))\n"
            "    code = (\n"
            '        \'import sys, time; open(sys.argv[2] + "/armed-" + sys.argv[3], "w");\'\n'
            "        f'time.sleep(25); sys.path.insert(0, {here!r});'\n"
            "        'from saltext.ipalias import outlive; outlive.main(sys.argv[1:])'\n"
            "    )\n"
            '    return [sys.executable, "-c", code]\n',
        ),
    ),
    702: broken(
        "trixie",
        "networkd",
        "a journal of a later schema is read as one of ours",
        ("journal.py", 'if int(data["schema"]) > SCHEMA:', 'if int(data["schema"]) > 10**6:'),
    ),
    801: broken(
        "trixie",
        "networkd",
        "a change that waits is no reason to refuse another",
        (
            "guarded.py",
            "if state == WAITING and not (yield from _is_over(record)):",
            "if state == WAITING and (yield from _is_over(record)) is None:",
        ),
    ),
}
