"""Pure judgement over folded traces: one detector a file, each behind the seam of `contract`."""
