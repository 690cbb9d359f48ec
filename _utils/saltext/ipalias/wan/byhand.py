"""The last probe as a command to repeat by hand. Pure.

With the mark and the source that the probe has, for without them another line may carry it,
and a ping that works then tells nothing of the probe that does not (openwrt/packages#26698).
"""

from __future__ import annotations

from .model import ARP, DNS, HTTP, TCP, Target, Way


def command(
    way: Way, target: Target, source: str, mark: int, timeout: float, address: str = ""
) -> str:
    """Return the command that asks what a probe asks.

    ping(8) of iputils takes the mark itself; curl(1), dig(1) and nc(1) cannot set one, but the
    rule for packets from the line's source leads them into its table all the same.

    :param address: what a name stands for over this line, where it is known.
    """
    wait = max(1, round(timeout + 0.499))
    host = address or target.host
    six = way.line.family == 6
    if target.kind == ARP:
        if six:
            return f"ndisc6 -1 -r 1 -w {wait * 1000} {target.host} {way.interface}"
        return f"arping -c 1 -w {wait} -I {way.interface} {target.host}"
    if target.kind == TCP:
        return f"nc -z -v -w {wait} -s {source} {host} {target.port}"
    if target.kind == HTTP:
        return _curl(target, source, wait, host)
    if target.kind == DNS:
        kind = "AAAA" if six else "A"
        port = f" -p {target.port}" if target.port not in (0, 53) else ""
        return f"dig -b {source} @{host}{port} +tries=1 +time={wait} {target.path} {kind}"
    scope = f"%{way.interface}" if six and host.lower().startswith("fe80:") else ""
    # Not `-I INTERFACE`: IPv4 then goes on link where there is no route, which the probe does not.
    return f"ping -n -c 1 -W {wait} -m {mark} -I {source} {host}{scope}"


def _curl(target: Target, source: str, wait: int, address: str) -> str:
    scheme = "https -k" if target.tls else "http"
    word, _, insecure = scheme.partition(" ")
    shown = f"[{target.host}]" if ":" in target.host else target.host
    at = f"[{address}]" if ":" in address else address
    resolve = "" if address == target.host else f" --resolve {target.host}:{target.port}:{at}"
    options = f"{insecure} " if insecure else ""
    url = f"{word}://{shown}:{target.port}{target.path or '/'}"
    quiet = "-s -o /dev/null -w '%{http_code}'"
    return f"curl {options}{quiet} -m {wait} --interface {source}{resolve} {url}"
