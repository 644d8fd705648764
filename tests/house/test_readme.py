"""The README promises nothing that is not there: commands with their options, settings, files, blocks that can be read."""

import argparse
import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from trajectory.cli import COMMANDS, build_parser

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CODE = [*re.findall(r"`([^`\n]+)`", README), *(line for _, block in BLOCKS for line in block.splitlines())]


def actions_of(parser: argparse.ArgumentParser, chosen: str = "") -> Iterator[argparse.Action]:
    """What a parser takes, and those of its actions, or of the one that is chosen, take."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from actions_of(below) if chosen in ("", name) else ()


@cache
def options_of(command: str) -> dict[str, list[str]]:
    """What each option of a command, or its first argument (``), may be; nothing where it may be anything."""
    found: dict[str, list[str]] = {}
    for action in [*actions_of(build_parser(command), command)][3:]:  # behind help, version and the command
        for name in action.option_strings or [""]:
            found.setdefault(name, [str(choice) for choice in action.choices or ()])
    return found


def said() -> list[tuple[str, str]]:
    """The commands that the README writes, each with what follows it up to a program's own words."""
    found = []
    for code in CODE:
        before, *written = re.split(
            r"(?<![\w./])trajectory (?=[a-z])", code.replace("\\|", "|").replace(".venv/bin/", "")
        )
        for each in written or [before]:
            name, _, rest = each.partition(" -- ")[0].partition("#")[0].strip().partition(" ")
            if name in COMMANDS:
                found.append((name, rest))
    return found


def test_each_command_and_option_of_the_readme_exists() -> None:
    assert {name for name, _ in said()} == set(COMMANDS)
    wrong = [
        f"{n} {o}" for n, rest in said() for o in re.findall(r"(?<!\S)\[?(--[a-z-]+)", rest) if o not in options_of(n)
    ]
    assert wrong == []


def test_where_the_readme_lists_what_an_option_may_be_it_lists_all() -> None:
    lists = [
        (command, name, listed.split("|"))
        for command, rest in said()
        for name, listed in re.findall(r"(?:(--[a-z-]+) |^\[?)([\w-]+(?:\|[\w-]+)+)", rest)
    ]
    assert len(lists) > 3
    assert [each for each in lists if sorted(each[2]) != sorted(options_of(each[0])[each[1]])] == []


def test_each_variable_of_the_readme_is_read() -> None:
    source = "".join(path.read_text() for room in ("trajectory", "tests") for path in (ROOT / room).rglob("*.py"))
    assert [name for name in set(re.findall(r"TRAJECTORY_[A-Z_]+", README)) if f'"{name}"' not in source] == []


def test_each_file_that_the_readme_names_is_there() -> None:
    named = {*re.findall(r"\]\(([^)]+)\)", README), *re.findall(r"`((?:examples|tests|trajectory)/[\w./-]*)", README)}
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(("language", "block"), BLOCKS, ids=lambda each: str(each)[:30])
def test_each_block_of_the_readme_can_be_read(language: str, block: str) -> None:
    if language == "python":
        ast.parse(block)
    if language == "toml":
        tomllib.loads(block)
