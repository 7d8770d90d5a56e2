"""The ratios as a chart in SVG, for light and dark pages. Pure.

One bar for each client in each leg: its median ratio to the reference of that leg, with a whisker
from the least to the greatest; the reference is the line at 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tests.benchmarks.figures import FIGURES, LegResult, spread
from tests.benchmarks.machine import Machine
from tests.benchmarks.targets import OURS, Verdict, judge
from tests.palette import styled

WIDTH = 860
_LEFT, _RIGHT, _TOP = 210, 130, 84
_BAR, _GAP, _LEG_GAP = 14, 5, 26
_STEP = 0.5
_MOST = 4.0
"""Longer bars are cut, and say so; their number stands beside them."""
_LETTER = 5.6
"""Width of a letter of the small print, for breaking lines; SVG cannot."""

_EXPLANATION = (
    "Ratio to libtorrent, in checking and creating to a plain two-thread hash: median of the "
    "rounds, whisker from least to most."
)
_STYLE = styled(
    """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  fill: $ink; }
.title { font-size: 17px; font-weight: 650; }
.leg { font-weight: 600; }
.soft { fill: $soft; font-size: 11px; }
.card { fill: $card; stroke: $line; }
.grid { stroke: $line; }
.one { stroke: $soft; stroke-dasharray: 3 3; }
.ours { fill: $teal; }
.other { fill: $grey; }
.whisker { stroke: $ink; stroke-opacity: .65; }
.value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke: $card;
  stroke-width: 4; stroke-linejoin: round; }
.target { stroke: $ink; stroke-width: 2; }
.met { fill: $good; }
.missed { fill: $bad; }
"""
)


def draw(results: Sequence[LegResult], machine: Machine, figure: str = "speed") -> str:
    """Draw all legs that have the figure and something to compare."""
    legs = [result for result in results if _compared(result, figure)]
    scale = _scale(legs, figure)
    body: list[str] = []
    y = _TOP
    for result in legs:
        y = _leg(result, figure, y, scale, body)
    axis = _axis(scale, y - _LEG_GAP + 8) if legs else []
    label = FIGURES[figure].label
    heading = f"seedwright beside other clients: {label}"
    small = [_EXPLANATION, *_wrapped(str(machine), int((WIDTH - 48) / _LETTER))]
    height = y + 18 + 15 * len(small)
    notes = [_text("soft", 24, y + 8 + 15 * row, line) for row, line in enumerate(small)]
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    frame = f'x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="14"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{heading}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="card" {frame}/>',
        _text("title", 24, 38, heading),
        *axis,
        *body,
        *notes,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _compared(result: LegResult, figure: str) -> bool:
    return figure in result.figures and any(
        result.ratios(client, figure) for client in result.rows if client != result.reference
    )


def _targets(result: LegResult, figure: str) -> list[Verdict]:
    return [
        verdict
        for verdict in judge(result)
        if verdict.target.figure == figure and verdict.target.over == result.reference
    ]


def _scale(legs: Sequence[LegResult], figure: str) -> float:
    """Pixels of a ratio of 1."""
    most = 1.0
    for result in legs:
        ratios = [ratio for client in result.rows for ratio in result.ratios(client, figure)]
        bounds = [verdict.target.bound for verdict in _targets(result, figure)]
        most = max([most, *(min(each, _MOST) for each in ratios + bounds)])
    return (WIDTH - _LEFT - _RIGHT) / (math.ceil(most * 4) / 4)


def _axis(scale: float, bottom: float) -> list[str]:
    lines = []
    for step in range(int((WIDTH - _LEFT - _RIGHT) / scale / _STEP) + 1):
        x = _LEFT + step * _STEP * scale
        lines.append(_line("one" if step * _STEP == 1 else "grid", x, _TOP - 8, x, bottom))
        lines.append(_text("soft", x, _TOP - 14, f"× {step * _STEP:g}", "middle"))
    return lines


def _leg(result: LegResult, figure: str, y: int, scale: float, body: list[str]) -> int:
    """Draw one leg at `y`; return where the next one begins."""
    body.append(_text("leg", 24, y + 11, result.leg))
    top = y
    values: list[str] = []  # drawn last: the mark of a target must not strike one out
    for client in result.rows:
        ratios = result.ratios(client, figure)
        if client != result.reference and ratios:
            values.append(_bar(client, ratios, y, scale, body))
            y += _BAR + _GAP
    for verdict in _targets(result, figure):
        x = _LEFT + min(verdict.target.bound, _MOST) * scale
        kind, mark = ("met", "✓") if verdict.is_met else ("missed", "✗")
        sign = "≥" if verdict.target.at_least else "≤"
        body.append(_line("target", x, top - 3, x, top + _BAR + 3))
        text = f"{mark} {sign} {verdict.target.bound:g}"
        body.append(_text(kind, WIDTH - 24, top + 11, text, "end"))
    body += values
    return y + _LEG_GAP - _GAP


def _bar(client: str, ratios: Sequence[float], y: int, scale: float, body: list[str]) -> str:
    """Draw a bar; return its value."""
    found = spread(ratios)
    length = min(found.middle, _MOST) * scale
    kind = "ours" if client == OURS else "other"
    low, high = (_LEFT + min(end, _MOST) * scale for end in (found.low, found.high))
    middle = y + _BAR / 2
    bar = f'x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3"'
    body.append(_text("soft", _LEFT - 10, y + 11, client, "end"))
    body.append(f'<rect class="{kind}" {bar}/>')
    body.append(_line("whisker", low, middle, high, middle))
    return _text("value", max(high, _LEFT + length) + 8, y + 11, f"{found.middle:.2f}")


def _wrapped(text: str, letters: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
