"""Addresses, routes and failover on a fleet of servers: the library behind the formula.

Pure inside: nothing here opens a file, runs a command or reads a clock except
`system`, which performs the effects that `transaction` yields.
"""

from __future__ import annotations

__version__ = "0.1.0"
