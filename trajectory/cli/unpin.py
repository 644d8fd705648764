"""`trajectory unpin`: traces and sessions that may be retired again."""

import argparse

from trajectory.cli.pin import add_session, change
from trajectory.cli.places import add_json, add_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", help="a session, or a unique beginning of a trace id")
    add_session(parser)
    add_store(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    return change(args, pinned=False)
