"""Each victim ends with nothing logged as a failure of ours, and every connection given back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.hostile.arena import Arena, arena_at


@pytest.fixture(autouse=True)
def nothing_failed(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """No traceback is logged, and no error: none of this is our fault."""
    caplog.set_level(logging.INFO)
    yield
    failures = [
        record.getMessage()
        for when in ("setup", "call")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert not failures


@pytest.fixture
async def leeching(tmp_path: Path) -> AsyncIterator[Arena]:
    """The victim has nothing yet and knows nobody."""
    async with arena_at(tmp_path, complete=False) as arena:
        yield arena


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Arena]:
    """The victim has everything."""
    async with arena_at(tmp_path, complete=True) as arena:
        yield arena
