"""Results as a table for people and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tests.benchmarks.figures import FIGURES, LegResult, spread
from tests.benchmarks.machine import Machine
from tests.benchmarks.targets import OURS, Verdict, judge

_FAILURE_WIDTH = 200
_LOUD = 0.10
_HEAD = ("", "", "min", "median", "max", "ratio", "(min–max)", "target")


def table(results: Sequence[LegResult]) -> str:
    """All legs, each as a block: a figure, under it a line for each client."""
    return "\n\n".join(_leg(result) for result in results)


def _leg(result: LegResult) -> str:
    lines: list[tuple[str, ...]] = [_HEAD]
    verdicts = judge(result)
    for key in result.figures:
        figure = FIGURES[key]
        label = figure.label
        for client, row in result.rows.items():
            values = row.values(key)
            if not values:
                continue
            found = spread(values)
            numbers = (f"{v:.{figure.digits}f}" for v in (found.low, found.middle, found.high))
            lines.append((label, client, *numbers, *_ratio(result, client, key, verdicts)))
            label = ""
    text = [f"{result.leg} · {result.title}", *_aligned(lines)]
    text += [f"  {client}: left out, {why}" for client, why in result.left_out.items()]
    for client, row in result.rows.items():
        text += [f"  {client}: failed: {why[:_FAILURE_WIDTH]}" for why in row.failures]
    return "\n".join(text)


def _ratio(
    result: LegResult, client: str, key: str, verdicts: Iterable[Verdict]
) -> tuple[str, str, str]:
    ratios = result.ratios(client, key)
    middle = around = ""
    if ratios and client != result.reference and FIGURES[key].has_ratio:
        found = spread(ratios)
        middle, around = f"× {found.middle:.2f}", f"({found.low:.2f}–{found.high:.2f})"
    marks = [
        f"{'✓' if verdict.is_met else '✗'} {verdict.target}"
        for verdict in verdicts
        if client == OURS and verdict.target.figure == key
    ]
    return middle, around, ", ".join(marks)


def _aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if column in {0, 1, 7} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  " + "  ".join(cells).rstrip())
    return text


def summary(results: Sequence[LegResult], machine: Machine) -> str:
    """The last lines: how many targets hold, and what the figures are worth."""
    verdicts = [verdict for result in results for verdict in judge(result)]
    met = sum(verdict.is_met for verdict in verdicts)
    lines = [str(machine), f"targets: {met} of {len(verdicts)} that were measured hold"]
    lines += [
        f"  ✗ {verdict.target.leg}: {FIGURES[verdict.target.figure].label} is "
        f"{verdict.value:.2f}, not {verdict.target}"
        for verdict in verdicts
        if not verdict.is_met
    ]
    if machine.others > _LOUD:
        lines.append(
            f"Others used {machine.others:.0%} of the machine meanwhile: these figures are noise."
        )
    return "\n".join(lines)


def to_json(results: Sequence[LegResult], machine: Machine, settings: dict[str, Any]) -> bytes:
    """Everything, every round of it."""
    document = {
        "machine": msgspec.to_builtins(machine),
        "settings": settings,
        "legs": [
            {
                "leg": result.leg,
                "title": result.title,
                "reference": result.reference,
                "figures": {key: FIGURES[key].label for key in result.figures},
                "clients": {
                    client: {
                        "rounds": row.rounds,
                        "failures": row.failures,
                        "spread": {
                            key: msgspec.to_builtins(spread(values))
                            for key in result.figures
                            if (values := row.values(key))
                        },
                        "ratio": {
                            key: msgspec.to_builtins(spread(values))
                            for key in result.figures
                            if client != result.reference and (values := result.ratios(client, key))
                        },
                    }
                    for client, row in result.rows.items()
                },
                "left_out": result.left_out,
                "targets": [
                    {
                        "figure": verdict.target.figure,
                        "target": str(verdict.target),
                        "value": verdict.value,
                        "is_met": verdict.is_met,
                    }
                    for verdict in judge(result)
                ],
            }
            for result in results
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
