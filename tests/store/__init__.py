"""The store, held to its contract and to what can happen to a file."""
