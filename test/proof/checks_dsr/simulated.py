"""Systems that cannot run here: their simulated hosts, and the guide's own commands."""

from __future__ import annotations
