"""Pure structure, folded from facts: spans and their ancestry, agents and their invocations, delegations, usage.

`trace` is the fold (dictionaries, on the hot path); `delegations` reads who asked whom off it; `network` turns either
into networkx graphs, for formats and algorithms only.
"""
