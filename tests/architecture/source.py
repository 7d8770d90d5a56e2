"""The product's source as the architecture tests see it: modules, their imports, their words."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Import:
    """`name` is a module of ours where one is meant, else what was written, dotted."""

    name: str
    line: int
    for_types_only: bool


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    path: Path
    """From the root of the repository."""
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """`core` of engine.core.bencode; empty for a module that lies in no room."""
        return self.path.parts[1] if len(self.path.parts) > 2 else ""

    @property
    def is_init(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    def imports(self) -> Iterator[Import]:
        """Every import, also inside of functions."""
        for node, for_types_only in _walk(self.tree, False):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        yield Import(alias.name, node.lineno, for_types_only)
                case ast.ImportFrom(module=source, names=names, level=level):
                    package = self.name.split(".") if self.is_init else self.name.split(".")[:-1]
                    prefix = package[: len(package) - level + 1] if level else []
                    base = ".".join([*prefix, *([source] if source else [])])
                    dotted = [f"{base}.{alias.name}" for alias in names]
                    for name in dict.fromkeys(n if n in module_names() else base for n in dotted):
                        yield Import(name, node.lineno, for_types_only)

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


def _walk(node: ast.AST, for_types_only: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, for_types_only
        match child:
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for statement in child.body:
                    yield statement, True
                    yield from _walk(statement, True)
                for statement in child.orelse:
                    yield statement, for_types_only
                    yield from _walk(statement, for_types_only)
            case _:
                yield from _walk(child, for_types_only)


def _paths(package: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def module_names() -> frozenset[str]:
    return frozenset(_name(path) for package in ("engine", "tui") for path in _paths(package))


@cache
def modules(package: str) -> tuple[Module, ...]:
    """Every module of `engine` or `tui`, by name."""
    found = []
    for path in _paths(package):
        text = (ROOT / path).read_text(encoding="utf-8")
        found.append(Module(_name(path), path, text, ast.parse(text, str(path))))
    return tuple(found)


def assert_none(faults: Iterable[str]) -> None:
    """Fail with one line for each fault."""
    if found := list(faults):
        pytest.fail("\n".join(found), pytrace=False)
