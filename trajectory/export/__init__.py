"""Traces and their graphs as files for other tools: one format a module, chosen by the file's suffix.

Invariant: what an agent said is data in every format, never markup, never code, never a path. `contract` is the way in.
"""
