"""Facts at rest: one SQLite file that holds frames of facts, payload bodies once by digest, and the index rows over them.

Invariant: what `append` returned from is what every later reader sees, in the order of appending, each fact once.
`contract` has the seam, `sqlite` opens it, `memory` is the same in a process's memory.
"""
