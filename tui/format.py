"""Units → text and back: sizes, rates, durations, ratios, and text that fills an exact width.

Widths are terminal cells as Textual's renderer counts them. Names come from the network: `clean`
takes out everything that could move a cursor, reverse a line or change a width behind our back.
Pure: no Textual, no clock.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Final

from rich.cells import cell_len

from engine.errors import InputError

UNITS: Final = ("B", "K", "M", "G", "T", "P", "E")
EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
ELLIPSIS: Final = "…"
REPLACEMENT: Final = "�"

_PLAIN: Final = frozenset(map(chr, range(0x20, 0x7F)))
_RATE: Final = re.compile(r"(\d+(?:[.,]\d+)?)\s*([kmgt]?)(?:i?b)?(?:/s)?")


NO_MAGNET: Final = "none: no link leads to a private torrent"
"""In place of the magnet link of a private torrent."""


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────


def _scaled(count: float) -> tuple[str, str]:
    """Three significant digits and the unit's letter; never four digits, but the next unit. Bytes
    are whole, so that they are shown exactly up to the first KiB."""
    value = max(0.0, float(count))
    if value < 1023.5:
        return f"{value:.0f}", UNITS[0]
    for unit in UNITS[1:]:
        value /= 1024
        if value < 9.995:
            return f"{value:.2f}", unit
        if value < 99.95:
            return f"{value:.1f}", unit
        if value < 999.5 or unit == UNITS[-1]:
            return f"{min(value, 999):.0f}", unit
    raise AssertionError  # the last unit takes everything


def size(count: float) -> str:
    """Bytes in full, as "4.70 GiB"."""
    digits, unit = _scaled(count)
    return f"{digits} {unit}" if unit == "B" else f"{digits} {unit}iB"


def short_size(count: float) -> str:
    """Bytes in at most five cells, as "4.70G" (binary units)."""
    return "".join(_scaled(count))


def rate(bytes_per_s: float) -> str:
    """A rate in full, as "12.3 MiB/s"."""
    return f"{size(bytes_per_s)}/s"


def short_rate(bytes_per_s: float) -> str:
    """A rate in at most five cells; empty while nothing moves, so that what moves stands out."""
    return short_size(bytes_per_s) if bytes_per_s >= 1 else ""


def limit(bytes_per_s: int) -> str:
    """A rate limit; 0 is none."""
    return rate(bytes_per_s) if bytes_per_s > 0 else "unlimited"


def duration(seconds: float | None) -> str:
    """The two largest units in at most six cells, as "3h12m"; "" for None, "∞" from 1,000 days."""
    if seconds is None:
        return ""
    if not math.isfinite(seconds) or seconds >= 1000 * 86400:
        return "∞"
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days >= 100:
        return f"{days}d"
    if days:
        return f"{days}d{hours % 24:02}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    if minutes:
        return f"{minutes}m{whole % 60:02}s"
    return f"{whole}s"


def ratio(value: float) -> str:
    """Uploaded by downloaded in at most four cells."""
    if not math.isfinite(value) or value >= 9999.5:
        return "∞"
    value = max(0.0, value)
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def percent(progress: float, digits: int = 0) -> str:
    """0 to 1 as a percentage, rounded down: 100 % is said only of what is complete."""
    scale = 10**digits
    exact = min(1.0, max(0.0, progress)) * 100
    # A product such as 0.29 * 100 falls a hair short of its integer: nudge it, far below a digit.
    shown = 100.0 if progress >= 1 else math.floor(exact * scale + 1e-6) / scale
    if shown >= 100 > exact:
        shown = 100 - 1 / scale
    return f"{shown:.{digits}f}%"


def plural(number: int, noun: str) -> str:
    """A counted noun, as "1 torrent", "3 torrents"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def parse_rate(text: str) -> int:
    """Read a rate limit in bytes a second: "500K", "1.5 MiB/s", "2m"; empty, "0", "none" → 0.

    A number without a unit is KiB/s, which is what people mean. Raises InputError otherwise.
    """
    asked = text.strip().casefold()
    if asked in {"", "0", "none", "unlimited", "∞"}:
        return 0
    match = _RATE.fullmatch(asked)
    if match is None:
        raise InputError(f"“{clean(text.strip())}” is no rate; write 500K, 1.5M or 0 for none")
    number, unit = match.groups()
    has_b = asked.rstrip("/s").endswith("b") and not unit
    power = 0 if has_b else "kmgt".index(unit or "k") + 1
    value = float(number.replace(",", ".")) * 1024**power
    if value >= 2**53:
        raise InputError(f"“{clean(text.strip())}” is more than any line carries")
    return int(value) or int(value > 0)  # 0 stands for no limit, which is not what was meant


# ── cells ───────────────────────────────────────────────────────────────────────────────────────


def _is_safe(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def clean(text: str) -> str:
    """Text that is safe to put on a screen and whose width every terminal agrees on.

    Controls, line breaks and lone surrogates become one replacement character; format characters
    (bidirectional overrides, joiners) and variation selectors are dropped.
    """
    if _PLAIN.issuperset(text):
        return text
    kept = []
    for char in text:
        if char in _PLAIN or _is_safe(char):
            if not (0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF):
                kept.append(char)
        elif unicodedata.category(char) != "Cf":
            kept.append(REPLACEMENT)
    return "".join(kept)


def _prefix(text: str, width: int) -> str:
    """The longest beginning of `text` that is at most `width` cells wide."""
    if len(text) <= width and cell_len(text) <= width:
        return text
    end = used = 0
    for char in text:
        used += cell_len(char)
        if used > width:
            break
        end += 1
    return text[:end]


def truncate(text: str, width: int) -> str:
    """`text`, or its beginning and an ellipsis, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    return _prefix(text, width - 1) + ELLIPSIS if width > 0 else ""


def truncate_start(text: str, width: int) -> str:
    """An ellipsis and the end of `text`: for paths, whose end tells more."""
    if cell_len(text) <= width:
        return text
    return ELLIPSIS + _prefix(text[::-1], width - 1)[::-1] if width > 0 else ""


def excerpt(text: str, most: int) -> str:
    """`text` without its middle if it has more than `most` characters: of an error that quotes what
    somebody pasted, the reason stands at the end."""
    if len(text) <= most:
        return text
    half = max(1, most // 2)
    return f"{text[:half]}{ELLIPSIS}{text[-half:]}"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, truncated or padded."""
    width = max(0, width)
    shown = truncate(text, width)
    gap = " " * (width - cell_len(shown))
    return gap + shown if right else shown + gap


def bar(progress: float, width: int) -> tuple[str, str]:
    """The filled and the empty part of a bar, together exactly `width` cells, in eighths of one.

    Full only at 1.0 and empty only at 0.0, so that neither end is claimed too early.
    """
    eighths = width * 8
    filled = math.floor(min(1.0, max(0.0, progress)) * eighths)
    if 0 < progress < 1 and width > 0:
        filled = min(max(filled, 1), eighths - 1)
    whole, part = divmod(filled, 8)
    done = EIGHTHS[8] * whole + (EIGHTHS[part] if part else "")
    return done, " " * (width - len(done))
