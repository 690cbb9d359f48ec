"""Strings that no field of the formula may carry into a file or a command, and other kinds."""

from __future__ import annotations

from typing import Any

#: In every hostile string; no field of the formula holds it otherwise.
MARK = "zq7mark"

#: Characters no name, address or word of ours has.
CHARACTERS = [
    *"\n\r\t\0\x01\x07\x08\x0b\x0c\x1b\x7f\x80\x85\x9f\xa0\xad",
    *"'\"`$\\;|&<>(){}[]!*?~^%#@=+, ",
    *("\u200b", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029"),
    *("\ufeff", "\udc80", "\udcff", "\u0301", "\U000e0001", "\U0001f4a9", "\uff0f", "\uff1b"),
]
PAYLOADS = [
    *("$({})", "`{}`", "${{{}}}", ";{}", "|{}", "&&{}", "||{}", ">{}", "<{}", "\n{}\n", "\r\n{}"),
    *("../../{}", "/etc/{}", "..\\{}", "....//{}", "%2e%2e%2f{}", "file:///{}", "~root/{}", "./{}"),
    *("%s%n{}", "%({})s", "{{{{ {} }}}}", "{{% {} %}}", "#!{}", "{}\\", "{{0.__class__}}{}"),
    *("'{}", '"{}', "'; {} #", '" {} "', "\\x00{}", "\\n{}", "!!python/object:{}", "*{}", "&{}"),
    *("\n[Service]\nExecStart={}", "\niface {} inet manual", "\npost-up {}", "\naddress add {}"),
    *("]\nName={}", "}}\n{}", "# END ipalias {}\n", "\x1b]0;{}\x07", "-{} ", "--{}=1", "-batch {}"),
]


def odd() -> list[Any]:
    """Return values of other kinds; a number of so many digits Python cannot even write out."""
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    found: list[Any] = [None, True, b"x", -1, 1.5, float("nan"), float("inf"), 10**400, 1 << 20000]
    found += [[], [None], [[]], [{}], [1 << 20000], deep, {}, {"a": 1}, {1 << 20000: 1}]
    return [*found, "\ud800", ["\ud800"], ["/bin/true", "\ud800"]]


def every() -> list[str]:
    """Return all hostile strings."""
    found = [f"{MARK}{char}x" for char in CHARACTERS]
    found += [f"{char}{MARK}" for char in CHARACTERS]
    found += [f"203.0.113.9{char}{MARK}" for char in CHARACTERS]
    found += [payload.format(MARK) for payload in PAYLOADS]
    found += [f"203.0.113.9/32{payload.format(MARK)}" for payload in PAYLOADS]
    found += [f"eth0:{payload.format(MARK)}" for payload in PAYLOADS]
    found += [MARK + "A" * (1 << 20), "\n" * (1 << 20) + MARK, MARK + "9" * (1 << 20)]
    return list(dict.fromkeys(found))


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place of a pillar: a value's path, and a key's with a mark before it."""
    found: list[tuple[Any, ...]] = []
    if isinstance(data, dict):
        for key, value in data.items():
            found += [(*above, "KEY", key), *places(value, (*above, key))]
    elif isinstance(data, list):
        for index, value in enumerate(data):
            found += places(value, (*above, index))
    return [*found, above] if above else found


def put(data: Any, place: tuple[Any, ...], text: object) -> None:
    """Put a value in a place."""
    *above, last = place
    if above and above[-1] == "KEY":
        above.pop()
        for key in above:
            data = data[key]
        data[text] = data.pop(last)
        return
    for key in above:
        data = data[key]
    data[last] = text
