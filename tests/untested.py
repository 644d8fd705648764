"""What no test reaches, function by function, and why: reads what coverage measured beside the reasons in `untested.toml`.

    python -m coverage run -m pytest; python -m coverage combine -q; python -m tests.untested [PATH...]

Prints each function with lines or branches that no test reached and that has no reason, and exits with 1 if there is one. A
reason stands for a function whose rest is tested: what cannot be brought about in a test, or what a test would only repeat. A way
of a branch counts here when both its ends were reached and the way between them was not.
"""

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]
Reasons = dict[str, dict[str, str]]


def reasons() -> Reasons:
    """Why functions have lines that no test reaches: by file, and there by qualified name."""
    read: Reasons = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return read


def functions_of(path: Path) -> list[tuple[str, int, int]]:
    """(qualified name, first line, last line) of each function in a file; outer ones before those that they hold."""

    def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = prefix + child.name
                if not isinstance(child, ast.ClassDef):
                    yield name, child.lineno, child.end_lineno or child.lineno
                yield from inside(child, f"{name}.")
            else:
                yield from inside(child, prefix)

    return list(inside(ast.parse(path.read_text(encoding="utf-8")), ""))


def unreached(measured: coverage.Coverage, path: Path) -> dict[str, list[str]]:
    """By function, the lines (`12`) and the ways of branches (`12->15`) that were not reached."""
    _, _, _, missing, _ = measured.analysis2(str(path))
    places = [(line, str(line)) for line in missing]
    ways = measured.branch_stats(str(path))
    if any(taken < total for total, taken in ways.values()):
        lines = measured._analyze(str(path)).missing_branch_arcs()  # the public interface has numbers only
        places += [
            (start, f"{start}->{'exit' if end < 0 else end}")
            for start, ends in lines.items()
            for end in ends
            if start not in missing and end not in missing
        ]
    functions = functions_of(path)
    found: dict[str, list[str]] = defaultdict(list)
    for line, said in sorted(places):
        holders = [name for name, first, last in functions if first <= line <= last]
        found[holders[-1] if holders else ""].append(said)
    return found


def main(asked: list[str]) -> int:
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    known = reasons()
    open_count = explained_count = 0
    for path in sorted(map(Path, measured.get_data().measured_files())):
        name = path.relative_to(ROOT).as_posix()
        if path.exists() and (not asked or any(name.startswith(wish) for wish in asked)):
            for function, places in unreached(measured, path).items():
                if function in known.get(name, {}):
                    explained_count += len(places)
                else:
                    open_count += len(places)
                    print(f"{name} {function or '(module)'}: {' '.join(places)}")
    print(f"{open_count} untested without a reason, {explained_count} with one")
    return 1 if open_count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
