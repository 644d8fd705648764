"""OTLP from other people's exporters: over HTTP and gRPC in, through the dialects, onto the collector's own lossless wire.

Invariant: whoever is answered "taken" has the facts on the collector's disk. `process` begins it, `trajectory serve` calls that.
"""
