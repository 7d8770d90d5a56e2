"""Where log lines go: standard error for servers, nowhere for what shows its own progress."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from tui.format import clean

FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _SafeFormatter(logging.Formatter):
    """Names of torrents and words of trackers must not steer the terminal that shows the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        record.message = clean(record.message)
        return super().formatMessage(record)


class _JsonFormatter(logging.Formatter):
    """One object a line, for programs that collect logs."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def log_to_stderr(level: str, form: str = "text") -> None:
    """Log everything from `level` (debug, info, warning, error) on, as `form` text or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _SafeFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.INFO, logging.getLogger().level))


def log_nowhere() -> None:
    """Keep the library's warnings off the screen: errors are shown by who runs the command."""
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
