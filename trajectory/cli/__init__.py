"""The command line: one command a file, loaded only when it is the one that runs.

Invariant: standard output holds what was asked for and nothing else; messages go to standard error; exit 0 done, 1 a gate
failed, 2 bad usage or bad input with one line that says what to do. No traceback reaches a user for a fault that has a name.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from trajectory import __version__
from trajectory.cli.nearly import Parser
from trajectory.errors import QueryError, TrajectoryError
from trajectory.view.text import clean

COMMANDS = {
    "demo": "run a real team of agents and see where it goes wrong",
    "run": "run a program with its agents traced, no code changed",
    "serve": "collect facts from agents (the collector)",
    "watch": "open the dashboard, on a collector or on a store",
    "open": "open the dashboard at the place that a link names",
    "follow": "show coding agents live, from the session logs that they write",
    "import": "read OTLP captures, chat logs, session logs of coding agents or our JSONL into a store",
    "traces": "list traces",
    "show": "one trace: agents, delegations, tools, tokens, findings",
    "search": "find what was said, in all traces",
    "metrics": "calls, errors, durations, tokens and cost, by agent, model, tool, edge, version, service, finding or error",
    "findings": "what the detectors found, with evidence",
    "alerts": "what goes wrong over all runs, whom it was told; acknowledge it, mute it, try a channel",
    "check": "hold runs against a policy, for CI: exit 1 where it is broken, 3 where nobody can tell",
    "blame": "which step most likely broke a run, ranked, with reasons",
    "graph": "write a trace's graph to a file: of delegations, of spans, or of where values came from",
    "export": "write a trace to a file for other tools",
    "forward": "send stored traces to another backend by OTLP",
    "pin": "keep traces and sessions for good, whatever the store's bounds say",
    "unpin": "let go of what was pinned",
    "compact": "retire old traces from a store at rest, and give its free room back",
    "keys": "make, list and revoke the keys of collectors that other machines reach",
    "doctor": "what is installed, reachable and misconfigured, each with its mend",
    "completion": "print the completion script of a shell",
}


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command line; with `only`, the arguments of that one command, so that the others load nothing."""
    parser = Parser(
        prog="trajectory",
        description="Traces teams of LLM agents and shows them, live, in a terminal.",
        epilog="Start with: trajectory demo",
    )
    parser.add_argument("--version", action="version", version=f"trajectory {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if only in (None, name):
            module = importlib.import_module(f"trajectory.cli.{_module(name)}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone is no reason to fail
    chosen = next((word for word in words if not word.startswith("-")), "")
    parser = build_parser(chosen if chosen in COMMANDS else "none")
    args = parser.parse_args(words)
    if args.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except QueryError as fault:
        print(f"trajectory {args.command}: {fault} (column {fault.position + 1} of the filter)", file=sys.stderr)
        return 2
    except TrajectoryError as fault:
        print(f"trajectory {args.command}: {clean(str(fault))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has had enough: `| head`
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _module(name: str) -> str:
    return {"import": "importing"}.get(name, name)
