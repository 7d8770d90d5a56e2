"""Moments as people read them, in the time zone of the terminal."""

from __future__ import annotations

from datetime import UTC, datetime


def _local(at: float, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime(pattern)
    except (OverflowError, OSError, ValueError):
        return "?"


def time_of_day(at: float) -> str:
    """Seconds since the epoch, as "14:05:09"."""
    return _local(at, "%H:%M:%S")


def date(at: float) -> str:
    """Seconds since the epoch, as "2026-05-28"."""
    return _local(at, "%Y-%m-%d")


def date_and_time(at: float) -> str:
    """Seconds since the epoch, as "2026-05-28 14:05"."""
    return _local(at, "%Y-%m-%d %H:%M")
