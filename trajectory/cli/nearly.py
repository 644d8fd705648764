"""What someone may have meant: the nearest names to one that is not known, said behind what is wrong with it.

Invariant: it only suggests; nothing runs that was not typed. Called by the parser of every command, and by commands where a name
of a trace, a kind or an agent is none.
"""

import argparse
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

_LIKE = 0.7  # of difflib's ratio: `serv` is like `serve`, and not like `search`
_MOST = 3
_OTHER_NAMES = {
    "ls": "traces", "list": "traces", "runs": "traces", "server": "serve", "start": "serve", "collect": "serve",
    "ui": "watch", "tui": "watch", "view": "watch", "dashboard": "watch", "alert": "alerts", "grep": "search",
    "find": "search", "status": "doctor", "load": "import", "save": "export", "stats": "metrics",
}  # fmt: skip


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean serve?`, of the known names that are most like this one; nothing where none is."""
    names = {one.casefold(): one for one in known if one and one.isprintable()}
    near = [names[one] for one in get_close_matches(name.casefold(), names, _MOST, _LIKE)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


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
            hint = f"; did you mean {other}?" if other in choices else meant(str(value), choices)
            self.exit(2, f"{self.prog}: there is no command {value!r}{hint or f'; {self.prog} --help lists them'}\n")
