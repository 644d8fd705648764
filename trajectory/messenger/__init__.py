"""Alerts on their way to people, in a process beside the collector.

Invariant: the store is the queue of findings and the state file that of messages, so a channel that hangs, or a kill,
costs neither facts nor messages. `trajectory serve` begins `process` through `beside`; commands about alerts use `dispatch`.
"""
