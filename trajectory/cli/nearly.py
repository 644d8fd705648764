"""A parser of commands whose faults say what was nearest to what was typed.

Invariant: it only suggests; nothing runs that was not typed.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from trajectory.view.nearly import meant

_OTHER_NAMES = {
    "ls": "traces", "list": "traces", "runs": "traces", "server": "serve", "start": "serve", "collect": "serve",
    "ui": "watch", "tui": "watch", "view": "watch", "dashboard": "watch", "alert": "alerts", "grep": "search",
    "find": "search", "status": "doctor", "load": "import", "save": "export", "stats": "metrics",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose faults say what was nearest to what was typed. Its commands are parsers of the same class."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's; a word that is left over is told by the command that it was given to. Ends the process on a fault."""
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            of = self._command(getattr(parsed, "command", None))
            options = [
                option for action in of._actions for option in action.option_strings if action.help != "==SUPPRESS=="
            ]
            hints = [meant(word.partition("=")[0], options) for word in rest if word.startswith("-")]
            of.error(f"unrecognized arguments: {' '.join(rest)}{next(filter(None, hints), '')}")
        return parsed

    def _command(self, name: str | None) -> argparse.ArgumentParser:
        groups = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return next((group.choices[name] for group in groups if name in group.choices), self)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as fault:
            choices = [str(one) for one in action.choices or ()]
            if not isinstance(action, argparse._SubParsersAction):
                raise argparse.ArgumentError(action, f"{fault.message}{meant(str(value), choices)}") from None
            other = _OTHER_NAMES.get(str(value), "")
            lists = f"; {self.prog} --help lists them"
            hint = f"; did you mean {other}?" if other in choices else meant(str(value), choices, lists)
            self.exit(2, f"{self.prog}: there is no command {value!r}{hint}\n")
