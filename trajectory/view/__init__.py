"""The read model: the only thing that a screen may know. Rows, the feed they come from, the filter language, the time scale."""
