"""What importing a module drags in: front ends start quickly and load no engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.architecture.source import ROOT, module_names

ENGINE_ROOMS = {
    f"engine.{room}"
    for room in ("net", "session", "storage", "swarm", "torrent", "tracker", "wire")
}


def _loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(run.stdout.split())


def _among(loaded: set[str], roots: Iterable[str]) -> list[str]:
    return sorted(
        name
        for name in loaded
        if any(name == root or name.startswith(f"{root}.") for root in roots)
    )


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("engine.control.client", {"aiohttp", "textual", "sqlite3", "uvloop", *ENGINE_ROOMS}),
        ("engine.session.session", {"cryptography", "textual", "tui"}),
        ("engine.cli", {"aiohttp", "textual", "uvloop", "tui", *ENGINE_ROOMS}),
        *(
            (f"engine.commands.{name}", {"aiohttp", "engine.net", "engine.torrent"})
            for name in ("get", "seed", "daemon", "tracker")
        ),
        ("tui.link", {"aiohttp", "sqlite3", *ENGINE_ROOMS}),
        ("tui.store", {"textual", "aiohttp", "asyncio", *ENGINE_ROOMS}),
        ("engine.tracker.app", {"textual", "sqlite3", "tui", "engine.session", "engine.torrent"}),
    ],
)
def test_imports_stay_small(module: str, unwanted: set[str]) -> None:
    if module not in module_names():
        pytest.skip(f"{module} is not built yet")
    dragged_in = _among(_loaded_by(module), unwanted)
    assert not dragged_in, f"import {module} loads {dragged_in}"
