"""Runs the benchmarks and prints a table of each, or one JSON object a row.

Exit 0 when every judged row is good, 1 when one is not or nothing could be measured, 2 on an unknown name.
"""

import argparse
import compileall
import importlib
import json
import pkgutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import tests.benchmarks as benchmarks
from tests.benchmarks import AbsentError, Row
from tests.benchmarks._results import note


def main() -> int:
    """Runs those named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=benchmarks.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="one JSON object a row on standard output")
    parser.add_argument("--results", action="store_true", help="put the figures into tests/benchmarks/RESULTS.md, too")
    asked = parser.parse_args()
    found = _modules()
    unknown = [name for name in asked.names if name not in found]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(found)}", file=sys.stderr)
        return 2
    _compile()
    good = [_run(found[name], asked.json, asked.results) for name in asked.names or found]
    return 0 if all(good) else 1


def _compile() -> None:
    """As an installation does: a checkout may be used where Python writes no bytecode, and every start would compile all."""
    for room in ("trajectory", "tui", "tests"):
        compileall.compile_dir(Path(__file__).parents[2] / room, quiet=2)


def _modules() -> dict[str, ModuleType]:
    modules = (
        importlib.import_module(f"tests.benchmarks.{info.name}")
        for info in pkgutil.iter_modules(benchmarks.__path__)
        if not info.name.startswith("_")
    )
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def _run(module: ModuleType, as_json: bool, is_kept: bool) -> bool:
    began_s = time.monotonic()
    try:
        rows: list[Row] = module.run()
    except AbsentError as reason:
        print(f"{module.NAME}: not measured: {reason}", file=sys.stderr)
        if is_kept:
            note(module, [], time.monotonic() - began_s, str(reason))
        return False
    if is_kept:
        note(module, rows, time.monotonic() - began_s)
    if as_json:
        for row in rows:
            print(json.dumps({"benchmark": module.NAME, **asdict(row)}, ensure_ascii=False))
    else:
        _print(module, rows)
    return all(row.is_good is not False for row in rows) and bool(rows)


def _print(module: ModuleType, rows: list[Row]) -> None:
    print(f"{module.NAME}: {module.GOAL}\n")
    case = max((len(row.case) for row in rows), default=0)
    figure = max((len(row.figure) for row in rows), default=0)
    for row in rows:
        mark = {True: "✓", False: "✗", None: " "}[row.is_good]
        wanted = "" if row.goal in ("", row.measured) else f"   goal: {row.goal}"
        print(f"  {mark} {row.case:<{case}}  {row.figure:<{figure}}  {row.measured}{wanted}")
    judged = [row for row in rows if row.is_good is not None]
    print(f"\n  {sum(row.is_good is True for row in judged)} of {len(judged)} as the goal asks\n")


if __name__ == "__main__":
    sys.exit(main())
