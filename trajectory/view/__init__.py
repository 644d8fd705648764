"""The read model, and all that a screen may know: rows, the feed they come from, the filter language, the time scale."""
