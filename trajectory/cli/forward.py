"""`trajectory forward`: stored traces to another backend by OTLP, once; `trajectory serve --forward` is for what is to come.

Invariant: it is done when every span was taken or refused, and says how many; exit 1 where some were refused or it gave up.
"""

import argparse
import time
from contextlib import closing
from typing import TYPE_CHECKING

from trajectory.cli.forwarding import add_header, targets_in
from trajectory.cli.output import plural, say
from trajectory.cli.places import add_store, amount, find_trace, open_store

if TYPE_CHECKING:
    from trajectory.forwarder.sending import Standing

_PATIENCE_S = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="TRACE URL",
        nargs="+",
        help="a unique beginning of a trace id (not with --all), and where to send it",
    )
    parser.add_argument("--all", action="store_true", help="every trace of the store, the oldest first")
    parser.add_argument(
        "--patience",
        metavar="S",
        type=amount,
        default=_PATIENCE_S,
        help="give up after S seconds without an answer that helps (default: %(default)g)",
    )
    add_header(parser)
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from trajectory.collector.at_rest import fold_stored
    from trajectory.errors import ConfigError
    from trajectory.forwarder.backlog import marks_of, whole
    from trajectory.forwarder.position import forwarder_id
    from trajectory.forwarder.requests import requests_of
    from trajectory.forwarder.sending import Sending, backend_of
    from trajectory.store.location import locate

    if len(args.what) != (1 if args.all else 2):
        raise ConfigError("give a trace and a URL, or --all and a URL", "forward")
    (target,) = targets_in(args.what[-1:], args.forward_headers)
    with closing(open_store(args.store)) as reader, closing(backend_of(target)) as backend:
        trace_ids = reader.trace_ids() if args.all else [find_trace(reader, args.what[0])]
        marks = marks_of(forwarder_id(Path(locate(args.store))))
        patience = _Patience(args.patience)
        sending = Sending(target, backend, patience.pause, patience.hear)
        portions = (whole(fold_stored(reader, trace_id).trace) for trace_id in trace_ids)
        is_done = all(sending.send(request) for request in requests_of(portions, marks))
    standing = sending.standing
    say(f"{plural(standing.sent_count, 'span')} of {plural(len(trace_ids), 'trace')} sent to {target.name}")
    if standing.refused_count:
        say(f"{plural(standing.refused_count, 'span')} refused, the last: {standing.refusal}")
    if not is_done:
        say(f"gave up on the rest: {standing.trouble}")
    return 0 if is_done and not standing.refused_count else 1


class _Patience:
    """Waits between tries, for so long in all; each spell of trouble is said once."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._ends_s = 0.0
        self._trouble = ""

    def hear(self, standing: "Standing") -> None:
        if standing.trouble and standing.trouble != self._trouble:
            say(f"waiting: {standing.trouble}")
        if not standing.trouble:
            self._ends_s = 0.0
        self._trouble = standing.trouble

    def pause(self, seconds: float) -> bool:
        now_s = time.monotonic()
        self._ends_s = self._ends_s or now_s + self._patience_s
        if now_s + seconds > self._ends_s:
            return True
        time.sleep(seconds)
        return False
