"""Progress of one thing in the foreground: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

from engine.commands.output import say
from tui.format import clean, duration, percent, plural, rate, short_size

LINE_EVERY_S: Final = 5.0
REPEAT_EVERY_S: Final = 60.0


class Display:
    """Shows how far something is: `with Display() as display: display.show(…)`.

    `show` may be called as often as one likes; a terminal is redrawn each time, outside of one a
    line is printed every five seconds, or every minute while it says nothing new.
    """

    def __init__(self) -> None:
        self._bar: _Bar | None = None
        self._next_line_at = time.monotonic() + LINE_EVERY_S
        self._line = ""
        self._repeat_at = 0.0

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            self._bar = _Bar()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: float | None, text: str) -> None:
        """Show a share of 0 to 1, None where there is none, and what is to be said with it."""
        if self._bar is not None:
            self._bar.show(progress, text)
        elif time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + LINE_EVERY_S
            self._say_news(text)

    def _say_news(self, text: str) -> None:
        now = time.monotonic()
        if text != self._line or now >= self._repeat_at:
            self._line = text
            self._repeat_at = now + REPEAT_EVERY_S
            say(text)

    def say(self, text: str) -> None:
        """Print a line for good; in a terminal it stands above the bar."""
        if self._bar is not None:
            self._bar.say(clean(text))
        else:
            say(text)


class _Bar:
    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._progress = Progress(
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
            expand=True,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0, text="")
        self._progress.start()

    def show(self, progress: float | None, text: str) -> None:
        self._progress.update(
            self._task, completed=progress or 0.0, visible=True, text=text, refresh=True
        )

    def say(self, text: str) -> None:
        # By the console that draws the bar: what others write lands behind it, and it stays.
        self._progress.console.print(
            text, markup=False, highlight=False, emoji=False, soft_wrap=True
        )

    def close(self) -> None:
        self._progress.stop()


def transfer_text(done: int, total: int, bytes_per_s: float, peers: int, why: str = "") -> str:
    """Say how a download does: share, bytes, rate, peers, time left; in columns that stay. Of one
    that does not go on say the share and `why`: 80 columns have room for no more."""
    share = percent(done / total if total else 1.0, 1)
    if why:
        return f"{share.rjust(6)}  {why}"
    amount = f"{short_size(done)}/{short_size(total)}"
    left = total - done
    parts = [
        share.rjust(6),
        amount.rjust(11),
        rate(bytes_per_s).rjust(10),
        plural(peers, "peer").ljust(7),
    ]
    if bytes_per_s >= 1 and left > 0 and peers:
        parts.append(f"{duration(left / bytes_per_s)} left")
    return "  ".join(parts).rstrip()
