"""Generated examples: new ones at a desk, the same ones in every run that must not skip."""

from __future__ import annotations

import os

from hypothesis import settings

# A failure prints the seed, or with `print_blob` the line that repeats the very example.
settings.register_profile("desk", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("REQUIRE_LANES") or os.environ.get("CI") else "desk")
