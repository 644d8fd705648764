"""Under which id a collector stores its own facts: what it found, and what operators marked.

Invariant: the same for every collector and every start, so whoever looks for findings reads those frames alone. Used by the
pipeline, and by what tells of alerts.
"""

from trajectory.model.hashing import blake2b

OWN_ID = blake2b(b"trajectory.collector", digest_size=16).digest()
