"""Whoever starts engines keeps them quiet."""

from __future__ import annotations

import os
from pathlib import Path

from engine.net import multicast
from tests.benchmarks.child import clean_environment
from tests.commands.rig import Rig
from tests.interop.driver import own_environment
from tests.no_multicast import NO_MULTICAST


def test_engines_of_tests_and_benchmarks_are_quiet(tmp_path: Path) -> None:
    for environ in (
        os.environ,
        Rig(tmp_path).environ,
        own_environment(tmp_path),
        clean_environment(tmp_path),
    ):
        assert NO_MULTICAST.items() <= environ.items()


def test_there_is_no_network_for_multicast() -> None:
    assert multicast.interfaces() == []
