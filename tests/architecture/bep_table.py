"""The table of BEPs in engine/README.md: which modules speak one, by their docstrings.

`make bep-table` brings the modules up to date; titles are written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.architecture.source import ROOT, Module, modules

README = ROOT / "engine" / "README.md"
HEADER = "| BEP | what it is about | modules |\n|---|---|---|\n"

_MENTION = re.compile(r"\bBEPs?\s(\d+(?:(?:,\s|,?\sand\s|[ /])\d+)*)\b")
_ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*) \|$", re.MULTILINE)

MODULES_SHOWN = 8
"""A BEP of more modules than this is everywhere: its row names rooms."""

Table = dict[int, tuple[str, list[str]]]
"""BEP → its title, and the modules or rooms that speak it, from engine/ on."""


def beps_in(text: str) -> set[int]:
    """Read `BEP 3`, `BEP 6, 10` and `BEP 15 and 48`."""
    return {int(bep) for found in _MENTION.findall(text) for bep in re.findall(r"\d+", found)}


def speakers(source: Sequence[Module]) -> dict[int, list[str]]:
    """For each BEP the modules whose docstring names it, else those that name it anywhere; their
    rooms where they are many. engine.errors names the BEPs that its errors are about."""
    found: dict[int, list[Path]] = {}
    for words in (lambda module: module.docstring, lambda module: module.text):
        said = [(module.path, bep) for module in source for bep in beps_in(words(module))]
        known = set(found)
        for path, bep in said:
            if bep not in known and path.name != "errors.py":
                found.setdefault(bep, []).append(path.relative_to("engine"))
    return {bep: _shown(paths) for bep, paths in found.items()}


def _shown(paths: Sequence[Path]) -> list[str]:
    if len(paths) <= MODULES_SHOWN:
        return [path.as_posix() for path in paths]
    return sorted({f"{path.parts[0]}/" if len(path.parts) > 1 else path.name for path in paths})


def read() -> Table:
    """The table as it stands."""
    _, _, rows = README.read_text(encoding="utf-8").partition(HEADER)
    table: Table = {}
    for bep, title, cell in _ROW.findall(rows.split("\n\n")[0]):
        table[int(bep)] = (title, re.findall(r"`([^`]+)`", cell))
    return table


def made() -> Table:
    """The table as it should stand, with the titles that the present one has."""
    titles = {bep: title for bep, (title, _) in read().items()}
    found = speakers(modules("engine"))
    return {bep: (titles.get(bep, ""), found[bep]) for bep in sorted(found)}


def lines(table: Table) -> Iterator[str]:
    for bep, (title, paths) in table.items():
        yield f"| {bep} | {title} | {' '.join(f'`{path}`' for path in paths)} |\n"


def rewrite() -> None:
    table = made()
    before, header, rows = README.read_text(encoding="utf-8").partition(HEADER)
    if not header:
        raise SystemExit(f"{README} has no table that begins with {HEADER!r}")
    _, gap, after = rows.partition("\n\n")
    text = before + header + "".join(lines(table)).rstrip("\n") + (gap or "\n") + after
    README.write_text(text, encoding="utf-8")
    if untitled := [bep for bep, (title, _) in table.items() if not title]:
        print(f"Write a title for BEP {', '.join(map(str, untitled))} in {README.name}.")


if __name__ == "__main__":
    rewrite()
