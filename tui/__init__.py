"""The dashboard: a terminal program over `trajectory.view` and nothing else of ours; `tui.app.TrajectoryApp` is its door."""
