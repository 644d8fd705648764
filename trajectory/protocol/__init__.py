"""How facts travel: one ZeroMQ message is one frame, and one frame is one msgpack array. Golden bytes pin it.

`frames` names the messages and is all that the emitter needs (msgpack only); `codec` reads them strictly and typed
(msgspec, 5 times faster than msgpack at it), for whoever receives.
"""
