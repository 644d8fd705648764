"""Channels: the ways by which an alert reaches people, one a file; others register under `trajectory.channels` beside ours."""
