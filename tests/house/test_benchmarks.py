"""Benchmarks run seldom: what they take from other tests is looked for each time that the tests run."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def modules_of_tests(tree: ast.Module) -> dict[str, ModuleType]:
    """The modules under `tests` that a benchmark imports, by the names that it has for them."""
    found: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tests":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                if isinstance(known := getattr(module, alias.name), ModuleType):
                    found[alias.asname or alias.name] = known
    return found


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_takes_from_other_tests_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = modules_of_tests(tree)
    missing = [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
        if not hasattr(modules[node.value.id], node.attr)
    ]
    assert missing == []
