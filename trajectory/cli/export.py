"""`trajectory export`: a trace for other tools, in the format that the file's suffix names."""

import argparse

from trajectory.cli.graph import write
from trajectory.cli.places import add_store, add_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_trace(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="ends in .jsonl .otlp.json .otlp.pb .trace.json .md"
    )
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    return write(args, "trace")
