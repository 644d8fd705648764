"""Which kinds of channels there are: those under the entry point `trajectory.channels`, ours included.

Invariant: a stranger's channel that cannot be loaded is none, and stops nobody. Called by whoever reads a policy or sends.
"""

from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import msgspec

from trajectory.errors import ConfigError

if TYPE_CHECKING:
    from trajectory.alerting.channels.contract import Channel, ChannelFactory
    from trajectory.alerting.policy import Channel as Configured
    from trajectory.alerting.secret import Vault

_GROUP = "trajectory.channels"


@lru_cache(maxsize=1)
def kinds() -> tuple[str, ...]:
    """The kinds that are installed, by name."""
    return tuple(sorted({entry.name for entry in entry_points(group=_GROUP)}))


@lru_cache(maxsize=64)
def factory_of(kind: str) -> "ChannelFactory":
    """The class of a kind. Raises ConfigError where it cannot be loaded."""
    for entry in entry_points(group=_GROUP, name=kind):
        try:
            made: ChannelFactory = entry.load()
            return made
        except Exception as fault:  # a stranger's module may raise anything
            raise ConfigError(
                f"channels of kind {kind} cannot be loaded: {type(fault).__name__}: {fault}", "type"
            ) from None
    raise ConfigError(f"{kind[:40]!r} is no kind of channel; expected one of {', '.join(kinds())}", "type")


def options_of(kind: str) -> Any:
    """The struct of a kind's options. Raises ConfigError."""
    return factory_of(kind).takes


def hears_of(kind: str) -> frozenset[str]:
    """The actions that channels of a kind are told of. Raises ConfigError."""
    return frozenset(factory_of(kind).hears) | {"open", "worse", "repeat", "test"}


def channel_of(configured: "Configured", vault: "Vault") -> "Channel":
    """The channel that a policy configures. Raises ConfigError with its name."""
    factory = factory_of(configured.kind)
    try:
        return factory(msgspec.convert(configured.options, factory.takes), vault)
    except (ConfigError, ValueError) as fault:
        raise ConfigError(f"channel {configured.name}: {fault}", configured.name) from None
