"""As whom this process comes to a collector: the key file, or the keys, that were named for an endpoint.

Invariant: it keeps where a key is, and reads it anew for every connection, on the sender's thread, so that a new key in the same
file is taken up without a restart. `init` and `trajectory serve` name, the link asks.
"""

from trajectory.protocol.keys import ClientKeys, client_keys

_named: dict[str, str | ClientKeys] = {}


def name_key(endpoint: str, key: str | ClientKeys) -> None:
    """From here on connections to the endpoint are made with this key: the path of a key file, or the keys themselves."""
    _named[endpoint] = key


def keys_for(endpoint: str) -> ClientKeys | None:
    """The keys for an endpoint; where none was named, those of the environment. Raises ConfigError."""
    key = _named.get(endpoint, "")
    return key if isinstance(key, ClientKeys) else client_keys(key)
