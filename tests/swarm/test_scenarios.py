"""Every scenario that is shipped, as `make swarm` runs it: what must be true in the end is.

Figures are not judged here: several run at once beside each other, and a machine of CI has other
work. A few run in containers of the image where that can be, the others in network namespaces.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.swarm.able import no_containers, no_namespaces
from tests.swarm.drivers import ROOT
from tests.swarm.library import lacking, load, shipped

IN_CONTAINERS = ("publisher-leaves", "smoke", "udp-tracker")
"""Few: to start and to end a container costs more CPU than what it then does."""
LONG = (
    *("slow-and-lossy", "super-seed", "flash-crowd", "partition-and-heal", "churn"),
    *("free-riders", "mixed"),
)
"""Begun first, so that none of them is what all others are waited for in the end."""
FEWER = {"flash-crowd": 6, "free-riders": 10, "super-seed": 6}
"""Peers of those that are there for their figures."""
_FIGURES = ("T_last/T_min", "publisher's upload", "free riders take")
_MOST_S = 420

pytestmark = [pytest.mark.swarm, pytest.mark.timeout(_MOST_S + 30)]


def _runtime(name: str) -> str:
    if name in IN_CONTAINERS and not no_containers():
        return "containers"
    if not no_namespaces():
        return "netns"
    if not no_containers():
        return "containers"
    pytest.skip(f"{no_namespaces()}; {no_containers()}")


@pytest.mark.parametrize("name", [*LONG, *(name for name in shipped() if name not in LONG)])
def test_it_ends_as_the_scenario_expects(name: str, tmp_path: Path) -> None:
    if why := lacking(load(name)):
        pytest.skip(why)
    runtime = _runtime(name)
    command = [sys.executable, "-m", "tests.swarm", "run", name, "--runtime", runtime]
    if name in FEWER:
        command += ["--peers", str(FEWER[name])]
    done = subprocess.run(
        [*command, "--report", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_MOST_S,
    )
    assert done.returncode in (0, 1), done.stderr
    report = tmp_path / name / "report.json"
    assert report.exists(), done.stderr
    expectations = json.loads(report.read_text())["expectations"]
    missed = [each for each in expectations if not each["is_met"]]
    assert not [each for each in missed if not each["what"].startswith(_FIGURES)], done.stderr


def test_those_that_are_named_are_shipped() -> None:
    assert {*IN_CONTAINERS, *LONG, *FEWER} <= set(shipped())
