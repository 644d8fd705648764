"""BLAKE2b without OpenSSL: `hashlib` loads that too, 3 MB and some milliseconds in each agent and in each process of a collector.

Called by everything that makes an address.
"""

try:
    from _blake2 import blake2b  # where CPython and PyPy keep what hashlib hands out
except ImportError:  # pragma: no cover
    from hashlib import blake2b

__all__ = ["blake2b"]
