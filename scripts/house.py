"""Prints the figures of the code's structure: `python scripts/house.py`, `--json` for machines.

Sizes of files and functions, `Any`, comments that say why, docstrings that begin with a verb, options of a
command, imports in a circle. The goals are those of docs/decisions/012-structure.md.
"""

import ast
import json
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

SOURCE = Path(__file__).parent.parent / "src" / "pellucid"
VERB = re.compile(r"[A-Z][a-z]+(s|es)\b")
NO_VERBS = {"This", "Its", "Is", "As", "Always", "Less", "Points", "Names", "Sides", "Files", "Results"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file of the package."""

    name: str
    text: str
    tree: ast.Module

    @property
    def functions(self) -> Iterator[Function]:
        """Every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def modules() -> list[Module]:
    """Reads the package."""
    found: list[Module] = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found.append(Module(name=name, text=text, tree=ast.parse(text)))
    return found


def lines_of(function: Function) -> int:
    """Counts the lines of a function's body below its docstring: signatures and prose are no logic."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def why_comments(text: str) -> int:
    """Counts lines with a comment that is no instruction to a tool."""
    return sum(
        1
        for line in text.splitlines()
        if re.search(r"(^|\s)# ", line) and "noqa" not in line and "pyright" not in line
    )


def first_words(module: Module) -> Iterator[bool]:
    """Yields for each public function with a docstring whether it begins with a verb."""
    for function in module.functions:
        text = ast.get_docstring(function)
        is_property = any("property" in ast.unparse(each) for each in function.decorator_list)
        # a property is an attribute to its reader, and is described like one; commands address a person
        is_command = any("command" in ast.unparse(each) for each in function.decorator_list)
        if text and not function.name.startswith("_") and not is_property and not is_command:
            yield bool(VERB.match(text)) and text.split()[0] not in NO_VERBS


def circles(found: list[Module]) -> list[tuple[str, str]]:
    """Finds pairs of modules that import one another when they are loaded."""
    names = {module.name for module in found}
    imports = {
        module.name: {
            node.module
            for node in module.tree.body
            if isinstance(node, ast.ImportFrom) and node.module in names
        }
        for module in found
    }
    return [(a, b) for a in imports for b in imports[a] if a < b and a in imports.get(b, set())]


def options_of_commands() -> dict[str, int]:
    """Counts the options of every command that has no commands below it."""
    from pellucid.apps.cli import COMMANDS, cli

    counts: dict[str, int] = {}

    def visit(name: str, command: click.Command | None) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for below in command.list_commands(context):
                visit(f"{name} {below}", command.get_command(context, below))
        elif command is not None:
            counts[name] = sum(isinstance(each, click.Option) for each in command.params)

    for name in COMMANDS:
        visit(name, cli.get_command(click.Context(cli), name))
    return counts


def figures() -> dict[str, float | int | str]:
    """Measures the package."""
    found = modules()
    sizes = [module.text.count("\n") for module in found]
    bodies = sorted(lines_of(function) for module in found for function in module.functions)
    anys = {module.name: len(re.findall(r"\bAny\b", module.text)) for module in found}
    verbs = [each for module in found for each in first_words(module)]
    options = options_of_commands()
    most = max(options, key=lambda name: options[name])
    return {
        "files": len(found),
        "lines": sum(sizes),
        "file_median": statistics.median(sizes),
        "file_longest": max(sizes),
        "function_median": statistics.median(bodies),
        "function_p90": bodies[int(0.9 * len(bodies))],
        "function_longest": bodies[-1],
        "any_per_1000_lines": round(1000 * sum(anys.values()) / sum(sizes), 2),
        "any_outside_stock_per_1000_lines": round(
            1000 * (sum(anys.values()) - anys["pellucid.pipelines.stock"]) / sum(sizes), 2
        ),
        "why_comments_percent": round(100 * sum(why_comments(m.text) for m in found) / sum(sizes), 2),
        "docstrings_verb_first_percent": round(100 * sum(verbs) / len(verbs), 1),
        "circles": len(circles(found)),
        "options_most": options[most],
        "options_most_command": most,
    }


if __name__ == "__main__":
    measured = figures()
    if "--json" in sys.argv:
        print(json.dumps(measured, indent=1))
    else:
        for key, value in measured.items():
            print(f"{key:36} {value}")
