"""No engine that a test, a benchmark or the demo starts can ask a public node of the DHT."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from engine.demo import Plan, Swarm
from engine.session.options import SessionOptions
from engine.settings import merge
from tests.architecture.source import ROOT
from tests.benchmarks.child import clean_environment
from tests.commands.rig import Rig
from tests.interop.driver import own_environment
from tests.swarm.drivers import environment as swarm_environment


def _demo(home: Path) -> Mapping[str, str]:
    return Swarm(home, Plan())._environ()


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(lambda _home: os.environ, id="this process"),
        pytest.param(lambda home: Rig(home).environ, id="commands"),
        pytest.param(own_environment, id="interop"),
        pytest.param(clean_environment, id="benchmarks"),
        pytest.param(swarm_environment, id="swarm"),
        pytest.param(_demo, id="demo"),
    ],
)
def test_every_environment_of_a_child_names_no_node(
    tmp_path: Path, environment: Callable[[Path], Mapping[str, str]]
) -> None:
    assert merge(environ=environment(tmp_path)).settings.dht.bootstrap == ()


def test_a_session_without_settings_has_no_node() -> None:
    assert not SessionOptions().dht.is_enabled
    assert SessionOptions().dht.bootstrap == ()


def test_no_test_writes_the_name_of_a_public_node() -> None:
    names = [name.partition(":")[0] for name in merge().settings.dht.bootstrap]
    assert names
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text()
        assert not [name for name in names if name in text], path
