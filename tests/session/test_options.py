"""What a session is told: what of it the system allows."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from engine.session.options import SessionOptions
from engine.torrent.facilities import Limits


@pytest.fixture
def restored_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("descriptors", "most"), [(256, 116), (1024, 500), (4096, 500)])
def test_connections_leave_descriptors_for_files_and_control(
    restored_limit: int, descriptors: int, most: int
) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, restored_limit))
    options = SessionOptions(limits=Limits(max_connections=500, half_open=7))
    assert options.fitting_limits == Limits(max_connections=most, half_open=7)
