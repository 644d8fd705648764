"""Bytes that nobody meant, fed to every mouth that reads from outside: a Hypothesis run that alters what is valid, and a
coverage-guided one.

Invariant: a case that ends in anything but the mouth's own refusal is a crash, as is one that takes a second or 128 MB, and its
bytes are printed. The seed is printed too, and TRAJECTORY_FUZZ_SEED repeats its run; TRAJECTORY_FUZZ names the mouths,
TRAJECTORY_BENCH_SCALE multiplies the time.
"""

import os
import random
import re
import subprocess
import tempfile
from importlib.metadata import requires, version
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from packaging.requirements import Requirement

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._peers import interpreter_with
from tests.benchmarks._rounds import REPOSITORY, noted, scaled
from tests.protocol.altered import altered
from tests.protocol.mouth import costed
from tests.protocol.mouths import Mouth, mouths

NAME = "fuzz"
GOAL = "any bytes are read or refused, at a cost that befits them: crashes zero"

_SECONDS = 20
_CASES = 2000
_GRACE_S = 60.0  # to start in, beyond its time
# What mouths read with beyond the plain install.
_ALSO = ("opentelemetry-proto", "googleapis-common-protos", "grpcio", "httptools")


def run() -> list[Row]:
    """Two rows a mouth: altered valid bytes, and what the coverage-guided fuzzer made up."""
    drawn = int(os.environ.get("TRAJECTORY_FUZZ_SEED") or random.SystemRandom().getrandbits(31))
    asked = [name for name in os.environ.get("TRAJECTORY_FUZZ", "").split(",") if name]
    found = {mouth.name: mouth for mouth in mouths()}
    if unknown := sorted(set(asked) - set(found)):
        raise AbsentError(f"no mouth {', '.join(unknown)}; there are {', '.join(found)}")
    those = [found[name] for name in asked or found]
    rows = [noted("seed", "TRAJECTORY_FUZZ_SEED", str(drawn))]
    rows += [_hypothesis(mouth, drawn) for mouth in those]
    try:
        python = interpreter_with("atheris", *(f"{name}=={version(name)}" for name in sorted({*_plain(), *_ALSO})))
    except AbsentError as reason:
        return [*rows, noted("coverage-guided", "not measured", str(reason))]
    return rows + [_guided(python, mouth, drawn) for mouth in those]


def _plain() -> list[str]:
    """What the project needs without extras, as it is installed here."""
    needed = [Requirement(line) for line in requires("trajectory-tracing") or ()]
    return [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]


def _hypothesis(mouth: Mouth, drawn: int) -> Row:
    """Valid bytes, altered; the smallest case that does harm is said."""
    count, last = 0, b""
    read = costed(mouth.read)

    @seed(drawn)
    @settings(
        max_examples=scaled(_CASES), database=None, phases=[Phase.generate, Phase.shrink], deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(altered(mouth.samples))
    def feed(raw: bytes) -> None:
        nonlocal count, last
        count += 1
        last = raw
        read(raw)

    try:
        feed()
    except Exception as fault:
        return _crashed(mouth.name, "Hypothesis", f"{count:,} cases", last, f"{type(fault).__name__}: {fault}")
    return Row(mouth.name, "Hypothesis", f"{count:,} cases, 0 crashes", "crashes zero", count > 0)


def _guided(python: str, mouth: Mouth, drawn: int) -> Row:
    """One run of the coverage-guided fuzzer, from the mouth's own samples."""
    with tempfile.TemporaryDirectory(prefix="trajectory-fuzz-") as name:
        room, seconds = Path(name), scaled(_SECONDS)
        (room / "corpus").mkdir()
        for number, sample in enumerate(mouth.samples):
            (room / "corpus" / f"sample-{number}").write_bytes(sample)
        command = [python, "-m", "tests.benchmarks._fuzz_run", mouth.name, name, str(seconds), str(drawn)]
        try:
            ended = subprocess.run(
                command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", timeout=seconds + _GRACE_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Row(mouth.name, "coverage-guided", f"did not end within {seconds + _GRACE_S:.0f} s", "", False)
        crashes = [path for path in room.iterdir() if path.is_file()]
        return _told(mouth.name, ended.stderr + ended.stdout, ended.returncode, crashes)


def _told(name: str, said: str, code: int, crashes: list[Path]) -> Row:
    begun = re.search(r"INITED cov: (\d+)", said)
    states = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: \d+ corp: (\d+)/", said)
    if not states or begun is None:
        return Row(name, "coverage-guided", f"did not begin: {said.strip()[-300:]}", "", False)
    count, covered, corpus = map(int, states[-1])
    tried = f"{count:,} cases, {covered} edges covered ({covered - int(begun[1])} new), corpus {corpus}"
    if code or crashes:
        fault = re.search(r"=== Uncaught Python exception: ===\n(.*)", said)
        why = fault[1] if fault else said.strip()[-300:]
        return _crashed(name, "coverage-guided", tried, crashes[0].read_bytes() if crashes else b"", why)
    return Row(name, "coverage-guided", f"{tried}, 0 crashes", "crashes zero", True)


def _crashed(name: str, figure: str, tried: str, raw: bytes, why: str) -> Row:
    return Row(name, figure, f"{tried}, then {why[:200]} on {raw[:400]!r}", "crashes zero", False)
