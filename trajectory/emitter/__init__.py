"""What people import into their agents: tracer, baton, queue and sender. It never blocks an agent and never raises into one.

Loads the standard library and msgpack; zmq only in the sender's own thread. `trajectory` itself gives out the public names.
"""
