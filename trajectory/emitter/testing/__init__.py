"""The test doubles that `trajectory.testing` gives out. Unlike the rest of the room they read facts, so they load msgspec."""
