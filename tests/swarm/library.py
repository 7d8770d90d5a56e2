"""The scenarios that are shipped, one's own by path, and what a machine lacks for one."""

from __future__ import annotations

import dataclasses
import difflib
import shutil
from pathlib import Path
from typing import Final

from engine.settings import KINDS
from tests.swarm.scenario import Scenario, ScenarioError, parse

SCENARIOS: Final = Path(__file__).parent / "scenarios"
_PROGRAMS: Final = {
    "transmission": "transmission-daemon",
    "aria2": "aria2c",
    "qbittorrent": "qbittorrent-nox",
}


def load(name: str) -> Scenario:
    """Read a shipped scenario by its name, or one's own by the path of its file. Raises
    ScenarioError."""
    path = Path(name) if name.endswith(".toml") else SCENARIOS / f"{name}.toml"
    try:
        return parse(path.read_text(), path.stem)
    except OSError as error:
        close = difflib.get_close_matches(name, shipped(), n=1)
        guess = f" (did you mean {close[0]}?)" if close else "; see make swarm-list"
        raise ScenarioError(f"there is no scenario {name}{guess}") from error


def shipped() -> list[str]:
    return sorted(path.stem for path in SCENARIOS.glob("*.toml"))


def lacking(scenario: Scenario) -> str:
    """Say what the engine lacks for a scenario; empty = nothing."""
    unknown = [key for key in scenario.needs if key not in KINDS]
    return f"this engine has no setting {', '.join(unknown)}" if unknown else ""


def with_installed_clients(scenario: Scenario) -> tuple[Scenario, list[str]]:
    """Leave out the roles whose client is not installed, and say which."""
    kept, notes = [], []
    for role in scenario.roles:
        program = _PROGRAMS.get(role.client)
        if program is not None and shutil.which(program) is None:
            notes.append(f"{role.name} is left out: {program} is not installed")
        else:
            kept.append(role)
    return dataclasses.replace(scenario, roles=tuple(kept)), notes
