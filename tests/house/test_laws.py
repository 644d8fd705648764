"""The laws of the house, held by the test run: floors, no cycles, light imports, strict types, one style."""

import ast
import functools
import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    "errors": 0, "model": 0, "injected": 0, "protocol": 1, "dialects": 1, "view": 1, "emitter": 2, "store": 2, "graph": 2,
    "testing": 3, "detection": 3, "collector": 5, "alerting": 4, "signals": 4, "export": 4, "receiver": 6, "forwarder": 6,
    "messenger": 6, "cli": 7,
}  # fmt: skip


@functools.cache
def sources() -> list[Path]:
    return sorted(p for room in ("trajectory", "tui") for p in (ROOT / room).rglob("*.py"))


@functools.cache
def modules() -> dict[str, Path]:
    """Our files by the names that they are imported by."""
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in sources()}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> list[str]:
    """Our own modules that a file imports when it is loaded or run; what is only imported for types does not count."""
    found: list[str] = []
    waiting: list[ast.AST] = [parsed(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named = (f"{node.module}.{alias.name}" for alias in node.names)
            found += [node.module, *(module for module in named if module in modules())]
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case | ast.Module):  # no expression imports
            is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            waiting += () if is_for_types else ast.iter_child_nodes(node)
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "trajectory" and len(parts) > 1 else ""


def test_a_room_imports_only_from_the_floors_below() -> None:
    assert [f"{path.relative_to(ROOT)}: {wrong}" for path in sources() for wrong in wrong_imports(path)] == []


def wrong_imports(path: Path) -> Iterator[str]:
    place = path.relative_to(ROOT).with_suffix("").parts
    for module in imports(path):
        if place[0] == "tui":
            if module.startswith("trajectory") and room_of(module) not in ("view", "errors"):
                yield module
        elif module.startswith("tui"):
            if place[1] != "cli":
                yield f"{module}: only the command line opens the dashboard"
        elif module == "trajectory.otel" and place[1] == "injected":
            continue  # it runs in other people's programs, and takes what it finds there
        elif room_of(module) not in ("", place[1]) and len(place) > 2 and FLOORS[room_of(module)] >= FLOORS[place[1]]:
            yield f"{place[1]} stands below {room_of(module)}"


def test_no_module_imports_itself_in_a_circle_not_even_later_on() -> None:
    graph = {name: {other for other in imports(path) if other in modules()} for name, path in modules().items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def loaded_by(code: str) -> set[str]:
    script = f"import sys; before = set(sys.modules)\n{code}\nprint('\\n'.join(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {line.split(".")[0] for line in run.stdout.splitlines()}


def test_importing_trajectory_loads_the_standard_library_only() -> None:
    assert loaded_by("import trajectory") <= {"trajectory", *sys.stdlib_module_names}


def test_the_emitter_loads_neither_networkx_nor_numpy_nor_sqlite_nor_textual() -> None:
    heavy = loaded_by("import trajectory; trajectory.agent; import trajectory.emitter.sender")
    assert not heavy & {"networkx", "numpy", "sqlite3", "textual", "rich", "msgspec", "google"}


def test_help_loads_nothing_but_the_standard_library_and_msgpack() -> None:
    code = "from trajectory.cli import build_parser; build_parser('none').format_help()"
    assert loaded_by(code) <= {"trajectory", *sys.stdlib_module_names}


def test_the_screen_loads_neither_networkx_nor_numpy_nor_sqlite() -> None:
    assert not loaded_by("import tui.app") & {"networkx", "numpy", "sqlite3", "zmq"}


def test_the_first_picture_loads_no_screen_but_the_list_of_runs() -> None:
    code = "import tui.app\nopened = [m for m in sys.modules if m.startswith('tui.screens.')]\nassert 0, opened"
    told = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys\n{code}"], capture_output=True, text=True, cwd=ROOT
    ).stderr
    opened = set(re.findall(r"tui\.screens\.(\w+)", told))
    assert opened == {"asking", "barred", "framed", "base", "runs"}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(p.relative_to(ROOT)) for p in sources() if not ast.get_docstring(parsed(p))]
    assert silent == []


CONTRACTS = (
    "trajectory", "trajectory.testing", "trajectory.otel", "trajectory.detection.contract", "trajectory.export.contract",
    "trajectory.emitter.processors.facts", "trajectory.alerting.channels.contract", "trajectory.store.contract",
    "trajectory.view.feed",
)  # fmt: skip


def undocumented(thing: Any, name: str) -> Iterator[str]:
    """What a stranger may call of a thing and finds no word about."""
    if inspect.isfunction(thing) or inspect.isclass(thing):
        if not (thing.__doc__ or "").strip() or thing.__doc__.startswith(f"{thing.__name__}("):  # as dataclasses say it
            yield name
        for key, value in vars(thing).items() if inspect.isclass(thing) else ():
            function = getattr(value, "fget", getattr(value, "__func__", value))
            if inspect.isfunction(function) and not key.startswith("_") and not (function.__doc__ or "").strip():
                yield f"{name}.{key}"


@pytest.mark.parametrize("module", CONTRACTS)
def test_what_strangers_call_or_implement_says_what_it_takes_and_gives(module: str) -> None:
    room = importlib.import_module(module)
    own = [n for n, thing in vars(room).items() if getattr(thing, "__module__", "") == module and not n.startswith("_")]
    names = getattr(room, "__all__", own)
    assert names
    assert [each for name in names for each in undocumented(getattr(room, name), f"{module}.{name}")] == []


def raised_by(node: ast.AST) -> Iterator[str]:
    """The exceptions that a function raises by name, but for what it may catch itself and what those inside it raise."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call) and isinstance(child.exc.func, ast.Name):
            yield child.exc.func.id
        elif isinstance(child, ast.Try):
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from raised_by(part)
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from raised_by(child)


def unsaid(node: ast.AST, words: str = "") -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_") and child.name != "__init__":
                continue
            told = f"{words} {ast.get_docstring(child) or ''}"
            if isinstance(child, ast.ClassDef):
                yield from unsaid(child, told)
            elif "Raises" not in told:
                silent = (name for name in raised_by(child) if name not in told and name != "NotImplementedError")
                yield from (f"{child.name}: {name}" for name in silent)


def test_what_a_function_raises_is_said_where_it_is_described() -> None:
    rooms = {name: path for name, path in modules().items() if not name.startswith("trajectory.cli")}
    assert [f"{name}.{each}" for name, path in rooms.items() for each in unsaid(parsed(path))] == []


def test_names_of_classes_are_words_for_things() -> None:
    vague = re.compile(r"class \w*(Manager|Helper|Utils?|Base|Impl)\b")
    assert [p.name for p in sources() if vague.search(p.read_text())] == []


HELD_FOR_TESTS = {"trajectory.emitter.misuse.forget_reports"}


def given(node: ast.stmt) -> set[str]:
    """The names that a statement of a module gives to it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def test_nothing_is_kept_that_nothing_uses() -> None:
    imported, attributes, loaded = set(), set(), {}
    for name, path in modules().items():
        nodes = list(ast.walk(parsed(path)))
        imported |= {f"{n.module}.{alias.name}" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
        attributes |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        loaded[name] = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    project = (ROOT / "pyproject.toml").read_text()
    unused = []
    for module, path in modules().items():
        known = loaded[module] | (attributes if module in imported else set())
        known |= {"add_arguments", "run"} if module.startswith("trajectory.cli.") else set()  # of a command
        for names in filter(None, map(given, parsed(path).body)):
            places = {f"{module}.{name}" for name in names}
            is_named = any(f"{module}:{name}" in project for name in names) or any(n.startswith("__") for n in names)
            if not (is_named or names & known or places & (imported | HELD_FOR_TESTS)):
                unused += places
    assert unused == []


def test_nothing_is_pickled_or_evaluated() -> None:
    forbidden = re.compile(r"^\s*(import|from) (pickle|marshal|shelve)\b|(?<![\w.])(eval|exec)\(", re.MULTILINE)
    assert [p.name for p in sources() if forbidden.search(p.read_text())] == []


_OUTSIDE = ("test", "bench")  # extras of what is not in the package


def test_every_dependency_is_used_and_every_import_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [d for name, those in project["optional-dependencies"].items() if name not in _OUTSIDE for d in those]
    declared, optional = (
        {re.split(r"[><=~! ]", d)[0].lower() for d in those} for those in (project["dependencies"], extras)
    )
    modules = {m.split(".")[0] for p in sources() for m in imports(p)}
    ours = {"trajectory", "trajectory_activation", "tui", "compression"}  # the last is Python's own from 3.14
    packages = importlib.metadata.packages_distributions()
    used = {
        d.lower().replace("_", "-") for m in modules - ours - set(sys.stdlib_module_names) for d in packages.get(m, [m])
    }
    others = {
        "rich",
        "protobuf",
        "opentelemetry-api",
        "opentelemetry-semantic-conventions",
    }  # of textual, of the OTel packages
    assert used - declared - optional <= others
    assert (declared | optional) - used <= {"httptools"}  # loaded by uvicorn


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["lint", "format", "types"],
)
def test_the_checkers_are_content(command: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
