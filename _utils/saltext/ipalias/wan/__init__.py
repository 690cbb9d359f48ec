"""Several ways out: uplinks, their health, and the default route that follows it."""
