"""Completes paths as they are typed: folders, and files that end as asked."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.suggester import Suggester

SCANNED = 2000
"""Entries of a folder that are looked at; a larger folder suggests from its first ones."""

LONGEST = 4096
"""Characters of a path, as far as systems take them."""


def completion(value: str, ending: str | None) -> str | None:
    """The first path that `value` begins: a folder with a slash, or a file that ends in `ending`
    (None: folders only)."""
    head, slash, start = value.rpartition("/")
    if not slash and value != "~":
        head = "."
    found = []
    try:
        with os.scandir(Path(f"{head}/").expanduser()) as entries:
            for _, entry in zip(range(SCANNED), entries, strict=False):
                if not entry.name.startswith(start) or (
                    entry.name.startswith(".") and not start.startswith(".")
                ):
                    continue
                if entry.is_dir():
                    found.append(f"{entry.name}/")
                elif ending and entry.name.endswith(ending):
                    found.append(entry.name)
    except (OSError, ValueError, RuntimeError):  # the last one of ~ and a user who is not here
        return None
    if not found:
        return None
    return f"{head}/{min(found)}" if slash else min(found)


class PathSuggester(Suggester):
    """Looks for one completion at a time, and then only for what was typed last: a terminal that
    pastes key by key asks thousands of times."""

    def __init__(self, ending: str | None) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._ending = ending
        self._typed = ""
        self._looking = asyncio.Lock()

    async def get_suggestion(self, value: str) -> str | None:
        self._typed = value
        async with self._looking:
            if value != self._typed or len(value) > LONGEST or "://" in value:
                return None
            return await asyncio.to_thread(completion, value, self._ending)
