"""One agent's process: `python -m trajectory.cli.demo_team.member ROLE --endpoint ... --seed N --pace X`.

It says `ready HOST:PORT` on standard output, reads one line of JSON with everybody's address from standard input, and
serves until that input ends. Invariant: it never outlives the process that started it, because its input ends with that.
Started by `team`.
"""

import argparse
import json
import sys
import threading
from collections.abc import Sequence

import trajectory
from trajectory.cli.demo_team.agent import Surroundings
from trajectory.cli.demo_team.lines import LINES
from trajectory.cli.demo_team.serve import AgentServer
from trajectory.cli.demo_team.world import World

SERVICE = "memo-team"
_FLUSH_S = 0.5  # the emitter's own farewell waits longer where a collector is there


def main(argv: Sequence[str] | None = None) -> int:
    """Serves one role until standard input ends; returns 0, also where no collector took what it had to say."""
    asked = _arguments(argv)
    trajectory.init(service=SERVICE, endpoint=asked.endpoint)
    with AgentServer(asked.role) as server:
        print(f"ready {server.address}", flush=True)
        directory = sys.stdin.readline()
        if not directory:
            return 0
        server.around = Surroundings(World.of(asked.seed), json.loads(directory), asked.pace)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        sys.stdin.read()
        server.shutdown()
    trajectory.flush(timeout_s=_FLUSH_S)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One agent of the demo's team.")
    parser.add_argument("role", choices=sorted(LINES))
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=1.0)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
