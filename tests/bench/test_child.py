from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.child import output_of


async def test_children_keep_what_python_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    told = (
        "import json, sys; print(json.dumps({'event': 'result', 'not': sys.dont_write_bytecode}))"
    )
    found = await output_of((sys.executable, "-c", told), tmp_path, 30.0)
    assert found["not"] is False
