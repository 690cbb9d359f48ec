"""What a return shows of a change: diffs without secrets, and no more than Salt carries. Pure."""

from __future__ import annotations

import difflib
import re

#: Lines of a unified diff that a return carries; Salt trims an event over 1 MiB.
MAX_DIFF_LINES = 200
#: Lines of all diffs behind which further files are counted: there are dialects with a file
#: an alias.
MAX_LINES = 2000
#: Addresses that a return lists; the rest is counted.
MAX_LISTED = 200
_SECRET = re.compile(
    r"(?i)^([+\- ]?\s*[\w.-]*(?:psk|password|secret|private-key|wep-key\d?)\s*[:=]).*"
)
#: Secrets within a line: a text of JSON (Kea's databases, RFC 8259, 7), dhcpd.conf(5) ``key``,
#: wireless-tools and wpa_supplicant in interfaces(5), ifconfig(8) of the BSDs with carp(4).
_WITHIN = (
    re.compile(r'("(?:password|secret)"\s*:\s*")(?:[^"\\]|\\.)*(?=")'),
    re.compile(r'(\bsecret\s+)(?:"[^"]*"|[^\s;"]+)(?=\s*;)'),
    re.compile(
        r"(\b(?:wpa-psk|wpa-password|wireless-key\d?|wpakey|nwkey|wgkey|wgpsk|authkey|"
        r"vhid\s+\d+(?:\s+\w+\s+\d+)*\s+pass)\s+)(?:\"[^\"]*\"|[^\s\"]+)"
    ),
)


def render_diff(path: str, before: str | None, after: str | None) -> str:
    """Return a unified diff of a file; values that look like secrets are blanked."""
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        (after or "").splitlines(),
        "/dev/null" if before is None else path,
        "/dev/null" if after is None else path,
        lineterm="",
        n=1,
    )
    text = "\n".join(map(_hide_secrets, lines))
    return text.encode("utf-8", "replace").decode("utf-8")


def _hide_secrets(line: str) -> str:
    for secret in _WITHIN:
        line = secret.sub(r"\1***", line)
    return _SECRET.sub(r"\1 ***", line)


def cap(changes: dict[str, dict[str, object]]) -> tuple[dict[str, dict[str, object]], bool]:
    """Return changes small enough for Salt's event bus, and whether anything was left out."""
    capped: dict[str, dict[str, object]] = {}
    cut = False
    for kind, block in changes.items():
        capped[kind] = {}
        shown = left = 0
        for key, value in block.items():
            if isinstance(value, str):
                if shown >= MAX_LINES:
                    left += 1
                    continue
                lines = value.splitlines()
                shown += min(len(lines), MAX_DIFF_LINES)
                if len(lines) > MAX_DIFF_LINES:
                    cut = True
                    rest = len(lines) - MAX_DIFF_LINES
                    value = "\n".join([*lines[:MAX_DIFF_LINES], f"... {rest} more lines"])
            elif isinstance(value, list) and len(value) > MAX_LISTED:
                cut = True
                value = [*value[:MAX_LISTED], f"... {len(value) - MAX_LISTED} more"]
            capped[kind][key] = value
        if left:
            cut = True
            capped[kind]["..."] = f"{left} more files"
    return capped, cut
