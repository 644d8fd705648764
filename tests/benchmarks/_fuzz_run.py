"""Feeds one mouth with what a coverage-guided fuzzer makes up, until its time is over: the child of `fuzz`.

Invariant: runs in an environment that has atheris, and that the benchmark throws away; a fault ends it, and what brought it
about lies in the room. Arguments: the mouth's name, a directory with the samples in `corpus`, seconds, seed.
"""

import sys
from pathlib import Path

import atheris  # not among the project's own: only there where this runs

MAX_BYTES = 4096


def main() -> None:
    """Fuzzes; libFuzzer ends the process."""
    name, room, seconds, seed = sys.argv[1:5]
    with atheris.instrument_imports(include=["trajectory", "tests.protocol"]):
        from tests.protocol.mouth import costed
        from tests.protocol.mouths import mouths
    mouth = next(mouth for mouth in mouths() if mouth.name == name)
    for sample in mouth.samples:
        mouth.read(sample)  # what is loaded at the first case is no cost of it
    settings = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_BYTES}", "-print_final_stats=1"]
    settings += [f"-artifact_prefix={room}/", "-timeout=20", "-rss_limit_mb=1024"]
    atheris.Setup([sys.argv[0], *settings, str(Path(room) / "corpus")], costed(mouth.read))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
