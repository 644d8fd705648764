"""`trajectory completion SHELL`: the completion script of a shell, made by shtab from the parser itself."""

import argparse
from typing import Any

_TRACES: dict[str, str] = {
    "bash": """
_trajectory_traces() {
  COMPREPLY=($(compgen -W "$(trajectory traces --ids 2>/dev/null)" -- "$1"))
  printf '%s\\n' "${COMPREPLY[@]}"
}
""",
    "zsh": """
_trajectory_traces() { compadd -- $(trajectory traces --ids 2>/dev/null) }
""",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), help="e.g.: trajectory completion bash >> ~/.bash_completion"
    )


def run(args: argparse.Namespace) -> int:
    import shtab

    from trajectory.cli import build_parser

    parser = build_parser()
    for command in _commands(parser).values():
        for action in command._actions:
            _complete(action, shtab.FILE)
    script = shtab.complete(parser, args.shell, preamble=_TRACES)  # type: ignore[arg-type]
    print(script)
    return 0


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    group = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(group.choices)


def _complete(action: argparse.Action, files: Any) -> None:
    """Says what completes an argument: a trace's id, or a file."""
    if action.dest in ("trace", "link"):
        action.complete = {"bash": "_trajectory_traces", "zsh": "_trajectory_traces"}  # type: ignore[attr-defined]
    elif action.dest in ("store", "output", "files", "policy", "prices"):
        action.complete = files  # type: ignore[attr-defined]
