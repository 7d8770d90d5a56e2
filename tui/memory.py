"""What the interface keeps from one time to the next: the theme and the order of the list. A file
of its own, so that the configuration, which people write, is left alone."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any


def recall(file: Path | None) -> dict[str, Any]:
    """What was kept; nothing where there is no such file, or none that can be read."""
    if file is None:
        return {}
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(file.read_bytes())
        if isinstance(kept, dict):
            return kept
    return {}


def keep(file: Path | None, **facts: Any) -> None:
    """Keep these beside what is there, if the folder can be written: it is no more than comfort."""
    known = recall(file)
    if file is None or known | facts == known:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known | facts), encoding="utf-8")
