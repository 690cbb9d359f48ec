"""Sockets and what to call when one is ready: what the monitor's one loop waits on."""

from __future__ import annotations

import selectors
from collections.abc import Callable

#: Called with the events that are there (`selectors.EVENT_READ`, `EVENT_WRITE`).
Ready = Callable[[int], None]


class Watch:
    """Hold the sockets of the loop, by descriptor: TLS puts another object on the same one."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ready: dict[int, Ready] = {}

    def add(self, descriptor: int, events: int, ready: Ready) -> None:
        """Watch a socket."""
        self._selector.register(descriptor, events, ready)
        self._ready[descriptor] = ready

    def change(self, descriptor: int, events: int) -> None:
        """Wait for something else of a socket."""
        key = self._selector.get_key(descriptor)
        if key.events != events:
            self._selector.modify(descriptor, events, key.data)

    def remove(self, descriptor: int) -> None:
        """Watch a socket no longer; call it before closing."""
        self._selector.unregister(descriptor)
        del self._ready[descriptor]

    def run_once(self, timeout: float | None) -> int:
        """Wait, call what is ready, and return how many were.

        :param timeout: seconds to wait at most; 0 only looks; None waits for ever.
        """
        ready = self._selector.select(timeout)
        for key, mask in ready:
            # One that was called before may have taken this one away.
            call = self._ready.get(key.fd)
            if call is not None and call is key.data:
                call(mask)
        return len(ready)

    def close(self) -> None:
        """Close the selector, not the sockets."""
        self._selector.close()
