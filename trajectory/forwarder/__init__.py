"""Traces to other people's backends by OTLP: over HTTP or gRPC out, for as long as it takes, while the collector goes on.

Invariant: the store is the queue, so a backend that is slow, gone or wrong costs neither memory nor intake nor judgement.
`process` sends, in a process of its own; `trajectory serve --forward` begins it, and `trajectory forward` sends what is stored.
"""
