"""The screens. Each is loaded when it is first opened, so that the first picture waits for the list of runs alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.screens.agent import AgentScreen as AgentScreen
    from tui.screens.alert import AlertScreen as AlertScreen
    from tui.screens.cockpit import CockpitScreen as CockpitScreen
    from tui.screens.delegation import DelegationScreen as DelegationScreen
    from tui.screens.help import HelpScreen as HelpScreen
    from tui.screens.menu import ExportScreen as ExportScreen
    from tui.screens.menu import MarksScreen as MarksScreen
    from tui.screens.mute import MuteScreen as MuteScreen
    from tui.screens.overlay import HealthScreen as HealthScreen
    from tui.screens.replay import ReplayScreen as ReplayScreen
    from tui.screens.signals import SignalsScreen as SignalsScreen
    from tui.screens.span import SpanScreen as SpanScreen
    from tui.screens.timeline import TimelineScreen as TimelineScreen

_MODULES = {
    "AgentScreen": "agent",
    "AlertScreen": "alert",
    "CockpitScreen": "cockpit",
    "DelegationScreen": "delegation",
    "ExportScreen": "menu",
    "HealthScreen": "overlay",
    "HelpScreen": "help",
    "MarksScreen": "menu",
    "MuteScreen": "mute",
    "ReplayScreen": "replay",
    "SignalsScreen": "signals",
    "SpanScreen": "span",
    "TimelineScreen": "timeline",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"there is no screen {name}")
    return getattr(import_module(f"tui.screens.{_MODULES[name]}"), name)
