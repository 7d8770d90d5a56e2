"""The progress of every peer over time as a picture in SVG, for light and dark pages. Pure."""

from __future__ import annotations

import math
from html import escape
from typing import Final

from tests.palette import styled
from tests.swarm.outcome import Outcome
from tests.swarm.report import summary

WIDTH: Final = 860
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 76, 64
_PLOT_HEIGHT: Final = 320
_STYLE: Final = styled(
    """
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  fill: $ink; }
.title { font-size: 17px; font-weight: 650; }
.soft { fill: $soft; font-size: 11px; }
.card { fill: $card; stroke: $line; }
.grid { stroke: $line; }
.event { stroke: $soft; stroke-dasharray: 2 3; }
.least { stroke: $ink; stroke-dasharray: 5 4; }
.peer { fill: none; stroke: $teal; stroke-width: 1.3; stroke-opacity: .55; }
.other { fill: none; stroke: $orange; stroke-width: 1.3; stroke-opacity: .75; }
.hit { fill: none; stroke: $bad; stroke-width: 1.3; stroke-opacity: .75; }
"""
)


def draw(outcome: Outcome) -> str:
    """Draw one line for each member that came with nothing; dashed is T_min."""
    end = max((sample.at_s for sample in outcome.samples), default=0.0)
    step = _step(max(end, outcome.least_s if outcome.least_s < 2 * end else 0.0, 1.0))
    longest = max(step, math.ceil(max(end, 1.0) / step) * step)
    across = (WIDTH - _LEFT - _RIGHT) / longest
    height = _TOP + _PLOT_HEIGHT + _BOTTOM
    heading = f"{outcome.scenario.name}: {outcome.scenario.description}"
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} aria-label="{escape(heading)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="14"/>',
        _text("title", 24, 34, outcome.scenario.name),
        _text("soft", 24, 54, summary(outcome)),
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        parts.append(_line("grid", _LEFT, y, WIDTH - _RIGHT, y))
        parts.append(_text("soft", _LEFT - 8, y + 4, f"{share:.0%}", "end"))
    for tick in range(int(longest / step) + 1):
        x = _LEFT + tick * step * across
        parts.append(_line("grid", x, _y(1), x, _y(0)))
        parts.append(_text("soft", x, _y(0) + 18, f"{tick * step:g} s", "middle"))
    if 0 < outcome.least_s <= longest:
        x = _LEFT + outcome.least_s * across
        parts.append(_line("least", x, _y(1) - 8, x, _y(0)))
        parts.append(_text("soft", x + 4, _y(1) - 6, "T_min"))
    for at_s, what in outcome.events:
        x = _LEFT + at_s * across
        title = f"<title>{escape(f'{at_s:.1f} s: {what}')}</title>"
        parts.append(_line("event", x, _y(1), x, _y(0)).replace("/>", f">{title}</line>"))
    parts += _curves(outcome, across)
    parts.append(_text("soft", _LEFT, _y(0) + 44, "What each peer has, verified and on disk."))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _curves(outcome: Outcome, across: float) -> list[str]:
    found = []
    for member in outcome.members:
        if member.role.has_all:
            continue
        points = [
            (sample.at_s, sample.progress[member.name])
            for sample in outcome.samples
            if member.name in sample.progress
        ]
        if member.completed_s is not None:
            points = [point for point in points if point[0] < member.completed_s]
            points.append((member.completed_s, 1.0))
        kind = "hit" if member.suffered else "peer"
        if member.role.client != "seedwright" or member.role.behaviour != "honest":
            kind = "other"
        path = " ".join(f"{_LEFT + at * across:.1f},{_y(share):.1f}" for at, share in points)
        label = escape(f"{member.name} ({member.role.client})")
        found.append(f'<polyline class="{kind}" points="{path}"><title>{label}</title></polyline>')
    return found


def _y(share: float) -> float:
    return _TOP + (1 - share) * _PLOT_HEIGHT


def _step(longest: float) -> float:
    """A round number of seconds, so that there are some ten of them."""
    rough = longest / 10
    unit = 10 ** math.floor(math.log10(rough))
    return float(next(unit * each for each in (1, 2, 5, 10) if unit * each >= rough))


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
