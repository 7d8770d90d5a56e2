"""Where log lines go, and that no name in them steers a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.commands.rig import ROOT

PROGRAM = """
import logging
from engine.commands.logs import log_nowhere, log_to_stderr
{call}
log = logging.getLogger("engine.x")
log.debug("quiet")
log.info("said %s", "a\\x1b[31mb")
log.warning("warned")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("log_to_stderr('debug')", {"quiet", "said", "warned", "failed"}),
        ("log_to_stderr('info')", {"said", "warned", "failed"}),
        ("log_to_stderr('error')", {"failed"}),
        ("log_nowhere()", set()),
    ],
)
def test_levels(call: str, shown: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert {word for word in ("quiet", "said", "warned", "failed") if word in done.stderr} == shown
    assert "\x1b" not in done.stderr
    assert ("ZeroDivisionError" in done.stderr) == bool(shown)
    if "said" in shown:
        assert "INFO    engine.x: said a�[31mb\n" in done.stderr


def test_one_object_a_line_for_programs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call="log_to_stderr('info', 'json')")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said, warned, failed = map(json.loads, done.stderr.splitlines())
    assert (said["level"], said["logger"], said["message"]) == (
        "info",
        "engine.x",
        "said a\x1b[31mb",
    )
    assert warned["level"] == "warning"
    assert "ZeroDivisionError" in failed["error"]
    assert datetime.fromisoformat(said["time"]).tzinfo is UTC
    assert "\x1b" not in done.stderr
