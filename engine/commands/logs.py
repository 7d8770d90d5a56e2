"""Where log lines go: standard error for servers, nowhere for what shows its own progress."""

from __future__ import annotations

import logging
import sys
from typing import Final

from tui.format import clean

FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _SafeFormatter(logging.Formatter):
    """Names of torrents and words of trackers must not steer the terminal that shows the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        record.message = clean(record.message)
        return super().formatMessage(record)


def log_to_stderr(level: str) -> None:
    """Log everything from `level` (debug, info, warning, error) on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_SafeFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.INFO, logging.getLogger().level))


def log_nowhere() -> None:
    """Keep the library's warnings off the screen: errors are shown by who runs the command."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
