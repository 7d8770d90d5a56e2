"""What a run shows while it goes on: a line that moves on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from statistics import fmean
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tests.swarm.outcome import Outcome

_LINE_EVERY_S: Final = 5.0
_BAR_CELLS: Final = 24
_MOST_BARS: Final = 40
_LEVELS: Final = " ▁▂▃▄▅▆▇█"


class Watch:
    """Shows an outcome as it grows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_line_at = 0.0
        self._events = 0

    def __call__(self, outcome: Outcome, now_s: float) -> None:
        for at_s, what in outcome.events[self._events :]:
            self._console.print(f"{at_s:6.1f} s  {what}", highlight=False)
        self._events = len(outcome.events)
        line = progress_line(outcome, now_s)
        if self._live is not None:
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        elif now_s >= self._next_line_at:
            self._next_line_at = now_s + _LINE_EVERY_S
            self._console.print(line, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None


def progress_line(outcome: Outcome, now_s: float) -> str:
    """How far all are, in one line: a column for each peer at the end."""
    awaited = outcome.awaited
    done = sum(one.completed_s is not None for one in awaited)
    mean = fmean([one.progress for one in awaited]) if awaited else 0.0
    filled = round(mean * _BAR_CELLS)
    bar = "█" * filled + "·" * (_BAR_CELLS - filled)
    columns = "".join(_LEVELS[int(one.progress * 8)] for one in awaited[:_MOST_BARS])
    return (
        f"{now_s:6.1f} s  {bar} {mean:4.0%}  {done} of {len(awaited)} complete  "
        f"publisher {outcome.copies:.2f} copies  {columns}"
    )
