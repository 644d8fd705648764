"""The team of `trajectory demo`: six agents, each its own OS process, that write a memo and get one figure wrong.

Invariant: nobody here knows the ending. The scripted model answers what it reads, the tools answer from a seeded world, and
the wrong figure travels as text over real sockets. What a good detector must find in it stands in tests/demo/truth.py.
Called by the command `trajectory demo` (through `team`) and by tests. Agents use the public `import trajectory` alone.

    team      starts, asks, stops the processes       member    one agent's process
    serve     an agent behind HTTP                    talk      how a request is sent
    agent     think, act, think again                 tools     what agents can do, traced
    script    the scripted model                      lines     what it says, by role
    world     pages, caches and the audited ledger    conversation  what it reads
"""
